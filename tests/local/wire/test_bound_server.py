"""The embedded SageMaker for other containers: who is let in by ``--bind``, ``--allow-host`` and ``--key-file``, and ``--isolation direct``."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from local_jobs import CHANNEL, Jobs, notebook, stream_text, wait_until
from machine import Machine, served_directly

from airflow_nbjobs.local import StartError
from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.container.probe import WAYS, try_way
from airflow_nbjobs.local.container.run import WorkDir, claim_direct_folders
from airflow_nbjobs.local.embedded import make_client
from airflow_nbjobs.local.keys import Key, generate_key, read_key_file
from airflow_nbjobs.local.wire.access import check_access
from airflow_nbjobs.local.wire.formats import Caller, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.local.state.facts import ServerFacts

ANYWHERE = "0.0.0.0"  # noqa: S104 - what the command must not take without more words
KEY = Key("AKIALOCAL0123456789ABCDEF", "not a secret of anybody")


def key_text(key: Key = KEY, section: str = "embedded") -> str:
    return f"[{section}]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    path.write_text(key_text())
    path.chmod(0o640)
    return path


# -- the key file ------------------------------------------------------------------------------------------------------


def test_the_key_file_is_an_aws_credentials_file_of_one_section(key_file: Path) -> None:
    assert read_key_file(key_file) == KEY
    key_file.write_text(key_text(made := generate_key(), "default"))
    assert read_key_file(key_file) == made


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must hold one section"),
        ("aws_access_key_id = A", "is no AWS credentials file"),
        (key_text() + key_text(section="other"), "must hold one section"),
        ("[a]\naws_access_key_id = " + "A" * 20, "aws_access_key_id and aws_secret_access_key"),
        (key_text(Key("test", "test")), "20 to 128 letters and digits"),
        (key_text(Key("A/" * 20, "test")), "20 to 128 letters and digits"),
    ],
)
def test_a_key_file_that_is_none_is_refused_and_its_content_stays_out_of_the_text(
    key_file: Path, text: str, problem: str
) -> None:
    key_file.write_text(text)
    with pytest.raises(StartError, match=problem) as caught:
        read_key_file(key_file)
    assert KEY.access_key_id not in str(caught.value)


def test_a_key_that_everybody_may_read_is_refused(key_file: Path) -> None:
    key_file.chmod(0o644)
    with pytest.raises(StartError, match="chmod o-r"):
        read_key_file(key_file)


# -- what the command refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--bind", ANYWHERE], "give a key with --key-file"),
        (["--bind", "192.0.2.1", "--allow-host", "sagemaker"], "give a key with --key-file"),
        (["--bind", ANYWHERE, "--key-file", "{key_file}"], "--allow-host NAME"),
        (["--bind", "localhost"], "takes an IPv4 address"),
        (["--bind", "::"], "takes an IPv4 address"),
        (["--bind", "192.0.2.1", "--key-file", "{key_file}"], "port 0 of 192.0.2.1 cannot be used"),
        (["--key-file", "/no/such/file"], "cannot be read"),
        (["--isolation", "direct", "--jobs", "2"], "one training job at a time"),
    ],
)
def test_what_would_let_others_in_unasked_is_refused_at_start(
    arguments: list[str], problem: str, key_file: Path
) -> None:
    words = [argument.format(key_file=key_file) for argument in arguments]
    command = [sys.executable, "-m", "airflow_nbjobs.local", "--port", "0", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert KEY.access_key_id not in done.stderr


def request(host: str, **headers: str) -> dict[str, str]:
    return {"HTTP_HOST": host, **headers}


@pytest.mark.parametrize(
    ("host", "is_let_in"),
    [
        ("sagemaker:4599", True),
        ("SageMaker", True),
        ("127.0.0.1:4599", True),
        ("[::1]:4599", True),
        ("evil.example:4599", False),
        ("sagemaker.evil.example", False),
        ("0.0.0.0:4599", False),
        ("", False),
    ],
)
def test_only_allowed_host_names_are_answered(host: str, is_let_in: bool) -> None:
    caller = Caller(KEY.access_key_id, "eu-west-1", "sagemaker")
    refusal = (
        contextlib.nullcontext()
        if is_let_in
        else pytest.raises(ServiceError, match=r"answers to 127\.0\.0\.1, localhost, sagemaker, not to")
    )
    with refusal:
        check_access(request(host), caller, KEY.access_key_id, allowed_hosts={"sagemaker"})


def test_an_allowed_host_still_needs_the_key_and_is_no_web_page() -> None:
    for caller, headers in (
        (Caller("another", "eu-west-1", "sagemaker"), {}),
        (Caller(KEY.access_key_id, "eu-west-1", "sagemaker"), {"HTTP_ORIGIN": "http://sagemaker:4599"}),
    ):
        with pytest.raises(ServiceError):
            check_access(request("sagemaker", **headers), caller, KEY.access_key_id, allowed_hosts={"sagemaker"})


# -- a server that is bound, on a machine of its own -------------------------------------------------------------------


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, ServerFacts]]:
    problems = [try_way(way, inspect_image(Path(sys.prefix))) for way in WAYS[:2]]
    if all(problems):
        pytest.skip("; ".join(map(str, problems)))
    folder = tmp_path_factory.mktemp("direct")
    path = folder / "credentials"
    path.write_text(key_text())
    path.chmod(0o600)
    arguments = ("--bind", "127.0.0.2", "--allow-host", "sagemaker", "--key-file", "/tmp/credentials")
    with served_directly(folder, *arguments, files={"credentials": path}) as served:
        yield served


@pytest.fixture(scope="module")
def jobs(direct: tuple[Machine, ServerFacts]) -> Jobs:
    facts = direct[1]
    return Jobs(SimpleNamespace(facts=facts, client=lambda service: make_client(facts, service)))


def status_of(facts: ServerFacts, host: str, key: str = KEY.access_key_id) -> int:
    connection = http.client.HTTPConnection(urlsplit(facts.endpoint_url).netloc)
    authorization = f"AWS4-HMAC-SHA256 Credential={key}/20261122/{facts.region}/sagemaker/aws4_request, Signature=0"
    connection.request(
        "POST",
        "/",
        body="{}",
        headers={"Host": host, "Authorization": authorization, "X-Amz-Target": "SageMaker.ListTrainingJobs"},
    )
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.local
def test_it_answers_under_the_allowed_name_with_the_files_key_and_prints_no_key(
    direct: tuple[Machine, ServerFacts],
) -> None:
    machine, facts = direct
    assert (facts.access_key_id, facts.isolation) == (KEY.access_key_id, "direct")
    assert status_of(facts, "sagemaker:4599") == 200
    assert status_of(facts, "other:4599") == 403
    assert status_of(facts, "sagemaker:4599", key="AKIAOTHER") == 403
    assert KEY.access_key_id not in machine.output
    assert "one training job at a time" in machine.output
    assert "The key is the one in /tmp/credentials" in machine.output


@pytest.mark.local
def test_a_job_has_opt_ml_itself_and_leaves_nothing_there(direct: tuple[Machine, ServerFacts], jobs: Jobs) -> None:
    code = (
        "import os; print(sorted(os.listdir('/opt/ml')), open('/opt/ml/input/config/resourceconfig.json').read()[:1])"
    )
    work = direct[0].work
    first = jobs.run({"report.ipynb": notebook(code)})
    # A second job finds what the first found.
    second = jobs.wait(jobs.submit_script(f'python3 -c "{code}" > /opt/ml/output/data/found'))
    assert [done["TrainingJobStatus"] for done in (first, second)] == ["Completed"] * 2, (first, second)
    by_kernel = stream_text(jobs.executed(first["TrainingJobName"]))
    by_script = jobs.archive(second["TrainingJobName"])["found"].decode()
    for printed in (by_kernel, by_script):
        assert "['.nbjobs-local', 'code', 'input', 'model', 'output'] {" in printed
        for folder in (work.opt_ml, work.home):
            wait_until(lambda folder=folder: [path.name for path in folder.iterdir()] == [".nbjobs-local"], seconds=5)


@pytest.mark.local
def test_jobs_run_one_after_the_other(jobs: Jobs) -> None:
    first = jobs.submit_script("echo one > /opt/ml/output/data/x; sleep 2; cat /opt/ml/output/data/x")
    second = jobs.submit_script("ls /opt/ml/output/data; test ! -e /opt/ml/output/data/x")
    messages = [transition["StatusMessage"] for transition in jobs.describe(second)["SecondaryStatusTransitions"]]
    assert messages[-1] == "Pending: the embedded SageMaker runs 1 jobs at once"
    one, two = jobs.wait(first), jobs.wait(second)
    assert {one["TrainingJobStatus"], two["TrainingJobStatus"]} == {"Completed"}
    assert one["TrainingEndTime"] <= two["TrainingStartTime"]
    assert jobs.archive(first) == {"x": b"one\n"}


@pytest.mark.local
def test_network_isolation_is_refused_since_nothing_would_keep_it(jobs: Jobs) -> None:
    with pytest.raises(jobs.sagemaker.exceptions.ClientError, match="no namespaces here"):
        jobs.submit(EnableNetworkIsolation=True)
    assert CHANNEL  # the request is a complete one


@pytest.mark.local
def test_a_job_that_is_stopped_or_runs_away_leaves_no_process(direct: tuple[Machine, ServerFacts], jobs: Jobs) -> None:
    name = jobs.submit_script("setsid sleep 98765 & sleep 98765")
    wait_until(lambda: jobs.describe(name)["SecondaryStatus"] == "Training")
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert jobs.wait(name)["TrainingJobStatus"] == "Stopped"
    marker = f"TRAINING_JOB_NAME={name}".encode()
    holding = [path for path in Path("/proc").glob("[0-9]*/environ") if marker in read(path)]
    assert holding == []


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_folder_with_somebodys_files_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ml, home = tmp_path / "ml", tmp_path / "home"
    monkeypatch.setattr("airflow_nbjobs.local.container.run.DIRECT_OPT_ML", ml)
    monkeypatch.setattr("airflow_nbjobs.local.container.run.DIRECT_HOME", home)
    ml.mkdir()
    (ml / "model.bin").write_text("dear to somebody")
    assert "files that are not the embedded SageMaker's own" in str(claim_direct_folders())
    assert (ml / "model.bin").exists()
    (ml / "model.bin").unlink()
    assert claim_direct_folders() is None
    (ml / "left").mkdir()  # by a server that was killed
    (home / "link").symlink_to(tmp_path)
    assert claim_direct_folders() is None
    assert [path.name for path in (*ml.iterdir(), *home.iterdir())] == [".nbjobs-local"] * 2
    assert WorkDir(tmp_path / "job", is_direct=True).opt_ml == ml
