"""Task instances, and jobs of theirs in an AWS account, as the API server finds them."""

from datetime import UTC, datetime
from importlib import import_module
from pkgutil import iter_modules

from fakes import ACCOUNT_ID, REGION, FakeClients, executed, notebook

from airflow_nbjobs.ui.data.task_instance import Kind, NotebookTaskInstance, TaskArguments
from airflow_nbjobs.ui.notebook.aws_access import Access

ROOT = "s3://bucket/nbjobs"
MICROSECONDS = 1767323045678901
RAN = executed(notebook("accuracy = 0.5"))


def hint(**fields):
    return {"generation": 0, "run_started_microseconds": MICROSECONDS, "attempt": 0} | fields


def task_instance(**fields):
    given = {
        "dag_id": "d",
        "run_id": "r",
        "task_id": "t",
        "map_index": -1,
        "state": "success",
        "try_number": 1,
        "max_tries": 0,
        "started": None,
        "ended": None,
        "run_started": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "kind": Kind.OPERATOR,
        "arguments": TaskArguments({"aws_conn_id": "aws_default", "s3_root_uri": ROOT}),
        "job": hint(),
    }
    return NotebookTaskInstance(**given | fields)


class Account:
    """An AWS account, and jobs of task instances in it."""

    def __init__(self):
        self.clients = FakeClients()
        self.asked = 0
        self.root = ROOT

    def access(self, _ti):
        self.asked += 1
        return Access(clients=self.clients, deployment="", root=self.root)

    def add_job(self, of, *, status="Completed", owner=None, root=ROOT, **environment):
        (key, *_) = of.run_keys(deployment="")
        name = of.job_name(key)
        owner = key.owner() if owner is None else owner
        self.clients.jobs.descriptions[name] = {
            "TrainingJobName": name,
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/{name}",
            "TrainingJobStatus": status,
            "SecondaryStatus": status,
            "Environment": {"NBJOBS_OWNER": owner, "SM_OUTPUT_NOTEBOOK_NAME": f"{name}.ipynb"} | environment,
            "ResourceConfig": {"InstanceType": "ml.m5.large"},
            "OutputDataConfig": {"S3OutputPath": root},
        }
        return name

    def deliver(self, name, body=RAN, root=ROOT):
        self.clients.objects.bodies[f"{root}/{name}/{name}.ipynb"] = body


def in_routes(monkeypatch, name, value):
    """Give every module of routes that uses a name another value for it."""
    from airflow_nbjobs.ui import routes

    found = False
    for each in iter_modules(routes.__path__):
        module = import_module(f"{routes.__name__}.{each.name}")
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)
            found = True
    assert found, name
