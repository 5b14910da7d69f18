"""``nbjobs local`` in this process, with the server's place taken: what it refuses, hands to the server, and prints."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import shlex
import signal
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_nbjobs.local import StartError, command, server
from airflow_nbjobs.local.container.probe import DESCRIPTIONS, Isolation
from airflow_nbjobs.local.keys import Key, generate_key, read_key_file
from airflow_nbjobs.local.state.facts import build_facts, read_ready_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FACTS = build_facts(port=4599, region="eu-west-1", access_key_id="AKIA", secret_access_key="a b", isolation="none")
KEY = "AKIALOCAL0123456789AB"


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the program changes in its process is put back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    level = logging.getLogger("airflow_nbjobs.local").level
    monkeypatch.setattr(os, "environ", dict(os.environ))
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logging.getLogger("airflow_nbjobs.local").setLevel(level)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server was started with; it is told to end as soon as it is ready, unless standard input does that."""
    asked: dict[str, Any] = {}

    @contextmanager
    def serve(**given: Any) -> Iterator[tuple[Any, Any]]:
        asked.update(given, environ=dict(os.environ))
        if not asked.get("ends_with_stdin"):
            signal.raise_signal(asked.get("signal", signal.SIGTERM))
        yield FACTS, Isolation("none", ("userns: not here",))
        asked["has_ended"] = True

    monkeypatch.setattr(server, "serve", serve)
    return asked


def test_without_arguments_the_server_has_its_defaults(served: dict[str, Any], capsys: Any) -> None:
    assert command.run(arguments()) == 0
    expected: dict[str, Any] = {
        "port": 4599,
        "data_dir": None,
        "region": "eu-west-1",
        "image_prefix": Path(sys.prefix),
        "isolation": "auto",
        "parallel_jobs": os.cpu_count(),
        "bind": "127.0.0.1",
        "allow_hosts": [],
        "warm_pool_quota": 0,
        "start_seconds": 0.0,
        "metrics_seconds": 60.0,
    }
    assert {name: served[name] for name in expected} == expected
    assert served["key"].access_key_id.startswith("AKIALOCAL")
    assert served["has_ended"]


def test_each_argument_reaches_the_server(served: dict[str, Any], tmp_path: Path, key_file: Path) -> None:
    words = {
        "--port": "0",
        "--bind": "0.0.0.0",  # noqa: S104 - handed on
        "--allow-host": "sagemaker",
        "--key-file": str(key_file),
        "--data": str(tmp_path),
        "--region-name": "us-east-1",
        "--image-prefix": "/venv",
        "--isolation": "none",
        "--jobs": "3",
        "--warm-pool-quota": "2",
        "--start-delay": "1.5",
        "--metrics-period": "0.1",
    }
    assert command.run(arguments(*[word for pair in words.items() for word in pair], "--allow-host", "b")) == 0
    expected = {
        "port": 0,
        "bind": "0.0.0.0",  # noqa: S104 - handed on
        "allow_hosts": ["sagemaker", "b"],
        "key": Key(KEY, "secret"),
        "data_dir": tmp_path,
        "region": "us-east-1",
        "image_prefix": Path("/venv"),
        "isolation": "none",
        "parallel_jobs": 3,
        "warm_pool_quota": 2,
        "start_seconds": 1.5,
        "metrics_seconds": 0.1,
    }
    assert {name: served[name] for name in expected} == expected


def test_an_interrupt_ends_it_as_well(served: dict[str, Any]) -> None:
    served["signal"] = signal.SIGINT
    assert command.run(arguments()) == 0


def test_the_direct_way_runs_one_job_at_a_time(served: dict[str, Any]) -> None:
    command.run(arguments("--isolation", "direct"))
    assert served["parallel_jobs"] == 1


