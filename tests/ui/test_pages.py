"""The pages' addresses, with whatever stands in them: an answer that a person can read, and nothing before the permission is asked for."""

import io
import re
from datetime import UTC, datetime

import pytest
from airflow.api_fastapi.core_api.security import get_user
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from fastapi.exceptions import HTTPException
from job_rows import add_jobs, add_xcoms, job, open_database
from msgspec.structs import replace
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from ui_account import RAN, Account, Client, in_routes, task_instance

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.ui import access, pages
from airflow_nbjobs.ui.app import build_app
from airflow_nbjobs.ui.data import queries
from airflow_nbjobs.ui.data.task_instance import Kind, TaskArguments
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.renderer import Renderer
from airflow_nbjobs.ui.pages import VisibleJSONResponse

MODELS = [RenderedTaskInstanceFields, SerializedDagModel]
try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow < 3.3
    pass
else:
    MODELS.append(TaskStateStoreModel)
OUTPUTS = 1200
MAPPED = 3
ARN = "arn:aws:sagemaker:us-east-1:123456789012:domain/d-abc"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Three jobs, one task with many outputs, one that is mapped."""
    url = f"sqlite:///{tmp_path_factory.mktemp('db') / 'airflow.db'}"
    with open_database(url, *MODELS) as session:
        mapped = [
            job(9)
            | {
                "run_id": "run0",
                "dag_id": "m",
                "map_index": index,
                "state": ("success", "failed", "deferred")[index],
            }
            for index in range(MAPPED)
        ]
        add_jobs(session, [*map(job, range(3)), *mapped])
        second = (TaskInstance.dag_id == "m", TaskInstance.map_index == 1)
        session.execute(update(TaskInstance).where(*second).values(_rendered_map_index="<b>eu"))
        fields = {"parameters": {"region": "<i>", "day": "2026-01-02"}, "input_notebook": "x.ipynb"}
        if hasattr(RenderedTaskInstanceFields, "task_instance_id"):  # Airflow >= 3.4
            whose = {"task_instance_id": session.scalar(select(TaskInstance.id).where(*second))}
        else:
            whose = {"dag_id": "m", "run_id": "run0", "task_id": "train", "map_index": 1}
        session.execute(insert(RenderedTaskInstanceFields).values(**whose, rendered_fields=fields))
        same = {"dag_run_id": 1, "dag_id": "dag_00", "run_id": "manual__0", "task_id": "train", "map_index": -1}
        add_xcoms(session, [same | {"key": f"a_{number:04d}", "value": number} for number in range(OUTPUTS)])
        session.commit()
        engine = session.bind
    yield engine
    engine.dispose()


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def app(database, account, monkeypatch):
    in_routes(monkeypatch, "new_session", lambda: Session(database))
    in_routes(monkeypatch, "is_allowed", lambda *_: True)
    in_routes(monkeypatch, "readable_dag_ids", lambda _user: {"dag_00", "dag_01", "dag_02", "m"})
    # What a serialized DAG says of a task is read in `test_in_airflow.py`.
    monkeypatch.setattr(queries, "_arguments", lambda *_: (Kind.OPERATOR, TaskArguments({})))
    notebooks = Notebooks(account.access, Renderer(), live_seconds=0)
    made = build_app(notebooks)
    made.dependency_overrides[get_user] = lambda: None
    for permission in (access.may_read_results, access.may_read_logs):
        made.dependency_overrides[permission.dependency] = lambda: None
    yield made
    notebooks.close()


@pytest.fixture
def client(app):
    return Client(app)


def text_of(answer):
    return re.sub(r"<(style|script)>.*?</\1>", "", answer.text, flags=re.DOTALL)


QUERIES = [
    *(f"page={wrong}" for wrong in ("abc", "-5", "0", "1e9", "9" * 400, "%00", "²", "1&page=-1")),
    *(
        f"{name}={wrong}"
        for name in ("since", "until")
        for wrong in ("x", "2026-13-45", "0000-00-00", "9" * 50, "2026-01-01T00:00:00%2B99:99", "%FF")
    ),
    *("until=9999-12-31", "since=0001-01-01", "since=9999-12-31&until=0001-01-01"),
    *(
        f"text={text}"
        for text in ("x" * 5000, "%00", "%E0%A4%A", "%ff%fe", "✓%20%F0%9F%A6%86", "'%22--%5C%25_", "a&text=b&text=%00")
    ),
    *("state=%27", "state=running&state=x", "sort=%00", "sort[]=-started", "dag_id=" + "d" * 5000, "dag_id=%00"),
    *("%zz=%", "&&&===", "a" * 3000, "limit=-1&offset=1e99&tz=Mars/Olympus", "?", "%", "="),
]


def test_the_page_of_all_jobs_answers_any_query(client):
    answers = {query: client.get(f"/jobs?{query}") for query in QUERIES}
    for query, answer in answers.items():
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), query
        assert "<h1>Notebook jobs</h1>" in answer.text, query
        assert "value_error" not in answer.text, query


def test_what_is_left_out_of_a_query_is_said_and_the_rest_is_done(client):
    said = text_of(client.get("/jobs?state=failed&page=%3Cb%3E&utm=1"))
    assert "<code>page=&lt;b&gt;</code>" in said
    assert "utm" not in said
    assert '<option value="failed" selected>' in said
    assert "left out" not in text_of(client.get("/jobs?state=failed&until=9999-12-31"))


TASK = "/ti/dag_00/manual__0/train/-1"


def test_the_pages_of_a_task_answer_any_query(client):
    """Nothing of a query makes a server error, nor a page of raw JSON for a person."""
    routes_asked = ("", "/notebook.html", "/notebook.ipynb", "/log", "/state.json", "/notebook.json", "/log.json")
    routes_asked += ("/report.html", "/texts.json", "/files.json", "/files/x", "/again.json")
    queries = ("job=" + "x" * 500, "job=%00&theme=%00", "theme=purple&download=perhaps", "%zz", "job=a&job=b")
    for asked in [f"{route}?{query}" for route in routes_asked for query in queries]:
        answer = client.get(TASK + asked)
        assert answer.status_code in (200, 404, 422), asked
        wants_json = ".json" in asked
        assert answer.headers["content-type"].startswith("application/json" if wants_json else "text/html"), asked
        if wants_json:
            known = ({"job_name"}, {"title", "text", "details"}, {"is_offered"})
            assert any(names <= set(answer.json()) for names in known), asked
        else:
            assert "<h1" in answer.text, asked


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ti/d%00/r/t/-1", 200),
        ("/ti/d/r%00/t/0/state.json", 200),
        (f"/ti/{'d' * 5000}/r/t/-1", 200),
        ("/ti/d/r/t/99999999999999999999", 200),
        ("/ti/%FF/%E2%98%83/t/%D9%A3", 200),
        ("/ti/d/r", 404),
        ("/", 404),
        ("/jobs/x", 404),
        ("/ti/d/r/t/-1/nothing", 404),
    ],
)
def test_addresses_of_nothing_lead_to_a_page_that_says_so(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    if path.endswith(".json"):
        assert answer.json()["code"] == "no-instance"
    else:
        assert "There is no such" in answer.text


def test_what_nobody_has_foreseen_is_a_page_as_well(client, monkeypatch):
    in_routes(monkeypatch, "list_jobs", lambda *_, **__: 1 / 0)
    answer = client.get("/jobs")
    assert answer.status_code == 500
    assert "This page cannot be shown now" in answer.text
    assert "ZeroDivision" not in answer.text


def test_a_mapped_task_without_an_index_offers_its_instances(client):
    said = text_of(client.get("/ti/m/run0/train/{MAP_INDEX}"))
    assert re.findall(r'<a data-outer href="([^"]*)">([^<]*)</a>', said) == [
        ("/dags/m/runs/run0/tasks/train/mapped/0/plugin/nbjobs_notebook", "0"),
        ("/dags/m/runs/run0/tasks/train/mapped/1/plugin/nbjobs_notebook", "&lt;b&gt;eu"),
        ("/dags/m/runs/run0/tasks/train/mapped/2/plugin/nbjobs_notebook", "2"),
    ]
    assert re.findall(r'class="chip" data-state="\w+">([^<]*)<', said) == ["success", "failed", "running"]
    assert "&#34;region&#34;: &#34;&lt;i&gt;&#34;" in said
    assert client.get("/ti/m/run0/train/-1/notebook.json").json()["code"] == "mapped"
    assert client.get("/ti/m/run0/train/-1/log").status_code == 404


def test_a_mapped_task_of_another_kind_offers_nothing(client, monkeypatch):
    monkeypatch.setattr(queries, "_arguments", lambda *_: (Kind.OTHER, TaskArguments({})))
    assert "This task runs no notebook" in client.get("/ti/m/run0/train/-1").text


def test_what_a_notebook_may_do_is_fixed_word_for_word():
    """Each policy is a fence: a word less of one lets a notebook do more, and no page looks different."""
    framed = "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    assert (f"sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; {framed}") == pages.NOTEBOOK_POLICY
    assert (
        "sandbox allow-scripts; default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; "
        f"script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'none'; {framed}"
    ) == pages.SCRIPTED_POLICY
    assert pages.TEXT_POLICY == "sandbox; default-src 'none'; frame-ancestors 'self'"
    assert pages.NO_CONNECTIONS == {"Connection-Allowlist": "()"}


def test_the_permission_is_asked_for_before_the_database(app, client, monkeypatch):
    def refuse():
        raise HTTPException(403)

    def looked():
        raise AssertionError

    in_routes(monkeypatch, "new_session", looked)
    app.dependency_overrides[access.may_read_results.dependency] = refuse
    app.dependency_overrides[access.may_read_logs.dependency] = refuse
    paths = ("/ti/m/run0/train/-1", f"{TASK}/log.json", f"{TASK}/state.json", "/jobs", "/ti/m/run0/train/-1/log")
    new = [f"{TASK}/{name}" for name in ("report.html", "texts.json", "files.json", "files/x", "again.json")]
    for path in (*paths, *new):
        assert client.get(path).status_code == 403, path


def test_a_task_with_many_outputs_shows_a_thousand_and_how_many_more_there_are(client):
    """Its own XComs come after them in the alphabet."""
    said = text_of(client.get(TASK))
    assert 'data-job="job-0"' in said
    assert re.findall(r'"name": "(a_\d+)"', said) == [f"a_{number:04d}" for number in range(1000)]
    assert "200 more; Airflow" in said


@pytest.fixture
def shown(client, account, monkeypatch):
    """Returns the address of a job that SageMaker has, with its task's hint."""
    of = task_instance()
    name = account.add_job(of)
    account.deliver(name, RAN)
    hint = dict(of.job) | {"job_name": name, "added_cells": [2, "x"]}
    in_routes(
        monkeypatch,
        "read_task_instance",
        lambda *_, **__: task_instance(job=hint, started=datetime(2026, 1, 2, tzinfo=UTC)),
    )
    return name


