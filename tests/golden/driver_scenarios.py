"""
Ends that the notebook-job driver can come to, each with what is known of it from the driver's own script; compared by ``test_driver.py``.

Source: ``sagemaker-headless-execution-driver`` 0.0.13, ``scripts/headless_execution.sh`` and ``notebookrunner.py``; papermill 2.7.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from fakes import code, notebook

LOG = "sagemaker_job_execution.log"
INPUT = "report.ipynb"
EXECUTED = "EXECUTED"  # stands for the name that the job gives its executed notebook

_KILL_THE_DRIVER = """
import os, pathlib, signal
runner = os.getppid()
driver = int(pathlib.Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[1])
os.kill(driver, signal.SIGKILL)
import time; time.sleep(60)
"""
_WRITES = """
import pathlib
folder = pathlib.Path("/opt/ml/output/data/deep")
folder.mkdir()
(folder / "days.csv").write_text(company)
pathlib.Path("/opt/ml/model/weights").write_text("1")
pathlib.Path("beside.txt").write_text("stays in the input folder, which is not uploaded")
"""
SLEEPS = "the second cell sleeps"
# papermill prints no cell's output, so the cell writes to where its runner's stdout goes: by then papermill has saved that the cell runs.
_SLEEP_LONG = f"""
import os, time
with open(f"/proc/{{os.getppid()}}/fd/1", "w") as printed:
    print({SLEEPS!r}, file=printed)
