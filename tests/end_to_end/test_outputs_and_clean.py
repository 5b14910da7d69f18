"""``nbjobs outputs`` and ``nbjobs clean`` over runs that have really run, by Airflow's database and by its real REST API; and killed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import airflow_api
import httpx
import nbformat
import pytest
from airflow_ui import AirflowUi

from airflow_nbjobs.local.embedded import EmbeddedSageMaker
from airflow_nbjobs.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.local, pytest.mark.slow]

PACKAGE = Path(__file__).parents[2]
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
NBJOBS = (sys.executable, "-m", "airflow_nbjobs.cli")


class World:
    """An Airflow with runs of three notebooks' DAG and two of a small one's, and what asks for them."""

    def __init__(self, ui: AirflowUi, sagemaker: EmbeddedSageMaker, folder: Path) -> None:
        self.ui = ui
        self.sagemaker = sagemaker
        self.faults = Faults(sagemaker.facts)
        self.folder = folder
        self.s3 = sagemaker.client("s3")
        self.bucket = sagemaker.facts.default_bucket

    @property
    def by_database(self) -> dict[str, str]:
        return self.ui.environment | {"PYTHONPATH": str(PACKAGE)}

    def by_rest(self, user: str = "admin") -> dict[str, str]:
        """A laptop: no Airflow of its own, credentials of its own, a token."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
        home = self.folder / "laptop"
        home.mkdir(exist_ok=True)
        return (
            kept
            | self.sagemaker.facts.environment()
            | {
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__NBJOBS__S3_ROOT_URI": self.ui.environment["AIRFLOW__NBJOBS__S3_ROOT_URI"],
                "AIRFLOW_CLI_TOKEN": self.ui.token(user),
                "PYTHONPATH": str(PACKAGE),
                "NO_PROXY": "127.0.0.1,localhost",
            }
        )

    def api(self, method: str, address: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.ui.token('admin')}"}
        with httpx.Client(base_url=self.ui.url, headers=headers, timeout=60, trust_env=False) as client:
            answer = client.request(method, address, json=body)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

    def nbjobs(self, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*NBJOBS, *arguments], cwd=self.folder, env=env, capture_output=True, text=True, timeout=300, check=False
        )

    def start(self, *arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*NBJOBS, *arguments], cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run_ids(self, dag_id: str) -> list[str]:
        """Oldest first."""
        with closing(sqlite3.connect(self.ui.home / "airflow.db", timeout=60)) as connection:
            return [
                run_id
                for (run_id,) in connection.execute(
                    "SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY run_after", [dag_id]
                )
            ]

    def stored(self) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="nbjobs/")
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def records(self) -> set[str]:
        pages = self.sagemaker.client("sagemaker").get_paginator("list_training_jobs").paginate()
        return {
            job["TrainingJobName"]
            for page in pages
            for job in page["TrainingJobSummaries"]
            if job["TrainingJobStatus"] != "Deleting"
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with EmbeddedSageMaker(jobs=2) as sagemaker:
        ui = AirflowUi(tmp_path_factory.mktemp("airflow"), sagemaker)
        for dag_id in ("notebooks", "other", "other", "other"):
            ui.run_dag(dag_id)
        with ui.serving():
            yield World(ui, sagemaker, tmp_path_factory.mktemp("user"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def fetched(world: World) -> tuple[Any, Any]:
    (run_id,) = world.run_ids("notebooks")
    database = world.nbjobs("outputs", "notebooks", run_id, "--to", "database", env=world.by_database)
    rest = world.nbjobs(
        *("outputs", "notebooks", run_id, "--to", "rest", "--airflow-url", world.ui.url), env=world.by_rest()
    )
    return database, rest


def test_both_ways_fetch_the_same_bytes_of_a_run(world, fetched):
    for done in fetched:
        # One task died without a notebook; that and a refused one are no failure of this command.
        assert done.returncode in (0, 1), done.stderr[-3000:]
    database, rest = tree(world.folder / "database"), tree(world.folder / "rest")
    assert sorted(database) == sorted(rest)
    assert [name for name in database if database[name] != rest[name]] == []
    assert fetched[0].stdout == fetched[1].stdout


def test_a_folder_has_the_notebook_its_page_its_log_its_parameters_and_its_outputs(world, fetched):
    good = world.folder / "database" / "good" / "try-1"
    assert {path.name for path in good.iterdir()} == {
        *("executed.ipynb", "executed.html", "output.tar.gz", "log.txt"),
        *("job.json", "parameters.json", "outputs.json"),
    }
    cells = nbformat.read(good / "executed.ipynb", as_version=4).cells
    assert any(cell.cell_type == "code" and cell.outputs for cell in cells)
    assert "Sentiment baseline" in (good / "executed.html").read_text()
    assert json.loads((good / "parameters.json").read_text()) == {
        "epochs": 3,
        "model": "baseline",
        "rates": [0.1, 0.01],
    }
    assert json.loads((good / "outputs.json").read_text()) == {
        "accuracy": 0.875,
        "best": {"model": "baseline", "epoch": 3},
    }
    assert json.loads((good / "job.json").read_text())["status"] == "Completed"
    assert (good / "log.txt").stat().st_size > 100


def test_mapped_instances_and_tries_have_folders_of_their_own(world, fetched):
    folder = world.folder / "database"
    for index, square in enumerate((9, 25)):
        assert json.loads((folder / "mapped" / str(index) / "try-1" / "outputs.json").read_text()) == {"square": square}
    assert (folder / "flaky" / "try-2" / "executed.ipynb").exists()
    assert json.loads((folder / "broken" / "try-1" / "job.json").read_text())["status"] == "Failed"
    assert "ZeroDivisionError" in (folder / "broken" / "try-1" / "executed.ipynb").read_text()


def test_a_second_call_fetches_nothing_and_a_changed_file_is_not_overwritten(world, fetched):
    (run_id,) = world.run_ids("notebooks")
    call = ("outputs", "notebooks", run_id, "--task", "good", "--to", "database")
    again = world.nbjobs(*call, env=world.by_database)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("there already") == 7
    file = world.folder / "database" / "good" / "try-1" / "executed.ipynb"
    file.write_bytes(b"my own notes")
    refused = world.nbjobs(*call, env=world.by_database)
    assert refused.returncode == 2
    assert "executed.ipynb" in refused.stderr
    assert file.read_bytes() == b"my own notes"
    forced = world.nbjobs(*call, "--force", env=world.by_database)
    assert forced.returncode == 0, forced.stderr
    assert file.read_bytes() == (world.folder / "rest" / "good" / "try-1" / "executed.ipynb").read_bytes()


def test_what_is_not_there_or_not_allowed_is_one_clear_line(world):
    for env, url in ((world.by_database, ()), (world.by_rest(), ("--airflow-url", world.ui.url))):
        done = world.nbjobs("outputs", "other", "no-such-run", "--to", "x", *url, env=env)
        assert done.returncode == 2
        assert "Airflow has no run 'no-such-run' of DAG 'other'" in done.stderr
        assert "Traceback" not in done.stderr
    wrong = world.by_rest() | {"AIRFLOW_CLI_TOKEN": "wrong"}
    done = world.nbjobs("outputs", "other", "x", "--to", "x", "--airflow-url", world.ui.url, env=wrong)
    assert (done.returncode, "does not accept the token" in done.stderr) == (2, True)
    done = world.nbjobs(
        "outputs", "other", "x", "--to", "x", "--airflow-url", world.ui.url + "/nope", env=world.by_rest()
    )
    assert done.returncode == 2, done.stderr
    assert not (world.folder / "x").exists()


def shape(text: str) -> str:
    """What an output says without numbers and columns' widths, which no two runs share."""
    text = re.sub(r"[\d.]+ (bytes|KiB|MiB)", "SIZE", text)
    return re.sub(r" +", " ", re.sub(r"\d+", "N", text))


def test_the_readme_shows_what_the_commands_print(world):
    shown = dict(re.findall(r"<!-- shown: (outputs|clean) -->\n```console\n(.*?)```", README, re.DOTALL))
    newest = world.run_ids("other")[-1]
    printed = {
        "outputs": world.nbjobs("outputs", "other", newest, "--to", "nightly-files", env=world.by_database),
        "clean": world.nbjobs("clean", "--keep-last", "1", "--dag", "other", env=world.by_database),
    }
    for name, done in printed.items():
        assert done.returncode == 0, done.stderr
        text = re.sub(r"\bother\b", "nightly", done.stdout).replace("good/", "train/")
        _, _, expected = shown[name].partition("\n")
        assert shape(text) == shape(expected), text


@pytest.mark.parametrize("way", ["database", "rest"])
def test_clean_lists_what_it_would_delete_and_deletes_nothing(world, way):
    arguments = ("--airflow-url", world.ui.url) if way == "rest" else ()
    env = world.by_rest() if way == "rest" else world.by_database
    before = world.stored(), world.records()
    done = world.nbjobs("clean", "--dag", "other", "--keep-last", "1", "-o", "json", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["version"], found["deleted"]) == (1, None)
    runs = world.run_ids("other")
    assert {each["run_id"]: each["fate"] for each in found["jobs"]} == {
        runs[0]: "remove",
        runs[1]: "remove",
        runs[2]: "keep",
    }
    assert (world.stored(), world.records()) == before


def test_a_real_api_server_has_what_the_fast_tests_take_for_granted(world):
    (run_id,) = world.run_ids("notebooks")
    run = f"/api/v2/dags/notebooks/dagRuns/{quote(run_id, safe='')}"
    for address, items, fields in (
        ("/api/v2/dags/~/dagRuns", "dag_runs", airflow_api.RUN_FIELDS),
        ("/api/v2/dags/~/dagRuns/~/taskInstances", "task_instances", airflow_api.INSTANCE_FIELDS),
        (f"{run}/taskInstances/~/xcomEntries", "xcom_entries", airflow_api.XCOM_FIELDS),
        ("/api/v2/dags/notebooks/tasks", "tasks", {"task_id", "template_fields", "operator_name"}),
        (f"{run}/upstreamAssetEvents", "asset_events", set()),
    ):
        document = world.api("GET", address)
        assert document["total_entries"] >= len(document[items])
        assert fields == set() or document[items]
        for each in document[items]:
            assert fields <= set(each)


@pytest.mark.parametrize("way", ["database", "rest"])
def test_a_job_that_a_run_was_given_by_whoever_triggered_it_is_kept(world, way):
    """A run of another DAG, which has not begun."""
    arguments = ("--airflow-url", world.ui.url) if way == "rest" else ()
    env = world.by_rest() if way == "rest" else world.by_database
    command = ("clean", "--dag", "other", "--keep-last", "1", "-o", "json", *arguments)
    given, *_ = [
        each for each in json.loads(world.nbjobs(*command, env=env).stdout)["jobs"] if each["fate"] == "remove"
    ]
    body = {
        "dag_run_id": f"given-{way}",
        "logical_date": None,
        "conf": {"model": f"{given['s3_uri']}output/model.tar.gz"},
    }
    world.api("POST", "/api/v2/dags/notebooks/dagRuns", body)
    try:
        found = json.loads(world.nbjobs(*command, env=env).stdout)
    finally:
        world.api("DELETE", f"/api/v2/dags/notebooks/dagRuns/given-{way}")
    fates = {each["job_name"]: (each["fate"], each["why"]) for each in found["jobs"]}
    assert fates[given["job_name"]] == (
        "keep",
        f"run 'given-{way}' of DAG 'notebooks', which is kept, names it",
    )
    assert [fate for fate, _ in fates.values()].count("remove") == 1


def test_clean_that_is_killed_in_the_middle_goes_on_and_keeps_what_is_kept(world):
    """Killed while S3 deletes the first files, then before SageMaker's record, then let go on: the kept run's files and records are all there."""
    runs = world.run_ids("other")
    listed = world.nbjobs("clean", "--dag", "other", "--keep-last", "1", "-o", "json", env=world.by_database)
    names = {each["job_name"]: each["run_id"] for each in json.loads(listed.stdout)["jobs"]}
    wanted = {name for name, run_id in names.items() if run_id != runs[2]}
    kept_keys = {key for key in world.stored() if key.split("/")[1] not in wanted}
    kept_records = world.records() - wanted
    command = ("clean", "--dag", "other", "--keep-last", "1", "--yes")
    for operation in ("s3:DeleteObject*", "DeleteTrainingJob"):
        begun = world.faults.calls()[-1].number
        fault = world.faults.delay(operation, seconds=60)
        process = world.start(*command, env=world.by_database)
        deadline = time.monotonic() + 120
        while not world.faults.calls(operation, after=begun):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        fault.remove()
        assert kept_keys <= world.stored()
        assert world.records() >= kept_records
    done = world.nbjobs(*command, env=world.by_database)
    assert done.returncode == 0, done.stderr
    assert world.stored() == kept_keys
    assert world.records() == kept_records
    again = world.nbjobs(*command, env=world.by_database)
    assert again.returncode == 0, again.stderr
    assert "there is nothing to delete" in again.stdout
    # The kept run is whole: it can still be fetched.
    last = world.nbjobs("outputs", "other", runs[2], "--to", "kept", env=world.by_database)
    assert last.returncode == 0, last.stderr
    assert (world.folder / "kept" / "good" / "try-1" / "executed.ipynb").exists()
