"""What a resumed task makes of a field that cannot be rendered any more: its job is paid for, and its results need few fields."""

from types import SimpleNamespace

import pytest
from airflow.sdk import task as airflow_task
from decorated_tasks import DecoratedTasks, resumed
from fakes import executed, task_context
from jinja2 import UndefinedError
from operator_tasks import RAW, defer, end, event_of

from airflow_nbjobs.core.job.submission_state import Step, SubmissionState
from airflow_nbjobs.operators import SageMakerNotebookJobOperator


def rendered(operator, *, is_resumed=False, **context):
    """Render the task's fields as a worker does; ``given`` is what its templates take from elsewhere."""
    found = task_context() | {"task": operator} | context
    found["ti"]._ti_context_from_server = SimpleNamespace(next_method="execute_complete" if is_resumed else None)
    operator.render_template_fields(found)
    return found


def deferred(task, operator):
    made = defer(operator, rendered(operator, given={"day": "30"}))
    end(task.clients, ran=executed(RAW, {"accuracy": 0.5}))
    return made


DAY = "{{ given['day'] }}"


@pytest.mark.parametrize(
    "fields",
    [
        {"parameters": {"epochs": DAY, "more": [1, DAY]}, "unknown_parameters": "warn"},
        {"environment_variables": {"DAY": DAY}, "tags": {"day": DAY}},
        {"notebook_job_name": "report-{{ given['day'] }}"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_the_results_are_pushed_all_the_same(task, fields, capsys):
    first = deferred(task, task(outputs=["accuracy"], **fields))
    operator = task(task_id="t2", outputs=["accuracy"], **fields)  # another process has made it anew
    context = rendered(operator, is_resumed=True)
    operator.execute_complete(context, event_of(first))
    assert context["ti"].xcoms["accuracy"] == 0.5
    assert "nbjobs_error" not in context["ti"].xcoms
    said = capsys.readouterr().out
    assert (
        "A field cannot be rendered any more, which the results of the job do without: UndefinedError: 'given'" in said
    )


NEEDED = {"aws_conn_id", "region_name", "verify", "s3_kms_key"}


@pytest.mark.parametrize("field", sorted({*SageMakerNotebookJobOperator.template_fields} - NEEDED))
def test_of_all_other_fields_none_is_needed(task, field):
    first = deferred(task, task(outputs=["accuracy"]))
    operator = task(task_id="t2", outputs=["accuracy"], **{field: DAY})
    context = rendered(operator, is_resumed=True)
    operator.execute_complete(context, event_of(first))
    assert context["ti"].xcoms["accuracy"] == 0.5


@pytest.mark.parametrize("field", sorted(NEEDED))
def test_a_field_that_the_results_need_is_an_error(task, field):
    with pytest.raises(UndefinedError):
        rendered(task(**{field: DAY}), is_resumed=True)


def test_before_there_is_a_job_every_field_is_needed(task):
    with pytest.raises(UndefinedError):
        rendered(task(parameters={"epochs": DAY}))


def test_no_other_job_is_made_of_it(task):
    """A task that has waited for capacity has none yet."""
    operator = task(parameters={"epochs": DAY})
    context = rendered(operator, is_resumed=True)
    event = {"version": 1, "job_name": "", "turn": SubmissionState(step=Step.SUBMIT).to_json(), "try_number": 1}
    with pytest.raises(UndefinedError):
        operator.execute_complete(context, event)
    assert task.clients.jobs.descriptions == {}
    assert "UndefinedError" in str(context["ti"].xcoms["nbjobs_error"])


def test_a_decorated_task_does_without_what_its_function_was_given(tmp_path):
    made = DecoratedTasks(tmp_path)
    with made.dag:

        @airflow_task
        def rows() -> int:
            return 3

        upstream = rows()
    operator = made.decorate(lambda epochs: {"epochs": epochs}, outputs=["accuracy"])(upstream).operator
    stored = {"rows": 3}
    upstream.resolve = lambda context: stored["rows"]
    context = task_context()
    first = defer(made.started(operator, context), context)
    (job_name,) = made.hook.clients.jobs.descriptions
    end(made.hook.clients, ran=executed(RAW, {"accuracy": 0.5}))
    del stored["rows"]  # its task was cleared
    following = resumed(context)
    made.started(operator, following).execute_complete(following, event_of(first))
    assert following["ti"].xcoms["accuracy"] == 0.5
    assert [*made.hook.clients.jobs.descriptions] == [job_name]
