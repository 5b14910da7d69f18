"""
A real Airflow with its own UI, whose tasks have really run on the embedded SageMaker.

Runs are made by ``airflow dags test`` (real operators, jobs, kernels, XComs), then ``airflow api-server`` serves the same database.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

import nbformat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

RUN_SECONDS = 1800
START_SECONDS = 600
PASSWORDS = {"admin": "admin-secret", "viewer": "viewer-secret", "nobody": "nobody-secret"}

DAG_FILE = """
import os
from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("notebooks", schedule=None, start_date=datetime(2026, 1, 1)):
    SageMakerNotebookJobOperator(
        task_id="good",
        input_notebook="good.ipynb",
        parameters={"epochs": 3, "model": "baseline", "rates": [0.1, 0.01]},
        outputs={"accuracy": float, "best": dict},
    )
    SageMakerNotebookJobOperator(task_id="interactive", input_notebook="interactive.ipynb")
    SageMakerNotebookJobOperator(task_id="broken", input_notebook="broken.ipynb", parameters={"divisor": 0})
    SageMakerNotebookJobOperator(task_id="died", input_notebook="died.ipynb")
    SageMakerNotebookJobOperator(task_id="refused", input_notebook="small.ipynb", parameters={"valeu": 3})
    SageMakerNotebookJobOperator(
        task_id="flaky", input_notebook="flaky.ipynb", outputs=["attempt"], retries=1, retry_delay=timedelta(seconds=1)
    )
    SageMakerNotebookJobOperator.partial(task_id="mapped", input_notebook="small.ipynb", outputs=["square"]).expand(
        parameters=[{"value": 3}, {"value": 5}]
    )

    @task
    def plain() -> str:
        return "no notebook here"

    plain()

with DAG("live", schedule=None, start_date=datetime(2026, 1, 1)):
    SageMakerNotebookJobOperator(
        task_id="live",
        input_notebook="live.ipynb",
        outputs=["steps"],
        live_notebook=True,
        environment_variables={"ROOT": os.environ["AIRFLOW__NBJOBS__S3_ROOT_URI"]},
    )

with DAG("machine", schedule=None, start_date=datetime(2026, 1, 1)):
    SageMakerNotebookJobOperator.partial(
        task_id="sized", input_notebook="machine.ipynb", instance_type="ml.t3.large", live_notebook=False
    ).expand(parameters=[{"value": number} for number in range(6)])

with DAG(
    "asked",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"value": Param(3, type="integer", minimum=0), "note": Param("none", type="string")},
):
    SageMakerNotebookJobOperator(task_id="small", input_notebook="small.ipynb", parameters={"value": "{{ params.value }}"})

with DAG("other", schedule=None, start_date=datetime(2026, 1, 1)):
    SageMakerNotebookJobOperator(task_id="good", input_notebook="small.ipynb", parameters={"value": 7}, outputs=["square"])