def test_the_log_is_read_in_the_tab_cleaned(client, account, shown):
    account.clients.logs.lines[shown] = [
        "+ export X=1",
        "\x1b[31mred\x1b[0m",
        "0.00s - Debugger warning: It seems that frozen modules are being used",
        "Executing:  33%|███       | 1/3 [00:00<00:01,  1.79cell/s]\rExecuting: 100%|██████████| 3/3 [00:01<00:00]",
        "Downloading: 10 MB\rDownloading: 99 MB\r\n",
        "a\rb",
    ]
    answer = client.get(f"{TASK}/log.json").json()
    assert answer["lines"] == ["red", "cell 1 of 2 has ended", "cell 2 of 2 has ended", "Downloading: 99 MB", "a", "b"]
    assert answer["is_whole"]
    assert answer["links"]["CloudWatch"].startswith("https://")
    assert "+ export X=1" in client.get(f"{TASK}/log").text  # as it was written
    account.clients.logs.lines.clear()
    assert client.get(f"{TASK}/log.json").json()["lines"] == []
    account.clients.logs.error = NotebookJobServiceError(
        "no", code="AccessDeniedException", details={"next": "allow it"}
    )
    assert client.get(f"{TASK}/log.json").json()["details"] == ["allow it"]


def test_the_tab_leads_to_the_consoles_and_to_no_address_that_an_xcom_names(client, account, shown):
    found = client.get(f"{TASK}/notebook.json").json()["links"]
    assert list(found) == ["SageMaker", "CloudWatch", "S3"]
    assert all(
        address.startswith("https://eu-west-1.console.aws.amazon.com/") and shown in address
        for address in found.values()
    )
    of = task_instance()
    for more, labels in (
        ({"studio_domain_arn": ARN}, ["SageMaker", "CloudWatch", "S3", "Studio"]),
        ({"has_console": False}, []),
    ):
        notebooks = Notebooks(
            lambda given, more=more: replace(account.access(given), **more), Renderer(), live_seconds=0
        )
        assert list(notebooks.jobs.links(of, notebooks.jobs.find(of, None))) == labels
        notebooks.close()


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_marks_are_replaced_wherever_they_lie_in_a_document(monkeypatch, chunk):
    """A mark may begin in one piece that is read and end in the next."""
    monkeypatch.setattr(pages, "_CHUNK_BYTES", chunk)
    document = io.BytesIO(b"MARK-a b MARK-a MARK-bb c MARK-")
    made = b"".join(pages.marked(document, {"MARK-a": "1", "MARK-bb": "twice"}))
    assert made == b"1 b 1 twice c MARK-"
    assert document.closed
    assert b"".join(pages.marked(io.BytesIO(b""), {"MARK": "x"})) == b""
    assert b"".join(pages.marked(io.BytesIO(b"MARK"), {"MARK": ""})) == b""


def test_each_page_allows_its_own_scripts_and_no_others():
    """Known by their hashes: what somebody puts into the page does not run."""
    found = [
        re.search("script-src ('[^;]*')", pages._policy(*scripts))[1] for scripts in ((), ("message.js",), ("link.js",))
    ]
    assert len(set(found)) == 3
    answer = pages.link_page()
    assert answer.headers["content-security-policy"].startswith(
        "sandbox allow-scripts; default-src 'none'; script-src "
    )
    assert answer.headers["cache-control"] == "private, no-store"
    for name, value in pages.HEADERS.items():
        assert answer.headers[name] == value


def test_what_is_unseen_is_marked_in_answers_for_scripts():
    body = VisibleJSONResponse({"a": "é\u202e", "b": [1, None]}).body
    assert body == '{"a":"é⟦U+202E⟧","b":[1,null]}'.encode()
