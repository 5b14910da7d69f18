"""Stand-ins for what the doctor asks: an Airflow whose answers a test decides, an account whose IAM evaluates a policy as IAM does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iam_evaluator import Request, allows

from airflow_nbjobs.aws.diagnosis import Decision
from airflow_nbjobs.commands.doctor.patient import Asked, Patient, Session
from airflow_nbjobs.core.errors import NotebookJobServiceError

if TYPE_CHECKING:
    from airflow_nbjobs.commands.doctor.airflow_side import Triggerer

ADDRESS = "http://airflow.example"


class FakeAirflow:
    """An Airflow in which all is right, unless a test says otherwise; an exception is raised in the place of an answer."""

    def __init__(self, **answers: Any) -> None:
        healthy = {"metadatabase": {"status": "healthy"}, "triggerer": {"status": "healthy"}}
        self.triggerers_there: list[Triggerer] = []
        self.answers = {
            "versions": {"Python": "3.12.1", "apache-airflow": "3.3.2"},
            "misfits": [],
            "ui_misfits": [],
            "is_registered": True,
            "options": {"role"},
            "database": "postgresql",
            "triggerers": [],
            "address": ADDRESS,
            "health": healthy,
            "pages": "there",
        } | answers

    def _answer(self, name: str) -> Any:
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def versions(self) -> Any:
        return self._answer("versions")

    def misfits(self, extra: str = "") -> Any:
        return self._answer("ui_misfits" if extra else "misfits")

    def is_registered(self) -> Any:
        return self._answer("is_registered")

    def options(self) -> Any:
        return self._answer("options")

    def database(self) -> Any:
        return self._answer("database")

    def triggerers(self) -> Any:
        return self._answer("triggerers")

    def address(self) -> Any:
        return self._answer("address")

    def health(self, address: str) -> Any:
        assert address == ADDRESS
        return self._answer("health")

    def pages(self, address: str) -> Any:
        assert address == ADDRESS
        return self._answer("pages")


class PolicyAccount:
    """
    An account whose identities all have one policy.

    :param others: what IAM says of some actions, in place of what the policy does.
    """

    def __init__(self, policy: dict[str, Any], **others: Decision) -> None:
        self.policy = policy
        self.others = {name.replace("_", ":"): decision for name, decision in others.items()}
        self.asked: list[tuple[str, str]] = []
        self.roles: dict[str, Any] = {}

    def simulated(
        self, principal: str, actions: Any, *, resources: Any = (), context: Any = None
    ) -> dict[str, Decision]:
        decisions: dict[str, Decision] = {}
        for action in actions:
            for resource in resources or ["*"]:
                self.asked.append((principal, action))
                is_allowed = allows(self.policy, Request(action, resource, context or {}))
                is_denied = any(
                    statement["Effect"] == "Deny" and action in statement["Action"]
                    for statement in self.policy["Statement"]
                )
                # As IAM does: of all statements, whatever their actions. Source: boto3's issue 3111.
                named = {
                    key
                    for statement in self.policy["Statement"]
                    for pairs in statement.get("Condition", {}).values()
                    for key in pairs
                }
                decision = Decision(
                    "allowed" if is_allowed else "explicitDeny" if is_denied else "implicitDeny",
                    missing=tuple(sorted(named - set(context or {}))),
                )
                decisions[action] = decisions[action].joined(decision) if action in decisions else decision
        return decisions | {action: self.others[action] for action in actions if action in self.others}

    def role(self, name: str) -> Any:
        if name not in self.roles:
            raise NotebookJobServiceError("AccessDenied on iam:GetRole", code="AccessDenied")
        return self.roles[name]


def patient(**facts: Any) -> Patient:
    return Patient(**{"asked": Asked(aws_conn_id="aws_default"), "airflow": FakeAirflow()} | facts)


def session(account: Any, clients: Any = None) -> Session:
    return Session(clients=clients, account=account, settings=None, hook=None)
