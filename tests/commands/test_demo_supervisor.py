"""The supervisor ends whatever was started, however stubborn, when its owner closes the pipe or dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from demo_processes import marked_environment, marked_processes, until, until_none_is_left

from airflow_nbjobs.commands.demo.processes import DemoError, Supervised
from airflow_nbjobs.commands.demo.supervisor import remove_tree

STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()  # a daemon, as far from its family as a process can get
    if os.fork() == 0:
        print("up", flush=True)
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""
# Starts a supervisor, lets it start the program, says so, and waits to be killed.
OWNER = """
import os, sys, time
from airflow_nbjobs.commands.demo.processes import Supervised
supervised = Supervised(os.environ)
supervised.start("stubborn", [sys.executable, "-c", sys.argv[1]], environment=os.environ)
while not supervised.log_tail("stubborn"):
    time.sleep(0.05)
print(supervised.home, flush=True)
time.sleep(600)
"""


@pytest.fixture
def marker():
    """A marker whose processes are ended after the test, whatever it found."""
    marker = uuid.uuid4().hex
    yield marker
    for process in marked_processes(marker):
        process.kill()


def test_a_program_that_ends_is_reported_with_its_exit_code_and_output(marker):
    environment = marked_environment(marker)
    with Supervised(environment) as supervised:
        supervised.start(
            "short", [sys.executable, "-c", "print('last words'); raise SystemExit(7)"], environment=environment
        )
        until(lambda: supervised.exit_code("short") is not None, seconds=20, what=lambda: "the exit code")
        assert supervised.exit_code("short") == 7
        assert supervised.log_tail("short") == ["last words"]
        assert not supervised.has_ended()
        home = supervised.home
        assert home.stat().st_mode & 0o777 == 0o700
    assert not home.exists()
    assert marked_processes(marker) == []


def test_a_program_that_does_not_exist_is_reported(marker):
    environment = marked_environment(marker)
    with Supervised(environment) as supervised:
        supervised.start("none", ["/no/such/program"], environment=environment)
        until(lambda: supervised.exit_code("none") is not None, seconds=20, what=lambda: "the exit code")
        assert supervised.exit_code("none") == 127
        assert "No such file" in supervised.log_tail("none")[0]


def test_programs_can_be_interrupted_even_where_the_shell_ignores_interrupts(marker):
    """`nbjobs demo &` in a script starts with SIGINT ignored, and an ignored signal is inherited: standalone would never stop."""
    environment = marked_environment(marker)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Supervised(environment) as supervised:
            code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
            supervised.start("asks", [sys.executable, "-c", code], environment=environment)
            until(lambda: supervised.exit_code("asks") is not None, seconds=20, what=lambda: "the exit code")
            assert supervised.log_tail("asks") == ["True"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_killed_owner_leaves_no_process_and_no_file(marker):
    """The program ignores polite signals and has a daemon."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, STUBBORN], env=marked_environment(marker), stdout=subprocess.PIPE, text=True
    )
    home = Path(owner.stdout.readline().strip())
    assert home.is_dir()
    assert len(marked_processes(marker)) == 4  # owner, supervisor, program, daemon
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until_none_is_left(marker, seconds=20)
    assert not home.exists()


def test_a_killed_supervisor_is_noticed_and_its_programs_are_told(marker):
    environment = marked_environment(marker)
    with Supervised(environment) as supervised:
        supervised.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], environment=environment)
        mine = os.getpid()
        (supervisor,) = until(
            lambda: [process for process in marked_processes(marker) if process.ppid() == mine],
            seconds=10,
            what=lambda: "the supervisor",
        )
        until(lambda: len(marked_processes(marker)) == 2, seconds=10, what=lambda: marked_processes(marker))
        supervisor.kill()
        until(supervised.has_ended, seconds=10, what=lambda: "the end of the supervisor")
        if sys.platform == "linux":
            until_none_is_left(marker, seconds=10)
        home = supervised.home
    remove_tree(home)


def test_a_supervisor_that_cannot_start_is_an_error():
    with pytest.raises(DemoError, match="supervisor process did not start"):
        Supervised({"PYTHONHOME": "/nowhere", "PATH": os.defpath})


def test_a_tree_with_read_only_folders_is_removed(tmp_path):
    """As a job that makes its results read-only leaves it."""
    deep = tmp_path / "home" / "job" / "results"
    deep.mkdir(parents=True)
    (deep / "data.json").write_text(json.dumps({}))
    deep.chmod(0o500)
    remove_tree(tmp_path / "home")
    assert not (tmp_path / "home").exists()
