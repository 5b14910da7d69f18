"""The program that runs a container, in a fork of this process: what its entrypoint sees, how its end is told, and what is killed with it."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_nbjobs.local.container import isolation
from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.container.isolation import KILLED, SETUP_FAILED, ContainerSpec
from airflow_nbjobs.local.container.probe import try_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SHELL = ("/bin/sh", "-c")


class Started:
    """A container whose outermost process is a fork of this one."""

    def __init__(self, tmp_path: Path, **changes: Any) -> None:
        control_read, self.control = os.pipe()
        status_read, status_write = os.pipe()
        output_read, output_write = os.pipe()
        for name in ("root", "ml", "tmp", "home"):
            (tmp_path / name).mkdir(exist_ok=True)
        fields: dict[str, Any] = {
            "way": "none",
            "root": str(tmp_path / "root"),
            "opt_ml": str(tmp_path / "ml"),
            "tmp": str(tmp_path / "tmp"),
            "home": str(tmp_path / "home"),
            "keep": (),
            "argv": ("/bin/true",),
            "cwd": "/",
            "has_network": True,
            "environment": {"PATH": "/usr/bin:/bin"},
            "server_pid": os.getpid(),
            "control_fd": control_read,
            "status_fd": status_write,
        }
        spec = tmp_path / "spec.json"
        spec.write_text(json.dumps(asdict(ContainerSpec(**fields | changes))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads, which this one does not use
            self.pid = os.fork()
        if not self.pid:
            code = 99
            try:
                os.setsid()
                for unused in (self.control, status_read, output_read):
                    os.close(unused)
                os.dup2(output_write, 1)
                os.dup2(output_write, 2)
                os.close(output_write)
                code = isolation.main(str(spec))
            finally:
                os._exit(code)
        for descriptor in (control_read, status_write, output_write):
            os.close(descriptor)
        self._status, self._output = status_read, output_read
        self._code: int | None = None

    def read_line(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self._output], [], [], 20)[0], f"said {line!r} and no more"
            piece = os.read(self._output, 1)
            assert piece, f"ended after {line!r}"
            line += piece
        return line.decode().rstrip("\n")

    def kill(self) -> None:
        os.close(self.control)
        self.control = -1

    def wait(self) -> int:
        if self._code is None:
            end = time.monotonic() + 20
            while True:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    break
                assert time.monotonic() < end, "it does not end"
                time.sleep(0.005)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def report(self) -> dict[str, Any] | None:
        with os.fdopen(self._status, "rb") as status:
            text = status.read()
        self._status = -1
        return json.loads(text) if text else None

    def output(self) -> str:
        pieces = []
        while piece := os.read(self._output, 65536):
            pieces.append(piece)
        return b"".join(pieces).decode()

    def close(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        for descriptor in (self.control, self._status, self._output):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    made: list[Started] = []

    def starting(script: str = "", **changes: Any) -> Started:
        arguments = {"argv": (*SHELL, script)} if script else {}
        made.append(Started(tmp_path, **arguments | changes))
        return made[-1]

    yield starting
    for each in made:
        each.close()


# Without namespaces, and with those that this machine gives.
WAYS = ["none", "userns", "root"]


@pytest.fixture(scope="module")
def problems() -> dict[str, str | None]:
    image = inspect_image(Path(sys.prefix))
    return {way: try_way(way, image) for way in WAYS}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, problems: dict[str, str | None]) -> str:
    if problem := problems[request.param]:
        pytest.skip(f"{request.param}: {problem}")
    return str(request.param)


@pytest.fixture(params=["userns", "root"])
def namespace_way(request: pytest.FixtureRequest, problems: dict[str, str | None]) -> str:
    if problem := problems[request.param]:
        pytest.skip(f"{request.param}: {problem}")
    return str(request.param)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_exit_code_is_the_entrypoints_and_128_more_than_its_signal(
    start: Callable[..., Started], way: str, script: str, code: int
) -> None:
    container = start(script, way=way)
    assert container.report() is None
    assert container.wait() == code


def test_an_entrypoint_that_cannot_be_executed_is_reported(start: Callable[..., Started], way: str) -> None:
    container = start(argv=("no-such-program",), way=way)
    report = container.report()
    assert report is not None
    assert (report["stage"], report["errno"]) == ("exec", 2)
    assert "No such file or directory" in report["text"]
    assert container.wait() == 127


def test_a_folder_that_is_not_there_is_reported(start: Callable[..., Started]) -> None:
    report = start("exit 0", cwd="/no/such/folder").report()
    assert report is not None
    assert (report["stage"], report["errno"]) == ("exec", 2)


def test_a_container_that_cannot_be_made_is_reported(
    start: Callable[..., Started], namespace_way: str, tmp_path: Path
) -> None:
    container = start("exit 0", way=namespace_way, opt_ml=str(tmp_path / "missing"))
    report = container.report()
    assert report is not None
    assert (report["stage"], report["errno"]) == ("setup", 2)
    assert "mount" in report["text"]
    assert container.wait() == SETUP_FAILED


# -- what the entrypoint sees ------------------------------------------------------------------------------------------


def test_the_entrypoint_has_its_environment_and_nothing_else(start: Callable[..., Started], way: str) -> None:
    container = start(argv=("env",), environment={"PATH": "/usr/bin:/bin", "A": "1"}, way=way, cwd="/usr")
    lines = set(container.output().splitlines())
    assert container.wait() == 0
    assert lines == {"PATH=/usr/bin:/bin", "A=1"}
    assert start("pwd", way=way, cwd="/usr").output() == "/usr\n"


def test_stdout_and_stderr_are_one(start: Callable[..., Started], way: str) -> None:
    assert start("echo out; echo err >&2", way=way).output() == "out\nerr\n"


def test_signals_have_their_own_meaning_again(start: Callable[..., Started], way: str) -> None:
    """Python ignores SIGPIPE, and the program blocks those that it forwards."""
    said = start(argv=("cat", "/proc/self/status"), way=way).output()
    masks = dict(line.split(":\t") for line in said.splitlines() if line.startswith("Sig"))
    for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
        bit = 1 << (number - 1)
        assert not int(masks["SigBlk"], 16) & bit
        assert not int(masks["SigIgn"], 16) & bit


def test_the_jobs_folders_are_where_sagemaker_has_them(
    start: Callable[..., Started], namespace_way: str, tmp_path: Path
) -> None:
    for name in ("ml", "tmp", "home"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mark").write_text(f"of {name}\n")
    script = "cat /opt/ml/mark /tmp/mark /home/sagemaker-user/mark; echo new > /opt/ml/new; ls -A /tmp; id -u"
    container = start(script, way=namespace_way)
    assert container.output().splitlines() == ["of ml", "of tmp", "of home", "mark", "0"]
    assert (tmp_path / "ml" / "new").read_text() == "new\n"


def test_what_is_kept_of_tmp_stays_visible(start: Callable[..., Started], namespace_way: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as kept, tempfile.TemporaryDirectory(dir="/tmp") as hidden:
        Path(kept, "mark").write_text("kept")
        said = start(f"cat {kept}/mark; test -e {hidden} || echo hidden", way=namespace_way, keep=(kept,)).output()
    assert said == "kepthidden\n"


def test_only_its_own_processes_are_there(start: Callable[..., Started], namespace_way: str) -> None:
    said = start("echo $$; ls -d /proc/[0-9]* | wc -l; readlink /proc/self >/dev/null && echo ok", way=namespace_way)
    pid, count, ok = said.output().split()
    assert int(pid) < 10, "PID 1 is the program's own"
    assert int(count) < 8
    assert ok == "ok"


@pytest.mark.parametrize("has_network", [True, False])
def test_without_a_network_there_is_the_loopback_alone(
    start: Callable[..., Started], namespace_way: str, has_network: bool
) -> None:
    script = "tail -n +3 /proc/net/dev | cut -d: -f1"
    interfaces = start(script, way=namespace_way, has_network=has_network).output().split()
    assert "lo" in interfaces
    if not has_network:
        assert interfaces == ["lo"]
        # An address that the kernel routes: the loopback is up.
        routes = start("cat /proc/net/fib_trie", way=namespace_way, has_network=False).output()
        assert "127.0.0.1" in routes


# -- who ends whom -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on(start: Callable[..., Started], way: str, number: int) -> None:
    name = signal.Signals(number).name.removeprefix("SIG")
    container = start(f"trap 'echo told; exit 5' {name}; echo ready; sleep 60 & wait", way=way)
    assert container.read_line() == "ready"
    os.kill(container.pid, number)
    assert container.read_line() == "told"
    container.kill()
    container.wait()


def test_a_signal_ends_with_the_entrypoints_code(start: Callable[..., Started], way: str) -> None:
    container = start("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", way=way)
    assert container.read_line() == "ready"
    os.kill(container.pid, signal.SIGTERM)
    assert container.wait() == 5


SLEEPERS = (
    "setsid sh -c 'echo $$ >> {0}/pids; exec sleep 987' & echo $$ >> {0}/pids; sleep 0.05; echo ready; exec sleep 987"
)


def test_the_end_of_the_control_pipe_kills_all_of_it(start: Callable[..., Started], tmp_path: Path) -> None:
    """The server's death closes it."""
    container = start(SLEEPERS.format(tmp_path))
    assert container.read_line() == "ready"
    until(lambda: len((tmp_path / "pids").read_text().split()) == 2)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(runs(pid) for pid in pids)
    container.kill()
    assert container.wait() == KILLED
    assert not any(runs(pid) for pid in pids)


