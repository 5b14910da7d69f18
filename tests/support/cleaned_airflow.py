"""An Airflow with notebook jobs in memory, and what ``nbjobs clean`` makes of it."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from ui_account import ROOT, Account, task_instance

from airflow_nbjobs.commands.cleaning.deletion import Deleted, delete
from airflow_nbjobs.commands.cleaning.needs import Needs
from airflow_nbjobs.commands.cleaning.remains import Rules
from airflow_nbjobs.commands.cleaning.survey import Surveyor
from airflow_nbjobs.commands.records.port import Run
from airflow_nbjobs.ui.data.task_instance import TaskArguments

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def arguments(conn="aws_default", root=ROOT, region=None):
    return TaskArguments({"aws_conn_id": conn, "s3_root_uri": root, "region_name": region})


class CleanedAirflow:
    """Runs with one notebook task each, as an Airflow in memory."""

    def __init__(self):
        self.account = Account()
        self.all_runs = {}
        self.instances = []
        self.mentions = []
        self.starts = {}
        self.going_on = set()
        self.cleared_since = set()
        self.refused = {}
        self.others = []
        self.deleted = Deleted()
        self.unknown = {}

    def add(
        self,
        number,
        *,
        state="success",
        days_old=0,
        dag_id="d",
        delivered=True,
        status="Completed",
        root=ROOT,
        account=None,
        **fields,
    ):
        """One run with a job whose files are in S3; return its job's name."""
        if root != ROOT:
            fields["arguments"] = arguments(root=root)
        run_id = f"r{number}"
        started = NOW - timedelta(days=days_old, minutes=number)
        run = Run(dag_id=dag_id, run_id=run_id, state=state, run_after=started, started=started, ended=started)
        self.all_runs[run.name] = run
        ti = task_instance(dag_id=dag_id, run_id=run_id, run_started=started, job=None, **fields)
        self.instances.append(ti)
        name = self.add_job(ti, account=account, status=status, root=root)
        self.put(f"{name}/input/report.ipynb", b"12345", root)
        if delivered:
            self.put(f"{name}/output/output.tar.gz", b"1234567890", root)
            self.put(f"{name}/{name}.ipynb", b"123", root)
        return name

    def add_job(self, ti, *, account=None, **fields):
        """A job in SageMaker, without files."""
        account = account or self.account
        name = account.add_job(ti, **fields)
        moments = {"CreationTime": ti.run_started, "LastModifiedTime": ti.run_started}
        account.clients.jobs.descriptions[name] |= moments
        return name

    def put(self, key, body=b"x", root=ROOT):
        self.account.clients.objects.bodies[f"{root}/{key}"] = body

    def second_account(self, place):
        """Another account, or region, with the same bucket: of the tasks with that connection or region."""
        ((name, value),) = place.items()
        made = Account()
        made.clients.objects = self.account.clients.objects
        self.others.append(({"conn": "aws_conn_id", "region": "region_name"}[name], value, made))
        return made

    def forget_job(self, name):
        return self.account.clients.jobs.descriptions.pop(name)

    # -- the port
    def runs(self):
        return list(self.all_runs.values())

    def under_way(self):
        return set(self.going_on)

    def all_task_instances(self, dag_ids, *, unknown):
        unknown.update(self.unknown)
        yield from (ti for ti in self.instances if ti.dag_id in dag_ids)

    def access(self, ti):
        if error := self.refused.get((ti.task_id, ti.run_id)):
            raise error
        account = next((made for name, value, made in self.others if ti.argument(name) == value), self.account)
        return replace(account.access(ti), root=ti.argument("s3_root_uri"))

    def remembered_starts(self, *name):
        return self.starts.get(name, set())

    def texts(self, runs, *, in_use):
        names = {run.name for run in runs}
        assert names >= {name for name in in_use if name in self.going_on}
        yield from (each for each in self.mentions if each.run.name in names)

    def is_under_way(self, run):
        return run.name in self.cleared_since


def needs_of(airflow, *, keep_last=0, hours=None, dags=()):
    rules = Rules(older_than_hours=hours, keep_last=keep_last)
    return Needs(airflow, rules, dag_ids=frozenset(dags), now=NOW)


def survey(airflow, needs=None, **rules):
    needs = needs or needs_of(airflow, **rules)
    return Surveyor(airflow, needs, now=NOW, say=lambda _: None).survey()


def fates(found):
    return {each.folder.name: each.fate for each in found.findings}


def why(found, name):
    (finding,) = [each for each in found.findings if each.folder.name == name]
    return finding.why


def clean(airflow, *, meanwhile=lambda: None, **rules):
    needs, deleted = needs_of(airflow, **rules), Deleted()
    airflow.deleted = deleted
    found = survey(airflow, needs)
    meanwhile()
    delete(found.findings, needs, airflow, deleted, say=lambda _: None)
    return found, deleted


def left_keys(airflow):
    return {uri.removeprefix(f"{ROOT}/") for uri in airflow.account.clients.objects.bodies}