"""

GOOD = [
    (
        "md",
        "# Sentiment baseline\n\nTrains a *small* model and says how good it is. Formulas are set: $a^2 + b^2$.\n\n- reads the data\n- trains `epochs` times\n\n| column | meaning |\n|---|---|\n| loss | cross entropy |",
    ),
    ("parameters", "epochs = 1\nmodel = 'none'\nrates = []"),
    ("md", "## Data"),
    (
        "code",
        "import pandas as pd\nframe = pd.DataFrame({'sentence': ['a fine film', 'a long one', 'not for me'], 'label': [1, 0, 0], 'score': [0.91, 0.42, 0.13]})\nframe",
    ),
    (
        "code",
        "import sys\nfor line in range(120):\n    print(f'reading shard {line:03d} of 120')\nprint('one shard was empty', file=sys.stderr)",
    ),
    ("md", "## Training"),
    (
        "code",
        "import time\nhistory = []\nfor epoch in range(epochs):\n    time.sleep(0.3)\n    loss = round(1 / (epoch + 1.5), 3)\n    history.append(loss)\n    print(f'\\x1b[32mepoch {epoch + 1}\\x1b[0m loss {loss}')",
    ),
    (
        "code",
        "import matplotlib\nmatplotlib.use('module://matplotlib_inline.backend_inline')\nimport matplotlib.pyplot as plt\nfigure, axes = plt.subplots(figsize=(5.5, 2.8))\naxes.plot(range(1, epochs + 1), history, marker='o')\naxes.set_xlabel('epoch')\naxes.set_ylabel('loss')\nplt.show()",
    ),
    ("md", "## Result"),
    ("code", "accuracy = 0.875\nbest = {'model': model, 'epoch': epochs}\nbest"),
]
BROKEN = [
    ("md", "# A notebook that fails"),
    ("parameters", "divisor = 1"),
    ("md", "## Preparation"),
    ("code", "values = list(range(10))\nprint('prepared', len(values), 'values')"),
    ("md", "## The step that fails"),
    ("code", "def share(total, parts):\n    return total / parts\n\nshare(sum(values), divisor)"),
    ("md", "## Never reached"),
    ("code", "print('never')"),
]
DIED = [
    ("code", "print('begun')"),
    ("code", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
    ("code", "print('never')"),
]
FLAKY = [
    ("md", "# Fails the first time"),
    (
        "code",
        "import os\nattempt = int(os.environ['NBJOBS_TRY_NUMBER'])\nif attempt == 1:\n    raise RuntimeError('the first try fails')\nprint('the second one does not')",
    ),
]
# Goes on from step to step as a test says so, by an object in S3.
LIVE = [
    ("md", "# A notebook that fills in"),
    (
        "code",
        "import boto3, os, time\nbucket = os.environ['ROOT'].split('/')[2]\n\ndef await_word(word):\n    while not boto3.client('s3').list_objects_v2(Bucket=bucket, Prefix=f'live-test/{word}')['KeyCount']:\n        time.sleep(0.2)\n\nprint('step one')",
    ),
    ("code", "await_word('two')\nprint('step two')"),
    ("code", "await_word('three')\nprint('step three')"),
    ("code", "await_word('end')\nsteps = 4\nprint('step four')"),
]
INTERACTIVE = [
    ("md", "# A plot that draws itself"),
    (
        "code",
        'from IPython.display import HTML\nHTML(\'<p id=plot>not drawn</p><script>document.getElementById("plot").textContent = "drawn"</script>\')',
    ),
]
# Holds 600 MiB for some seconds, in which it does next to nothing.
MACHINE = [
    ("md", "# What a machine is needed for"),
    ("parameters", "value = 0"),
    ("code", "held = bytearray(b'x') * (600 * 2**20)"),
    ("code", "import time\ntime.sleep(6)"),
    ("code", "del held\nprint('done with', value)"),
]
SMALL = [("parameters", "value = 1"), ("code", "square = value * value\nsquare")]
NOTEBOOKS = {
    "good": GOOD,
    "interactive": INTERACTIVE,
    "broken": BROKEN,
    "died": DIED,
    "flaky": FLAKY,
    "live": LIVE,
    "machine": MACHINE,
    "small": SMALL,
}


def notebook(cells: list[tuple[str, str]]) -> str:
    made = nbformat.v4.new_notebook()
    made.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    for kind, source in cells:
        if kind == "md":
            made.cells.append(nbformat.v4.new_markdown_cell(source))
        else:
            metadata = {"tags": ["parameters"]} if kind == "parameters" else {}
            made.cells.append(nbformat.v4.new_code_cell(source, metadata=metadata))
    return nbformat.writes(made)


def write_dags(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notebooks.py").write_text(DAG_FILE)
    for name, cells in NOTEBOOKS.items():
        (folder / f"{name}.ipynb").write_text(notebook(cells))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class AirflowUi:
    """One Airflow home; ``url`` is there while ``serving()``."""

    def __init__(self, home: Path, sagemaker: EmbeddedSageMaker, **environment: str) -> None:
        facts = sagemaker.facts
        self.home = home
        self.log_name = "api-server.log"
        self.dags = home / "dags"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        write_dags(self.dags)
        home.joinpath("passwords.json").write_text(json.dumps(PASSWORDS))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
        self.environment = (
            kept
            | {
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
                "AIRFLOW__API__BASE_URL": self.url,
                "AIRFLOW__API__SECRET_KEY": "a-secret-key-of-this-test-alone-0123456789",
                "AIRFLOW__API_AUTH__JWT_SECRET": "a-jwt-secret-of-this-test-alone-0123456789abcdef",
                "AIRFLOW__API__WORKERS": "1",
                **facts.airflow_settings(),
                "AIRFLOW__NBJOBS__INSTANCE_PRICES": '{"ml.m5.large": 0.138, "ml.t3.large": 0.1, "ml.t3.medium": 0.05}',
                "AWS_EC2_METADATA_DISABLED": "true",
                "NO_PROXY": "127.0.0.1,localhost",
            }
            | environment
        )
        self.run("db", "migrate")

    def run(self, *arguments: str, may_fail: bool = False) -> str:
        return self._python("-m", "airflow", *arguments, may_fail=may_fail)

    def python(self, program: str) -> str:
        return self._python("-c", program)

    def _python(self, *arguments: str, may_fail: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert may_fail or done.returncode == 0, done.stdout[-5000:]
        return done.stdout

    def run_dag(self, dag_id: str) -> str:
        return self.run("dags", "test", dag_id, may_fail=True)

    @contextmanager
    def running_dag(self, dag_id: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.home / f"run-{dag_id}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "dags", "test", dag_id],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
            finally:
                process.kill()  # its trigger, which it runs itself, would go on waiting
                process.wait()

    @contextmanager
    def serving(self) -> Iterator[AirflowUi]:
        with (self.home / self.log_name).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(self.port)],
                env=self.environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_up(process)
            yield self
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, self.log()[-4000:]
            try:
                with urllib.request.urlopen(f"{self.url}/api/v2/version", timeout=5):
                    return
            except (URLError, OSError):
                time.sleep(0.5)
        raise AssertionError(self.log()[-4000:])

    def log(self) -> str:
        return (self.home / self.log_name).read_text(errors="replace")

    def token(self, user: str) -> str:
        answer = self.call("/auth/token", body={"username": user, "password": PASSWORDS[user]})
        return str(json.loads(answer[2])["access_token"])

    def call(
        self, path: str, *, token: str | None = None, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body; the token goes as the UI sends it, in the cookie."""
        request = urllib.request.Request(self.url + path, data=None if body is None else json.dumps(body).encode())
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Cookie", f"_token={token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