def test_what_it_prints_can_be_pasted(served: dict[str, Any], capsys: Any) -> None:
    command.run(arguments())
    said = capsys.readouterr().out
    assert said.startswith("The embedded SageMaker is ready at http://127.0.0.1:4599 (Ctrl-C ends it and its jobs)\n")
    exports = dict(
        shlex.split(line.strip().removeprefix("export "))[0].split("=", 1)
        for line in said.splitlines()
        if line.startswith("  export ")
    )
    assert exports["AWS_SECRET_ACCESS_KEY"] == "a b"
    connection = json.loads(exports["AIRFLOW_CONN_AWS_DEFAULT"])
    assert connection["extra"]["nbjobs"]["role"] == FACTS.role_arn
    assert f"isolation: none: {DESCRIPTIONS['none']}\n  passed over: userns: not here\n" in said
    assert "trusted code only" in said
    assert "Signatures are not verified" not in said


def test_a_key_of_a_file_is_not_printed_and_others_on_the_network_are_warned_of(
    served: dict[str, Any], key_file: Path, capsys: Any
) -> None:
    command.run(arguments("--bind", "192.0.2.1", "--key-file", str(key_file), "--allow-host", "a"))
    said = capsys.readouterr().out
    assert "ready at http://127.0.0.1:4599, for callers of a (Ctrl-C" in said
    assert f"The key is the one in {key_file}." in said
    assert "AKIA" not in said
    assert "Signatures are not verified: whoever can read its traffic has the key." in said


