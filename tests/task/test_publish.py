"""What a task publishes of its job: the facts that links and pages read, how far it has come, and the list of its jobs."""

import pytest
from airflow_names import TaskDeferred
from fakes import STARTED, task_context
from operator_tasks import defer, end, event_of
from task_log import task_log

from airflow_nbjobs.core.errors import NotebookJobCapacityError
from airflow_nbjobs.core.job.naming import microseconds
from airflow_nbjobs.core.job.xcoms import ATTEMPTS_KEY
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.task.publish import Publisher


class Store:
    """Airflow's store of a task's state, from 3.3 on."""

    def __init__(self, **values):
        self.values = values
        self.asked = []

    def get(self, key):
        self.asked.append(key)
        return self.values.get(key)

    def set(self, key, value):
        self.values[key] = value

    @property
    def names(self):
        return [each["job_name"] for each in self.values[ATTEMPTS_KEY]]


class BrokenStore:
    def get(self, key):
        raise OSError("no API server")

    set = get


@pytest.fixture
def said(caplog, capsys):
    return lambda: task_log(caplog, capsys)


def stored_context(store, **task_instance):
    return task_context(**task_instance) | {"task_state_store": store}


def test_what_is_known_of_a_job_is_published_before_the_task_waits(task):
    context = task_context(try_number=2, max_tries=3)
    trigger = defer(task(instance_type="ml.c5.xlarge", outputs=["accuracy"]), context).trigger
    facts = context["ti"].xcoms["nbjobs_job"]
    assert {name: facts[name] for name in ("job_name", "attempt", "generation", "try_number", "was_adopted")} == {
        "job_name": trigger.job_name,
        "attempt": 0,
        "generation": 3,
        "try_number": 2,
        "was_adopted": False,
    }
    assert facts["run_started_microseconds"] == microseconds(STARTED)
    assert facts["job_arn"].endswith(f":training-job/{trigger.job_name}")
    assert facts["instance_type"] == "ml.c5.xlarge"
    assert facts["region"] == "eu-west-1"
    assert facts["input_notebook"].endswith("nb.ipynb")
    assert facts["executed_notebook_uri"].startswith(f"s3://bucket/nbjobs/{trigger.job_name}/")
    assert facts["added_cells"], "the cell that records outputs"


def test_of_an_adopted_job_its_own_machine_is_published(task, clients):
    defer(task(instance_type="ml.c5.xlarge"), task_context(max_tries=1))
    context = task_context(try_number=2, max_tries=1)
    defer(task(task_id="t2", instance_type="ml.c5.xlarge"), task_context())
    operator = task.dag.get_task("t")
    operator.instance_type = "ml.m5.large"
    defer(operator, context)
    facts = context["ti"].xcoms["nbjobs_job"]
    assert (facts["was_adopted"], facts["instance_type"]) == (True, "ml.c5.xlarge")


def test_a_wait_is_published_with_when_it_began_and_what_the_job_will_be(task, clients):
    clients.jobs.errors["create"] = [NotebookJobCapacityError("the quota is in use")]
    context = task_context()
    trigger = defer(task(waiter_delay=30), context).trigger
    facts = context["ti"].xcoms["nbjobs_job"]
    assert facts["waiting"]["since"][:19].replace(" ", "T") == facts["turn"]["since"][:19]
    assert facts["turn"] == trigger.turn
    assert facts["waiting"]["until"].replace(" ", "T") == trigger.until


# -- progress ----------------------------------------------------------------------------------------------------------


def test_progress_is_published_once_for_each_cell(task):
    context, pushed = task_context(), []
    push = context["ti"].xcom_push
    context["ti"].xcom_push = lambda key, value: pushed.append(key) or push(key, value)
    publisher = Publisher(task(), context)
    publisher.push_progress("job", LogPlace())
    assert pushed == [], "no cell has run"
    for cell in (1, 1, 2):
        publisher.push_progress("job", LogPlace(cell=cell, cells=4))
    assert pushed == ["nbjobs_progress", "nbjobs_progress"]
    record = context["ti"].xcoms["nbjobs_progress"]
    assert (record["job_name"], record["done"], record["total"]) == ("job", 2, 4)


