"""The script in front of the user's init script, sourced by a real bash as the driver does it."""

import json
import os
import re
import subprocess
import time

import pytest

from airflow_nbjobs.core.job.init_script import INIT_SCRIPT_NAME, init_script

NOTEBOOK = "job-1.ipynb"
# The driver's own frame: options, an EXIT trap, the source in its place, then what follows.
DRIVER = """\
trap 'echo "the driver ends with $?"' EXIT
set -ex
TRAINING_OUTPUT_PATH="$ML/output/data"
cd "$SM_EXECUTION_INPUT_PATH"
. "$SM_EXECUTION_INPUT_PATH/$SM_INIT_SCRIPT"
{ set +x; } 2>/dev/null
echo "after: $FROM_USER $- [$(jobs)]"
%s
"""


@pytest.fixture
def driver(tmp_path):
    """Runs a driver's frame with our script in it; what it does afterwards is bash."""
    folder, ml = tmp_path / "in", tmp_path / "ml"
    folder.mkdir()
    (ml / "output" / "data").mkdir(parents=True)

    class Driver:
        checkpoints = ml / "checkpoints"
        output = ml / "output" / "data" / NOTEBOOK

        def start(self, user_script=None, *, then="", live=True, cell_output=False, **environment):
            if user_script is not None:
                (folder / "user init.sh").write_text(user_script)
            text = init_script("user init.sh" if user_script is not None else None, live=live, cell_output=cell_output)
            (folder / INIT_SCRIPT_NAME).write_text(text)
            variables = {
                "ML": str(ml),
                "SM_EXECUTION_INPUT_PATH": str(folder),
                "SM_INIT_SCRIPT": INIT_SCRIPT_NAME,
                "SM_OUTPUT_NOTEBOOK_NAME": NOTEBOOK,
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "TMPDIR": str(tmp_path),
            }
            return subprocess.Popen(
                ["bash", "-c", DRIVER % then],
                env=variables | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

        def run(self, *arguments, **options):
            process = self.start(*arguments, **options)
            said, _ = process.communicate(timeout=30)
            return process.returncode, said

    return Driver()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read(path):
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def test_nothing_is_staged_where_nothing_was_asked_for():
    assert init_script("user.sh", live=False, cell_output=False) is None


def test_the_users_script_comes_last_with_its_variables_its_status_and_the_drivers_options(driver):
    code, said = driver.run('export FROM_USER="here $PWD"; wait')
    assert code == 0
    # `wait` did not wait for the copying, which is no job of the driver's shell either; -e is still set.
    (line,) = [line for line in said.splitlines() if line.startswith("after: ")]
    assert re.fullmatch(r"after: here .*/in [a-zA-Z]*e[a-zA-Z]* \[\]", line)
    assert said.endswith("the driver ends with 0\n")


@pytest.mark.parametrize("script", ["false", "exit 3", "return 4", "trap 'true' USR1; (exit 5)"])
def test_a_script_that_fails_fails_the_job_as_without_ours(driver, script):
    code, said = driver.run(script)
    expected = {"false": 1, "exit 3": 3, "return 4": 4}.get(script, 5)
    assert code == expected
    assert f"the driver ends with {expected}" in said


def test_the_trace_in_the_log_says_nothing_of_the_copying(driver):
    _, said = driver.run("true")
    assert "checkpoints" not in said
    assert "mktemp" not in said


def test_the_notebook_is_copied_as_it_changes_and_never_half_written(driver):
    process = driver.start(then="read -r line")
    driver.output.write_text('{"cells": [1')  # papermill writes in place
    time.sleep(1.2)
    assert not (driver.checkpoints / NOTEBOOK).exists()
    driver.output.write_text('{"cells": [1]}\n')
    until(lambda: read(driver.checkpoints / NOTEBOOK) == {"cells": [1]})
    driver.output.write_text('{"cells": [1, 2]}')
    until(lambda: read(driver.checkpoints / NOTEBOOK) == {"cells": [1, 2]})
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def test_the_copying_ends_with_the_driver_and_does_not_hold_its_log(driver, tmp_path):
    began = time.monotonic()
    code, _ = driver.run("true")  # returns when the pipe is closed by all who had it
    assert code == 0
    assert time.monotonic() - began < 10

    def copiers():
        found = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
        return found.stdout.split()

    until(lambda: not copiers())


@pytest.mark.parametrize("trouble", ["file", "gone"])
def test_a_folder_that_cannot_be_written_costs_the_copy_only(driver, trouble):
    if trouble == "file":
        driver.checkpoints.write_text("in the way")
        script = None
    else:
        driver.checkpoints.mkdir()  # as SageMaker does; else `rm` may fail by what ours makes while it looks
        script = 'rm -rf "$ML/checkpoints"; export TMPDIR=/nowhere'
    process = driver.start(script, then="read -r line")
    driver.output.write_text("{}")
    time.sleep(1.2)
    said, _ = process.communicate("\n", timeout=30)
    assert process.returncode == 0, said


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("init.sh",), ['. "$SM_EXECUTION_INPUT_PATH"/init.sh']),
        (
            ("my init.sh", "a b"),
            ["cd \"$SM_EXECUTION_INPUT_PATH\"/'a b'", ". \"$SM_EXECUTION_INPUT_PATH\"/'my init.sh'"],
        ),
        ((None, "a b"), []),
    ],
)
def test_the_users_script_runs_beside_its_notebook(arguments, lines):
    user_script, *subfolder = arguments
    text = init_script(user_script, live=False, cell_output=True, **dict(zip(["subfolder"], subfolder, strict=False)))
    place = '"$SM_EXECUTION_INPUT_PATH"/'
    assert [line for line in text.splitlines() if line.startswith((f". {place}", f"cd {place}"))] == lines


