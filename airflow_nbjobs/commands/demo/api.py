"""
Airflow's REST API as far as the demo needs it, and the proof that it is *our* Airflow that answers.

Called by ``app.py``; imports no airflow.
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote

import jwt

from airflow_nbjobs.commands.demo.settings import LOOPBACK, USER

RUN_ID = "demo"
_CALL_SECONDS = 15.0


class ApiUnavailableError(Exception):
    """No answer, or none that Airflow gives: not up yet, busy, or another program."""


class ApiRefusedError(Exception):
    """Airflow answered with an error of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


class AirflowApi:
    """
    A client without proxies, sessions or retries: one server, on this machine.

    :param port: of the API server on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._token: str | None = None

    def log_in(self, *, password: str, jwt_secret: str) -> None:
        """
        Obtain a token.

        :raises ApiUnavailableError: nobody answers yet, or the one who does is not the server that was given this secret.
        """
        try:
            answer = self._call("POST", "/auth/token", {"username": USER, "password": password})
        except ApiRefusedError as error:
            raise ApiUnavailableError(f"port {self.port} refuses the demo's password") from error
        token = str(answer.get("access_token", "")) if isinstance(answer, dict) else ""
        if not is_signed_by(token, jwt_secret):
            raise ApiUnavailableError(f"another program answers on port {self.port}")
        self._token = token

    def unhealthy(self) -> list[str]:
        """Return the names of the components that do not report a heartbeat (yet)."""
        health = self._call("GET", "/api/v2/monitor/health")
        needed = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return [name for name in needed if (health.get(name) or {}).get("status") != "healthy"]

    def has_dag(self, dag_id: str) -> bool:
        try:
            self._call("GET", f"/api/v2/dags/{quote(dag_id, safe='')}")
        except ApiRefusedError as error:
            if error.status == http.client.NOT_FOUND:
                return False
            raise
        return True

    def dag_ids(self) -> list[str]:
        """Return up to 100 ids of the DAGs that Airflow has found so far."""
        return [str(dag["dag_id"]) for dag in self._call("GET", "/api/v2/dags?limit=100")["dags"]]

    def import_errors(self) -> dict[str, str]:
        """Return the traceback of each DAG file that could not be imported, by its name."""
        found = self._call("GET", "/api/v2/importErrors?limit=20")["import_errors"]
        return {str(error["filename"]): str(error["stack_trace"]).strip() for error in found}

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Unpause the DAG and start its run, without a logical date. Returns the run's id."""
        path = f"/api/v2/dags/{quote(dag_id, safe='')}"
        self._call("PATCH", path, {"is_paused": False})
        return str(
            self._call("POST", f"{path}/dagRuns", {"dag_run_id": RUN_ID, "logical_date": None, "conf": conf})[
                "dag_run_id"
            ]
        )

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self._call("GET", _run_path(dag_id, run_id))["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return up to 100 task instances as Airflow describes them."""
        answer = self._call("GET", f"{_run_path(dag_id, run_id)}/taskInstances?limit=100")
        return list(answer["task_instances"])

    def xcom(self, instance: dict[str, Any], key: str) -> Any:
        """Return an XCom of a task instance, None where there is none."""
        path = f"{_instance_path(instance)}/xcomEntries/{quote(key, safe='')}"
        try:
            value = self._call("GET", f"{path}?map_index={instance['map_index']}")["value"]
        except ApiRefusedError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise
        # Ours are objects. Airflow stores their JSON text, and some of its versions answer with just that.
        return json.loads(value) if isinstance(value, str) and value.startswith("{") else value

    def log_events(self, instance: dict[str, Any]) -> list[Any]:
        """Return what the last try of a task instance logged: objects with ``event`` and more, or plain lines."""
        path = f"{_instance_path(instance)}/logs/{instance['try_number']}"
        answer = self._call("GET", f"{path}?full_content=true&map_index={instance['map_index']}")
        return list(answer["content"])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_CALL_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
            if response.status >= http.client.INTERNAL_SERVER_ERROR:  # SQLite was locked, a component is not up yet
                raise ApiUnavailableError(f"HTTP {response.status} from Airflow on port {self.port}: {text[:500]}")
            if response.status >= http.client.BAD_REQUEST:
                raise ApiRefusedError(response.status, text[:500])
            return json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiUnavailableError(f"no answer from Airflow on port {self.port}: {error!r}") from error
        finally:
            connection.close()


def is_signed_by(token: str, secret: str) -> bool:
    """Whether a JSON Web Token carries the HMAC that only the holder of the secret can make; its claims are not looked at."""
    try:
        jwt.PyJWS().decode(token, secret, algorithms=["HS256", "HS384", "HS512"])
    except jwt.InvalidTokenError:
        return False
    return True


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _instance_path(instance: dict[str, Any]) -> str:
    run = _run_path(str(instance["dag_id"]), str(instance["dag_run_id"]))
    return f"{run}/taskInstances/{quote(str(instance['task_id']), safe='')}"