def test_in_namespaces_the_end_of_the_control_pipe_kills_as_well(
    start: Callable[..., Started], namespace_way: str
) -> None:
    container = start("setsid sleep 987 & echo ready; exec sleep 987", way=namespace_way)
    assert container.read_line() == "ready"
    container.kill()
    assert container.wait() == KILLED
    assert container.output() == "", "nobody holds its output"


def test_what_the_entrypoint_leaves_behind_ends_with_it(start: Callable[..., Started], tmp_path: Path) -> None:
    container = start(f"setsid sh -c 'echo $$ > {tmp_path}/orphan; exec sleep 987' & sleep 0.1; exit 4")
    assert container.wait() == 4
    orphan = int((tmp_path / "orphan").read_text())
    assert not runs(orphan)


def test_an_orphan_that_ends_does_not_end_the_container(start: Callable[..., Started], way: str) -> None:
    container = start("(setsid sh -c 'exit 9' &) ; sleep 0.05; echo on; exit 2", way=way)
    assert container.read_line() == "on"
    assert container.wait() == 2


def test_a_container_of_a_server_that_is_gone_does_not_begin(start: Callable[..., Started], namespace_way: str) -> None:
    container = start("echo began", way=namespace_way, server_pid=1)
    assert container.wait() == KILLED
    assert container.output() == ""


# -- what the program knows of processes -------------------------------------------------------------------------------


def test_descendants_are_known_over_generations(start: Callable[..., Started], tmp_path: Path) -> None:
    container = start(f"sh -c 'sh -c \"echo \\$\\$ > {tmp_path}/deep; exec sleep 987\"; true' & echo ready; wait")
    assert container.read_line() == "ready"
    until(lambda: (tmp_path / "deep").exists() and (tmp_path / "deep").read_text().strip() != "")
    deep = int((tmp_path / "deep").read_text())
    found = isolation._descendants(os.getpid())
    assert container.pid in found
    assert deep in found
    assert os.getpid() not in found
    assert isolation._descendants(deep) == []
    container.kill()
    assert container.wait() == KILLED


def test_folders_that_are_not_there_have_no_names(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert isolation._names(str(tmp_path)) == ["a"]
    assert isolation._names(str(tmp_path / "a")) == isolation._names(str(tmp_path / "none")) == []