def test_progress_that_airflow_does_not_take_is_a_warning(task, said):
    context = task_context()

    def refused(key, value):
        raise OSError("no API server")

    context["ti"].xcom_push = refused
    Publisher(task(), context).push_progress("job", LogPlace(cell=1, cells=4))
    assert "How far the notebook has come is not recorded: no API server" in said()


# -- the list of jobs --------------------------------------------------------------------------------------------------


def earlier(name):
    return {"job_name": name, "attempt": 0, "generation": 0, "run_started_microseconds": 1}


def test_a_tasks_first_job_begins_its_list(task):
    store = Store()
    trigger = defer(task(), stored_context(store)).trigger
    assert store.names == [trigger.job_name]
    assert store.asked == [], "a task that was never tried has no list to ask for"


def test_a_later_generations_job_is_added_to_the_list(task):
    store = Store(**{ATTEMPTS_KEY: [earlier("d-t-1"), earlier("d-t-2")]})
    trigger = defer(task(stop_on_kill=False), stored_context(store, try_number=2, max_tries=2)).trigger
    assert store.names == ["d-t-1", "d-t-2", trigger.job_name]


def test_a_job_of_a_first_try_that_follows_one_without_an_instance_is_added(task, clients):
    store = Store()
    operator, context = task(capacity_timeout=3600), stored_context(store)
    first = defer(operator, context)
    end(clients, "Failed", reason="CapacityError: Unable to provision requested ML compute capacity.")
    with pytest.raises(TaskDeferred) as caught:
        operator.execute_complete(context, event_of(first, status="Failed"))
    with pytest.raises(TaskDeferred) as following:
        operator.execute_complete(context, caught.value.trigger._event())
    assert store.names == [first.trigger.job_name, following.value.trigger.job_name]
    assert len(set(store.names)) == 2


def test_a_job_that_is_asked_for_again_is_in_the_list_once_as_the_last(task):
    store = Store()
    trigger = defer(task(), stored_context(store, max_tries=1)).trigger
    (mine,) = store.values[ATTEMPTS_KEY]
    store.values[ATTEMPTS_KEY] = [earlier("d-t-1"), mine, earlier("d-t-2")]
    task.clients.jobs.descriptions.clear()
    defer(task.dag.get_task("t"), stored_context(store, try_number=2, max_tries=1))
    assert store.names == ["d-t-1", "d-t-2", trigger.job_name]


def test_the_last_fifty_jobs_are_listed(task):
    store = Store(**{ATTEMPTS_KEY: [earlier(f"d-t-{n}") for n in range(50)]})
    trigger = defer(task(stop_on_kill=False), stored_context(store, try_number=2, max_tries=1)).trigger
    assert store.names == [*(f"d-t-{n}" for n in range(1, 50)), trigger.job_name]


def test_a_list_that_airflow_does_not_keep_fails_no_task(task, said):
    defer(task(), stored_context(BrokenStore(), try_number=2, max_tries=1))
    assert "The list of this task's jobs could not be kept: no API server" in said()


def test_jobs_are_remembered_where_airflow_has_a_list(task, said):
    assert Publisher(task(), task_context()).remembered() is None
    store = Store(**{ATTEMPTS_KEY: [earlier("d-t-1"), earlier("d-t-2")]})
    assert Publisher(task(task_id="u"), stored_context(store)).remembered() == ["d-t-1", "d-t-2"]
    assert "could not be read" not in said()
    assert Publisher(task(task_id="v"), stored_context(BrokenStore())).remembered() is None
    assert "The list of this task's jobs could not be read: no API server" in said()