def test_the_ready_file_is_there_while_it_runs(
    served: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready, seen = tmp_path / "ready.json", []

    def welcome(*_: object) -> str:
        seen.append(read_ready_file(ready))
        return ""

    monkeypatch.setattr(command, "_welcome", welcome)
    assert command.run(arguments("--ready-file", str(ready))) == 0
    assert seen == [FACTS]
    assert not ready.exists()


def test_the_users_own_aws_settings_play_no_part(served: dict[str, Any]) -> None:
    os.environ.update(AWS_PROFILE="mine", MOTO_X="1", BOTO_CONFIG="x", OTHER="stays")
    command.run(arguments())
    of_aws = {name: value for name, value in served["environ"].items() if name.startswith(("AWS", "BOTO", "MOTO"))}
    assert of_aws == {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_DISABLE_GLOBAL_CORS": "true",
    }
    assert served["environ"]["OTHER"] == "stays"


def test_a_server_that_cannot_start_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def serve(**_: Any) -> Any:
        raise StartError("port 1 cannot be used")

    monkeypatch.setattr(server, "serve", serve)
    assert command.run(arguments()) == 2
    assert capsys.readouterr().err == "nbjobs local: port 1 cannot be used\n"


def test_it_ends_with_standard_input_on_request(served: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [b"x", b""]
    monkeypatch.setattr(os, "read", lambda *_: pieces.pop(0))
    served["ends_with_stdin"] = True
    assert command.run(arguments("--exit-with-stdin")) == 0
    assert pieces == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--region", "eu-west-9"], "no SageMaker Distribution account is known for the region 'eu-west-9'"),
        (["--region", "x"], "; known: af-south-1, "),
        (["--ready-file", "/no/such/folder/ready.json"], "the folder of --ready-file /no/such/folder/ready.json does not exist"),
        (["--warm-pool-quota", "-1"], "--warm-pool-quota is 0 or more, not -1"),
        (["--start-delay", "-0.5"], "--start-delay is 0 or more, not -0.5"),
        (["--start-delay", "inf"], "--start-delay is 0 or more, not inf"),
        (["--start-delay", "nan"], "--start-delay is 0 or more, not nan"),
        (["--jobs", "0"], "--jobs is 1 or more, not 0"),
        (["--metrics-period", "0.09"], "--metrics-period is 0.1 to 3600 seconds, not 0.09"),
        (["--metrics-period", "3601"], "--metrics-period is 0.1 to 3600 seconds, not 3601"),
        (["--isolation", "direct", "--jobs", "2"], "--isolation direct runs one training job at a time"),
        (["--bind", "localhost"], "--bind takes an IPv4 address, such as 127.0.0.1 or 0.0.0.0, not 'localhost'"),
        (["--bind", "192.0.2.1"], "--bind 192.0.2.1 lets others than this machine call"),
        (["--bind", "0.0.0.0", "--key-file", "k"], "--bind 0.0.0.0 needs the name under which others call: --allow-host NAME"),  # noqa: S104 - refused
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_cannot_work_is_refused_in_one_line(
    served: dict[str, Any], words: list[str], problem: str, capsys: Any
) -> None:
    assert command.run(arguments(*words)) == 2
    said = capsys.readouterr().err
    assert said.startswith("nbjobs local: ")
    assert problem in said
    assert said.count("\n") == 1
    assert served == {}


@pytest.mark.parametrize(
    "words",
    [
        ["--bind", "127.0.0.2"],
        ["--isolation", "direct", "--jobs", "1"],
        ["--metrics-period", "3600"],
        ["--start-delay", "0"],
    ],
    ids=" ".join,
)
def test_limits_themselves_are_taken(served: dict[str, Any], words: list[str]) -> None:
    assert command.run(arguments(*words)) == 0
    assert math.isfinite(served["start_seconds"])


def test_another_system_and_a_missing_extra_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert command.run(arguments()) == 2
    assert "runs on Linux and macOS, not on win32; on Windows use WSL 2" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "moto" else object())
    assert command.run(arguments()) == 2
    assert "needs the extra 'local' (moto missing): pip install 'airflow-nbjobs[local]'" in capsys.readouterr().err


# -- the key -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def write_key(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, mode: int = 0o600) -> Path:
        file = tmp_path / "key"
        file.write_text(text)
        file.chmod(mode)
        return file

    return write


@pytest.fixture
def key_file(write_key: Callable[..., Path]) -> Path:
    return write_key(f"[x]\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n")


def test_each_generated_key_is_another() -> None:
    one, other = generate_key(), generate_key()
    assert one.access_key_id != other.access_key_id
    assert one.secret_access_key != other.secret_access_key
    assert len(one.access_key_id) == len("AKIALOCAL") + 32


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_key_file_holds_one_key(write_key: Callable[..., Path], mode: int) -> None:
    file = write_key(f"[any]\naws_access_key_id={KEY}\naws_secret_access_key=s%x\nregion=x\n", mode)
    assert read_key_file(file) == Key(KEY, "s%x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold one section, with aws_access_key_id and aws_secret_access_key"),
        ("no section", "is no AWS credentials file"),
        (f"[a]\naws_access_key_id={KEY}\n", "must hold one section"),
        (f"[a]\naws_access_key_id={KEY}\naws_secret_access_key=\n", "must hold one section"),
        (f"[a]\naws_access_key_id={KEY}\naws_secret_access_key=s\n[b]\n", "must hold one section"),
        ("[a]\naws_access_key_id=AKIALOCAL0123456789\naws_secret_access_key=s\n", "must be 20 to 128 letters and digits"),
        (f"[a]\naws_access_key_id={'A' * 129}\naws_secret_access_key=s\n", "must be 20 to 128 letters and digits"),
        (f"[a]\naws_access_key_id={KEY}-\naws_secret_access_key=s\n", "must be 20 to 128 letters and digits"),
    ],
    ids=["empty", "text", "no secret", "empty secret", "two sections", "short", "long", "dash"],
)  # fmt: skip
def test_a_key_file_that_is_none_is_refused(write_key: Callable[..., Path], text: str, words: str) -> None:
    with pytest.raises(StartError, match=words):
        read_key_file(write_key(text))


@pytest.mark.parametrize("size", [20, 128])
def test_a_key_as_short_or_long_as_can_be_is_taken(write_key: Callable[..., Path], size: int) -> None:
    text = f"[a]\naws_access_key_id={'A' * size}\naws_secret_access_key=s\n"
    assert len(read_key_file(write_key(text)).access_key_id) == size


def test_a_key_that_everybody_may_read_or_nobody_is_refused(write_key: Callable[..., Path], tmp_path: Path) -> None:
    file = write_key(f"[a]\naws_access_key_id={KEY}\naws_secret_access_key=s\n", 0o604)
    assert file.stat().st_mode & stat.S_IROTH
    with pytest.raises(StartError, match="can be read by everybody on this machine: chmod o-r"):
        read_key_file(file)
    with pytest.raises(StartError, match="cannot be read: No such file or directory"):
        read_key_file(tmp_path / "none")