time.sleep(600)
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    One container's life.

    :param environment: over the ordinary variables; an empty text takes one away.
    :param exit_code: of the driver.
    :param reason: how the failure's text begins, and a part of what follows in it or in the log.
    :param members: files at the root of ``output.tar.gz``.
    :param stop_when_printed: ask for a stop once this has been printed.
    :param ends_at_once: within milliseconds, before the tee of the driver's log may have written or even made its file.
    """

    files: dict[str, bytes]
    exit_code: int = 0
    reason: tuple[str, str] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    hyperparameters: dict[str, str] = field(default_factory=dict)
    members: frozenset[str] = frozenset({INPUT, EXECUTED, LOG})
    model: frozenset[str] = frozenset()
    stop_when_printed: str | None = None
    ends_at_once: bool = False


NO_NOTEBOOK_RAN = frozenset({INPUT, LOG})
_CELL = "[SM-111] Error with executing notebook"
_BEFORE = "[SM-101] Error with "


def _script(text: str, name: str = "init.sh") -> dict[str, bytes]:
    return {INPUT: notebook("import os\nprint(os.environ.get('READY'))"), name: text.encode()}


def _in_language(raw: bytes, language: str) -> bytes:
    """Return the notebook as Jupyter saves it once a kernel has told its language; the driver then asks no kernelspec for it."""
    content = json.loads(raw)
    content["metadata"]["language_info"] = {"name": language}
    return json.dumps(content).encode()


SCENARIOS: dict[str, Scenario] = {
    "completes": Scenario(
        {
            INPUT: notebook(code("company = 'acme'", "parameters"), "%run helper.ipynb", "print(helped)", _WRITES),
            "helper.ipynb": notebook("helped = f'{company} was helped'"),
        },
        hyperparameters={"company": "amazon"},
        members=frozenset({INPUT, EXECUTED, LOG, "deep/days.csv"}),
        model=frozenset({"weights"}),
    ),
    "cell-raises": Scenario(
        {INPUT: notebook("x = 1", "1 / 0", "print('never')")}, 1, (_CELL, "ZeroDivisionError: division by zero")
    ),
    "kernel-killed": Scenario(
        {INPUT: notebook("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")},
        1,
        (_CELL, "nbclient.exceptions.DeadKernelError: Kernel died"),
    ),
    "kernel-unknown": Scenario(
        {INPUT: notebook("1")},
        1,
        (_BEFORE + "executing notebook", "jupyter_client.kernelspec.NoSuchKernel: No such kernel named nope-kernel"),
        {"SM_KERNEL_NAME": "nope-kernel"},
        members=NO_NOTEBOOK_RAN,
    ),
    "kernel-unknown-of-a-known-language": Scenario(
        {INPUT: _in_language(notebook("1"), "python")},
        1,
        (_CELL, "jupyter_client.kernelspec.NoSuchKernel: No such kernel named nope-kernel"),
        {"SM_KERNEL_NAME": "nope-kernel"},
    ),
    "language-of-the-kernelspec-does-not-count": Scenario(
        {INPUT: notebook("company = 'acme'", "print(company)", language="cobol")},
        hyperparameters={"company": "amazon"},
    ),
    "language-without-translator": Scenario(
        {INPUT: _in_language(notebook("1"), "cobol")},
        1,
        (_BEFORE + "executing notebook", "No parameter translator functions specified for kernel"),
        hyperparameters={"company": "amazon"},
        members=NO_NOTEBOOK_RAN,
    ),
    "notebook-absent": Scenario(
        {"other.ipynb": notebook("1")},
        1,
        ("[SM-001] Error with Prepare the input notebook", "Cannot find input notebook: /opt/ml/input/data/"),
        members=frozenset({LOG}),
        ends_at_once=True,
    ),
    "notebook-no-json": Scenario(
        {INPUT: b'{"cells": ['}, 1, (_BEFORE + "executing notebook", "NotJSONError"), members=NO_NOTEBOOK_RAN
    ),
    "notebook-without-cells": Scenario(
        {INPUT: b"{}"}, 1, (_BEFORE + "executing notebook", "Traceback"), members=NO_NOTEBOOK_RAN
    ),
    "notebook-with-brace": Scenario(
        {"{day}.ipynb": notebook("1")},
        1,
        (_BEFORE + "executing notebook", "PapermillMissingParameterException"),
        {"SM_INPUT_NOTEBOOK_NAME": "{day}.ipynb"},
        hyperparameters={"company": "amazon"},
        members=frozenset({"{day}.ipynb", LOG}),
    ),
    "init-fails": Scenario(
        _script("echo checking\nfalse\necho never\n"),
        1,
        (_BEFORE + "running init script", "checking"),
        {"SM_INIT_SCRIPT": "init.sh"},
        members=NO_NOTEBOOK_RAN,
    ),
    "init-exits-with-7": Scenario(
        _script("exit 7\n"),
        7,
        (_BEFORE + "running init script", ""),
        {"SM_INIT_SCRIPT": "init.sh"},
        members=NO_NOTEBOOK_RAN,
    ),
    "init-exits-with-0": Scenario(_script("exit 0\n"), 0, None, {"SM_INIT_SCRIPT": "init.sh"}, members=NO_NOTEBOOK_RAN),
    "init-absent": Scenario(
        {INPUT: notebook("1")},
        1,
        (_BEFORE + "running init script", "No such file or directory"),
        {"SM_INIT_SCRIPT": "init.sh"},
        members=NO_NOTEBOOK_RAN,
    ),
    "init-exports": Scenario(_script("export READY=yes\n"), 0, None, {"SM_INIT_SCRIPT": "init.sh"}),
    "lifecycle-script-exits-with-3": Scenario(
        _script("exit 3\n", "lcc.sh"),
        3,
        (_BEFORE + "running LCC script as init-script", ""),
        {"SM_LCC_INIT_SCRIPT": "lcc.sh"},
        members=NO_NOTEBOOK_RAN,
    ),
    "definition-version": Scenario(
        {INPUT: notebook("1")},
        1,
        (_BEFORE + "checking sagemaker job definition version", "Cannot handle SageMaker job definition version: 2.0"),
        {"SM_JOB_DEF_VERSION": "2.0"},
        members=NO_NOTEBOOK_RAN,
        ends_at_once=True,
    ),
    "no-output-name": Scenario(
        {INPUT: notebook("1")},
        1,
        (_BEFORE + "executing notebook", "ERROR - Output notebook name is not specified."),
        {"SM_OUTPUT_NOTEBOOK_NAME": ""},
        members=NO_NOTEBOOK_RAN,
    ),
    "efs-without-a-path": Scenario(
        {INPUT: notebook("1")},
        1,
        (_BEFORE + "creating symbol link to simulate the EFS mounting path", ""),
        {"SM_SKIP_EFS_SIMULATION": ""},
        members=NO_NOTEBOOK_RAN,
    ),
    "format-unknown": Scenario({INPUT: notebook("1")}, 1, (_CELL, "Unknown exporter"), {"SM_OUTPUT_FORMATS": "nope"}),
    "format-html": Scenario(
        {INPUT: notebook("1")},
        0,
        None,
        {"SM_OUTPUT_FORMATS": "html"},
        members=frozenset({INPUT, EXECUTED, f"{EXECUTED}.html", LOG}),
    ),
    "leaves-with-0": Scenario({INPUT: notebook("import sys\nsys.exit(0)", "print('never')")}),
    "leaves-with-3": Scenario({INPUT: notebook("import sys\nsys.exit(3)")}, 1, (_CELL, "SystemExit: 3")),
    "leaves-with-none": Scenario({INPUT: notebook("import sys\nsys.exit()", "print('never')")}),
    "runs-what-is-absent": Scenario({INPUT: notebook("%run helper.ipynb")}, 1, (_CELL, "helper.ipynb")),
    "output-name-rewritten": Scenario(
        {INPUT: notebook("1")},
        0,
        None,
        {"SM_OUTPUT_NOTEBOOK_NAME": "My.Job:2-.ipynb"},
        members=frozenset({INPUT, "My-Job-2.ipynb", LOG}),
    ),
    "driver-killed": Scenario(
        {INPUT: notebook("print('first')", _KILL_THE_DRIVER)}, 137, ("", ""), members=frozenset({INPUT, EXECUTED})
    ),
    "stopped": Scenario({INPUT: notebook("print('first')", _SLEEP_LONG)}, 143, None, stop_when_printed=SLEEPS),
}
