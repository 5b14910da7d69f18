"""An asset of a notebook task becomes inactive while its job runs: Airflow's own check, and what the task delivers all the same."""

from types import SimpleNamespace

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, InactiveAssetsResult
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_names import AirflowFailException
from fakes import executed, failed_at, task_context
from operator_tasks import RAW, defer, end, event_of

from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobConfigError, NotebookOutputError
from airflow_nbjobs.core.job.submission_state import Step, SubmissionState

MODEL = Asset(name="model", uri="s3://acme/models/2")
OTHER = Asset(name="other", uri="s3://acme/other")
GONE = {"name": "model", "uri": "s3://acme/models/2", "type": "Asset"}
TRY_ID = "01990000-0000-7000-8000-000000000000"


@pytest.fixture
def inactive(monkeypatch):
    """What Airflow calls inactive, and how often it was asked."""
    found = SimpleNamespace(assets=[], asked=0, refuses=False)

    def send(msg=None, **_):
        found.asked += 1
        if found.refuses:
            return ErrorResponse(detail={"status_code": 500})
        return InactiveAssetsResult(inactive_assets=found.assets)

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    return found


def begun(operator, *, next_method=None, **task_instance):
    """Bring a worker to where the task's own code begins, with Airflow's own check."""
    context = task_context(**task_instance) | {"outlet_events": OutletEventAccessors()}
    context["task"] = operator
    ti = context["ti"]
    ti.id, ti.task = TRY_ID, operator
    ti._ti_context_from_server = SimpleNamespace(next_method=next_method)
    operator.render_template_fields(context)
    task_runner._validate_task_inlets_and_outlets(ti=ti, log=None)
    return context


def resumed(task, operator, *, ran=None, status="Completed", **task_instance):
    deferred = defer(operator, begun(operator, **task_instance))
    end(task.clients, status, reason="AlgorithmError: x", ran=ran or executed(RAW, {"accuracy": 0.5}))
    return deferred


@pytest.mark.parametrize("assets", [{"outlets": [MODEL, OTHER]}, {"inlets": [MODEL]}], ids=["outlet", "inlet"])
def test_the_results_are_pushed_before_the_task_fails_and_no_retry_runs_it_again(task, clients, inactive, assets):
    operator = task(outputs=["accuracy"], retries=2, **assets)
    deferred = resumed(task, operator)
    inactive.assets = [GONE]
    context = begun(operator, next_method="execute_complete")
    with pytest.raises(NotebookOutputError) as caught:
        operator.execute_complete(context, event_of(deferred))
    (job_name,) = clients.jobs.descriptions
    assert isinstance(caught.value, AirflowFailException)
    for said in (f"'{job_name}' completed and its outputs are pushed", "Asset(name='model', uri='s3://acme/models/2')"):
        assert said in str(caught.value)
    assert "Mark the task as success" in str(caught.value)
    assert context["ti"].xcoms["accuracy"] == 0.5
    assert context["ti"].xcoms["nbjobs_end"]["error"]["type"] == "NotebookOutputError"
    assert f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb" in clients.objects.bodies
    assert {"outlets": operator.outlets, "inlets": operator.inlets} == {"outlets": [], "inlets": []} | assets


def test_a_notebook_that_failed_says_that_first(task, inactive):
    operator = task(outlets=[MODEL])
    deferred = resumed(task, operator, status="Failed", ran=failed_at(RAW, 2, "ValueError", "no bread left"))
    inactive.assets = [GONE]
    context = begun(operator, next_method="execute_complete")
    with pytest.raises(NotebookCellError, match="no bread left"):
        operator.execute_complete(context, event_of(deferred, status="Failed"))


def test_a_task_that_has_waited_for_capacity_submits_no_job(task, clients, inactive):
    inactive.assets = [GONE]
    operator = task(outlets=[MODEL], retries=1)
    context = begun(operator, next_method="execute_complete")
    event = {"version": 1, "job_name": "", "turn": SubmissionState(step=Step.SUBMIT).to_json(), "try_number": 1}
    with pytest.raises(NotebookJobConfigError, match=r"No job is submitted for task 't': .*name='model'") as caught:
        operator.execute_complete(context, event)
    assert isinstance(caught.value, AirflowFailException)
    assert clients.jobs.descriptions == {}


def test_a_retry_delivers_the_job_of_the_try_before(task, clients, inactive):
    """Its worker died, or could not read the results."""
    operator = task(outputs=["accuracy"], outlets=[MODEL], retries=1)
    resumed(task, operator, max_tries=1)
    inactive.assets = [GONE]
    context = begun(operator, try_number=2, max_tries=1)
    with pytest.raises(NotebookOutputError, match="its outputs are pushed"):
        operator.execute(context)
    assert context["ti"].xcoms["accuracy"] == 0.5
    assert len(clients.jobs.descriptions) == 1


def test_a_retry_without_a_job_submits_none(task, clients, inactive):
    inactive.assets = [GONE]
    operator = task(outlets=[MODEL], retries=1)
    context = begun(operator, try_number=2, max_tries=1)
    with pytest.raises(NotebookJobConfigError, match="No job is submitted"):
        operator.execute(context)
    assert clients.jobs.descriptions == {}


def test_a_task_that_has_delivered_nothing_yet_is_left_to_airflow(task, clients, inactive):
    inactive.assets = [GONE]
    with pytest.raises(AirflowFailException, match="has the following inactive assets"):
        begun(task(outlets=[MODEL]))
    assert clients.jobs.descriptions == {}


def test_assets_that_are_active_stay_and_get_their_event(task, inactive):
    operator = task(outputs=["accuracy"], outlets=[MODEL])
    deferred = resumed(task, operator)
    context = begun(operator, next_method="execute_complete")
    operator.execute_complete(context, event_of(deferred))
    assert context["outlet_events"][MODEL].extra["outputs"] == {"accuracy": 0.5}


def test_where_airflow_does_not_answer_it_is_left_to_its_own_check(task, inactive):
    operator = task(outputs=["accuracy"], outlets=[MODEL])
    resumed(task, operator)
    inactive.refuses = True
    with pytest.raises(AttributeError):  # Airflow's own: an error is no answer
        begun(operator, next_method="execute_complete")
    assert operator.outlets == [MODEL]


def test_a_task_without_assets_asks_nothing(task, inactive):
    operator = task(outputs=["accuracy"])
    deferred = resumed(task, operator)
    asked = inactive.asked  # whether the try is there still
    context = begun(operator, next_method="execute_complete")
    assert inactive.asked == asked
    operator.execute_complete(context, event_of(deferred))


def test_a_task_that_waited_in_its_worker_says_which_event_airflow_leaves_out(task, clients, inactive, capsys):
    """Airflow lets it succeed, and tells nobody but the API server's log."""
    operator = task(outputs=["accuracy"], outlets=[MODEL], deferrable=False)
    create = clients.jobs.create

    def create_and_end(request):
        arn = create(request)
        inactive.assets = [GONE]
        end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        return arn

    clients.jobs.create = create_and_end
    context = begun(operator)
    operator.execute(context)
    assert context["ti"].xcoms["accuracy"] == 0.5
    assert "Airflow takes no event for Asset(name='model', uri='s3://acme/models/2')" in capsys.readouterr().out
