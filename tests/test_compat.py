"""What is asked of Airflow's API, and what its answers mean."""

import enum
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import airflow
import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.xcom import XComModel
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, InactiveAssetsResult, XComResult
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from airflow_names import HAS_ON_KILL
from sqlalchemy import column

from airflow_nbjobs import _compat
from airflow_nbjobs._compat import has_try, inactive_assets, task_state

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


@pytest.mark.parametrize(
    "state", [enum.Enum("State", {"RUNNING": "running"}).RUNNING, "running"], ids=["a state", "its text"]
)
def test_a_state_is_told_as_its_text_and_asked_for_of_one_task_instance_alone(monkeypatch, state):
    asked = []
    runs = {"r": {"t": state}}
    monkeypatch.setattr(
        RuntimeTaskInstance, "get_task_states", staticmethod(lambda **arguments: asked.append(arguments) or runs)
    )
    assert task_state(**TASK) == "running"
    assert asked == [{"dag_id": "d", "task_ids": ["t"], "run_ids": ["r"], "map_index": -1}]


def test_assets_that_take_no_events_are_named_as_airflow_names_them(airflow_answers):
    gone = {"name": "gone", "uri": "s3://gone", "type": "Asset"}
    airflow_answers(InactiveAssetsResult(inactive_assets=[gone]))
    assert inactive_assets(TRY_ID) == ["Asset(name='gone', uri='s3://gone')"]
    airflow_answers(InactiveAssetsResult(inactive_assets=[]))
    assert inactive_assets(TRY_ID) == []
    airflow_answers(AirflowRuntimeError(refused(404)))
    assert inactive_assets(TRY_ID) == [], "of a try that is over nothing is known, and nothing is wrong"
    airflow_answers(AirflowRuntimeError(refused(500)))
    with pytest.raises(AirflowRuntimeError):
        inactive_assets(TRY_ID)


def test_an_answer_without_a_word_on_its_status_says_nothing_of_the_try(airflow_answers):
    airflow_answers(AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=None)))
    with pytest.raises(AirflowRuntimeError):
        has_try(TRY_ID)


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_a_secret_is_masked_in_each_form_in_which_an_error_quotes_it():
    secret = 'gr\u00fcn-"compat"\nzwei'
    _compat.add_secret(secret)
    for text in (secret, repr(secret), json.dumps(secret), f"{[secret]}"):
        said = _compat.masked_text(f"told: {text}")
        assert "compat" not in said
        assert said.startswith("told: ")
        assert "***" in said
    assert _compat.redact({"a": [secret]}) == {"a": ["***"]}


def test_of_a_dict_the_names_say_what_is_secret():
    _compat.add_secret({"password": "compat-pass-1", "user": "compat-user-1", "nested": {"token": ["compat-token-1"]}})
    said = _compat.masked_text("compat-pass-1 compat-user-1 compat-token-1")
    assert said == "*** compat-user-1 ***"
    _compat.add_secret("compat-named-1", "api_key")
    _compat.add_secret("compat-named-2", "colour")
    assert _compat.masked_text("compat-named-1 compat-named-2") == "*** compat-named-2"


# -- XComs -------------------------------------------------------------------------------------------------------------


def test_an_xcom_is_read_and_written_of_the_task_instance_that_is_named(monkeypatch):
    asked, pushed = [], []
    monkeypatch.setattr(XCom, "get_one", lambda **arguments: asked.append(arguments) or "found")
    monkeypatch.setattr(XCom, "set", lambda **arguments: pushed.append(arguments))
    ti = SimpleNamespace(**TASK | {"map_index": 3}, try_number=2)
    key = _compat.task_instance_key(ti)
    assert key == TASK | {"map_index": 3}
    assert _compat.job_xcom("nbjobs_job", **key) == "found"
    assert asked == [{"key": "nbjobs_job", **key}]
    _compat.push_job_xcom("nbjobs_progress", {"cell": 1}, **key)
    assert pushed == [{"key": "nbjobs_progress", "value": {"cell": 1}, **key}]


# -- what each Airflow can -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "may"),
    [("3.0.6", False), ("3.2.1", False), ("3.2.2rc1", True), ("3.2.2", True), ("3.3.0", True), ("4.0.0.dev0", True)],
)
def test_a_trigger_pushes_progress_where_a_refused_xcom_ends_no_triggerer(monkeypatch, version, may):
    monkeypatch.setattr(airflow, "__version__", version)
    assert _compat.may_push_from_trigger() is may


def test_whether_triggers_have_on_kill_is_what_the_class_of_airflow_says():
    assert _compat.has_on_kill() is HAS_ON_KILL


@pytest.mark.parametrize(
    ("version", "item"),
    [
        ("3.1.8", None),
        ("3.2.0", "triggerWithConfig"),
        ("3.3.2", "triggerWithConfig"),
        ("3.4.0rc1", "editConfigAndTrigger"),
        ("3.5.0", None),
        ("4.2.0", None),
    ],
)
def test_the_form_is_opened_by_the_entry_of_releases_that_are_known_alone(monkeypatch, version, item):
    """Of a newer one, an entry of the same name could trigger a run at once."""
    monkeypatch.setattr(airflow, "__version__", version)
    assert _compat.trigger_form_item() == item


