"""What is asked of Airflow's API, and what its answers mean."""

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, InactiveAssetsResult, XComResult
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_nbjobs._compat import has_try, task_state

TASK = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
TRY_ID = "01990000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("runs", "state"),
    [
        ({"r": {"t": "running"}}, "running"),
        ({"r": {"t_3": "queued"}}, "queued"),
        ({"r": {"t": None}}, None),
        ({"r": {}}, "deleted"),
        ({}, "deleted"),
    ],
    ids=str,
)
def test_a_task_instance_without_a_state_differs_from_one_that_is_gone(monkeypatch, runs, state):
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(lambda **_: runs))
    assert task_state(**TASK) == state


def refused(status, kind=ErrorType.API_SERVER_ERROR):
    return ErrorResponse(error=kind, detail={"status_code": status, "message": "refused"})


@pytest.fixture
def airflow_answers(monkeypatch):
    def answer(given):
        def send(_):
            if isinstance(given, Exception):
                raise given
            return given

        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)

    return answer


def test_a_try_is_there_if_airflow_knows_it_whatever_becomes_of_its_assets(airflow_answers):
    airflow_answers(InactiveAssetsResult(inactive_assets=[{"name": "gone", "uri": "s3://gone", "type": "Asset"}]))
    assert has_try(TRY_ID) is True


@pytest.mark.parametrize("status", [404, 409, 410])
def test_a_try_that_airflow_does_not_know_is_over(airflow_answers, status):
    airflow_answers(AirflowRuntimeError(refused(status)))
    assert has_try(TRY_ID) is False


@pytest.mark.parametrize(
    "answer",
    [
        AirflowRuntimeError(refused(500)),
        AirflowRuntimeError(refused(401)),
        AirflowRuntimeError(refused(404, ErrorType.XCOM_NOT_FOUND)),
        refused(500),
        XComResult(key="k", value=1),
        None,
    ],
    ids=repr,
)
def test_any_other_answer_is_none(airflow_answers, answer):
    """Also that of another question: a signal may have cut its asking short, and left its answer to the next."""
    airflow_answers(answer)
    with pytest.raises((AirflowRuntimeError, TypeError)):
        has_try(TRY_ID)