def test_without_live_nothing_is_copied():
    for text in (
        init_script(None, live=False, cell_output=True),
        init_script("user.sh", live=False, cell_output=False, subfolder="reports"),
    ):
        assert "checkpoints" not in text
        assert "SM_OUTPUT_NOTEBOOK_NAME" not in text
    assert "IPYTHONDIR" not in init_script(None, live=True, cell_output=False)


def test_cells_may_print_to_the_log_and_the_images_own_configuration_is_kept(driver, tmp_path):
    profile = tmp_path / "image" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text("get_config().IPKernelApp.matplotlib = 'agg'\n")
    code, said = driver.run(
        live=False,
        cell_output=True,
        then='echo; cat "$IPYTHONDIR/profile_default/ipython_kernel_config.py"',
        IPYTHONDIR=str(tmp_path / "image"),
    )
    assert code == 0
    assert "get_config().IPKernelApp.matplotlib = 'agg'\n" in said
    assert "get_config().IPKernelApp.quiet = False\n" in said
    assert "quiet" not in (profile / "ipython_kernel_config.py").read_text()


@pytest.mark.parametrize(
    ("user_script", "options"),
    [
        (None, {"live": False, "cell_output": False}),
        ("user.sh", {"live": False, "cell_output": False}),
        (None, {"live": False, "cell_output": False, "subfolder": "reports"}),
    ],
    ids=str,
)
def test_where_nothing_is_to_be_added_there_is_no_script_of_ours(user_script, options):
    assert init_script(user_script, **options) is None


@pytest.mark.parametrize(
    ("user_script", "options", "parts"),
    [
        (None, {"live": True, "cell_output": False}, "L"),
        (None, {"live": False, "cell_output": True}, "C"),
        (None, {"live": True, "cell_output": True}, "LC"),
        ("user.sh", {"live": True, "cell_output": True}, "LCU"),
        ("user.sh", {"live": False, "cell_output": False, "subfolder": "reports"}, "FU"),
        ("user.sh", {"live": True, "cell_output": True, "subfolder": "reports"}, "LCFU"),
        (None, {"live": True, "cell_output": True, "subfolder": "reports"}, "LC"),
    ],
    ids=str,
)
def test_each_part_of_the_script_is_there_where_it_is_asked_for_the_users_own_last(user_script, options, parts):
    text = init_script(user_script, **options)
    marks = {
        "L": "while kill -0 $$",
        "C": "IPKernelApp.quiet = False",
        "F": 'cd "$SM_EXECUTION_INPUT_PATH"/reports\n',
        "U": '. "$SM_EXECUTION_INPUT_PATH"/user.sh\n',
    }
    found = sorted((text.index(mark), part) for part, mark in marks.items() if mark in text)
    assert "".join(part for _, part in found) == parts
    assert text.endswith("\n")
    assert text.startswith("# Written by airflow-nbjobs.\n")