@pytest.mark.parametrize("has_it", [True, False])
def test_airflow_has_tabs_where_its_plugins_may_have_views(monkeypatch, has_it):
    from airflow.plugins_manager import AirflowPlugin

    if has_it:
        monkeypatch.setattr(AirflowPlugin, "external_views", [], raising=False)
    else:
        monkeypatch.delattr(AirflowPlugin, "external_views", raising=False)
    assert _compat.has_tabs() is has_it


@pytest.mark.parametrize("found", [None, object()], ids=["before 3.3", "3.3"])
def test_airflow_keeps_task_state_where_it_has_the_module_for_it(monkeypatch, found):
    asked = []
    monkeypatch.setattr(_compat, "find_spec", lambda name: asked.append(name) or found)
    assert _compat.keeps_task_state() is (found is not None)
    assert asked == ["airflow.models.task_state_store"]


@pytest.mark.parametrize(
    ("told", "is_resumed"),
    [(None, None), (SimpleNamespace(next_method=None), False), (SimpleNamespace(next_method="execute_complete"), True)],
    ids=["untold", "anew", "resumed"],
)
def test_whether_a_try_goes_on_is_what_the_api_server_told_the_worker(told, is_resumed):
    assert _compat.is_resumed(SimpleNamespace(_ti_context_from_server=told)) is is_resumed
    assert _compat.is_resumed(SimpleNamespace()) is None
    assert _compat.is_resumed(SimpleNamespace(_ti_context_from_server=SimpleNamespace())) is False


@pytest.mark.skipif(hasattr(XComModel, "task_instance_id"), reason="Airflow >= 3.4")
@pytest.mark.parametrize("model", [XComModel, RenderedTaskInstanceFields], ids=lambda model: model.__name__)
def test_rows_of_a_task_instance_are_joined_by_all_that_names_it(model):
    joined = str(_compat.of_task_instance(model)).split(" AND ")
    table = model.__tablename__
    assert joined == [f"{table}.{name} = task_instance.{name}" for name in ("dag_id", "run_id", "task_id", "map_index")]


def test_rows_with_an_id_of_the_task_instance_are_joined_by_it():
    model = SimpleNamespace(task_instance_id=column("task_instance_id"))
    assert str(_compat.of_task_instance(model)) == "task_instance_id = task_instance.id"


@pytest.mark.parametrize(
    ("configured", "root"),
    [
        ("", None),
        ("/", None),
        ("https://airflow.example", "https://airflow.example"),
        ("https://airflow.example/team/", "https://airflow.example/team"),
    ],
)
@pytest.mark.parametrize("has_tabs", [True, False])
def test_the_ui_has_an_address_where_it_is_configured_and_one_for_tabs_where_there_are_any(
    monkeypatch, configured, root, has_tabs
):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", configured)
    monkeypatch.setattr(_compat, "has_tabs", lambda: has_tabs)
    assert _compat.ui_root() == root
    assert _compat.ui_address() == (root if has_tabs else None)


# -- DAG files, for commands ---------------------------------------------------------------------------------------------

DAG_FILE = """
from airflow.sdk import DAG, BaseOperator
with DAG("of_a_file", schedule=None):
    BaseOperator(task_id="t")
"""


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # of Airflow's own use of pathspec
@pytest.mark.parametrize("is_moved", [False, True], ids=["as it is", "as of 3.4"])
def test_dag_files_are_those_that_airflow_itself_would_read(tmp_path, monkeypatch, is_moved):
    monkeypatch.setenv("AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE", "False")  # which is not asked here
    asked = []

    def might_contain_dag(path, safe_mode, *, conf):
        asked.append((safe_mode, conf is not None))
        return "DAG" in Path(path).read_text()

    if is_moved:
        pytest.importorskip(
            "airflow._shared.module_loading.file_discovery", reason="Airflow < 3.2 finds files elsewhere"
        )
        monkeypatch.delattr("airflow.utils.file.list_py_file_paths", raising=False)
        moved = SimpleNamespace(might_contain_dag=might_contain_dag)
        monkeypatch.setitem(sys.modules, "airflow._shared.module_loading.dag_file", moved)
    for name in ("a.py", "sub/b.py", "ignored/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(DAG_FILE)
    (tmp_path / "helper.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text(DAG_FILE)
    (tmp_path / ".airflowignore").write_text("ignored/\n")
    found = sorted(path.removeprefix(f"{tmp_path}/") for path in map(str, _compat.dag_file_paths(str(tmp_path))))
    assert found == ["a.py", "sub/b.py"]
    assert set(asked) == ({(True, True)} if is_moved else set())


def test_a_dag_bag_has_the_dags_of_the_files_that_it_is_told_of(tmp_path):
    (tmp_path / "a.py").write_text(DAG_FILE)
    bag = _compat.dag_bag(dag_folder=str(tmp_path))
    assert (list(bag.dags), bag.import_errors) == (["of_a_file"], {})


def test_a_stored_dag_is_what_the_scheduler_reads():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        BaseOperator(task_id="t")
    stored = _compat.stored_dag(dag)
    assert type(stored) is not DAG
    assert (stored.dag_id, stored.task_ids) == ("d", ["t"])
