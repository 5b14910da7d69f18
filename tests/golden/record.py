"""
Compile every case with the SageMaker SDK's NotebookJobStep and keep what it would send, in ``requests/``.

Runs in an environment of its own (``requirements.txt``), without AWS: the SDK's real boto3 session is answered by ``offline_aws.py``. With
``--check`` nothing is written; a difference from what is kept ends it with 1. Times, the only thing that differs between two runs, become ``TIME``.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from offline_aws import OfflineAws, Put
from step_cases import CASES, Arguments

FOLDER = Path(__file__).resolve().parent
REQUESTS = FOLDER / "requests"
SIGNATURE = "signature"
VERSION_FILE = "SDK_VERSION"
PIPELINE = "golden-pipeline"
_TIME = re.compile(r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{3}")


def main(arguments: list[str]) -> int:
    os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"
    import sagemaker
    from sagemaker.workflow.pipeline_context import PipelineSession

    os.chdir(FOLDER / "inputs")
    aws = OfflineAws()
    session = PipelineSession(boto_session=aws.session, sagemaker_client=aws.client("sagemaker"))
    session.sagemaker_config = {}  # not the machine's own, which it has just read
    recorded = {name: _record(case, aws, session) for name, case in CASES.items()} | {SIGNATURE: _signature()}
    texts = {f"{name}.json": json.dumps(content, indent=1, sort_keys=True) + "\n" for name, content in recorded.items()}
    if arguments == ["--check"]:
        return _check(texts, sagemaker.__version__)
    REQUESTS.mkdir(exist_ok=True)
    for old in REQUESTS.glob("*.json"):
        old.unlink()
    for name, text in texts.items():
        (REQUESTS / name).write_text(text)
    (REQUESTS / VERSION_FILE).write_text(f"{sagemaker.__version__}\n")
    print(f"sagemaker {sagemaker.__version__}: {len(texts)} files in {REQUESTS.relative_to(FOLDER)}")  # noqa: T201 - a command
    return 0


def _check(texts: dict[str, str], version: str) -> int:
    kept = {path.name: path.read_text() for path in REQUESTS.glob("*.json")}
    different = sorted(name for name in kept.keys() | texts.keys() if kept.get(name) != texts.get(name))
    before = (REQUESTS / VERSION_FILE).read_text().strip()
    print(f"sagemaker {version} against the recording by {before}: {len(different)} of {len(texts)} differ")  # noqa: T201
    for name in different:
        print(f"  {name}")  # noqa: T201
    return 1 if different else 0


def _record(arguments: Arguments, aws: OfflineAws, session: Any) -> dict[str, Any]:
    """Return the compiled request and the uploaded files of one case, or the error that the SDK raises."""
    from sagemaker.workflow.notebook_job_step import NotebookJobStep
    from sagemaker.workflow.pipeline import Pipeline

    aws.forget()
    try:
        step = NotebookJobStep(**arguments)
        definition = json.loads(Pipeline(PIPELINE, steps=[step], sagemaker_session=session).definition())
    except (ValueError, OSError) as error:
        return {"error": f"{type(error).__name__}: {error}" if isinstance(error, ValueError) else type(error).__name__}
    (compiled,) = definition["Steps"]
    return json.loads(_TIME.sub("TIME", json.dumps({"request": compiled["Arguments"], "files": _files(aws.puts)})))


def _files(puts: list[Put]) -> dict[str, dict[str, Any]]:
    """Return the staged files by their names in the channel's folder."""
    return {
        re.sub(r"^.*/input-[^/]+/", "", put.uri): {
            "sha256": hashlib.sha256(put.body).hexdigest(),
            "encryption": put.encryption,
        }
        for put in sorted(puts, key=lambda put: put.uri)
    }


def _signature() -> dict[str, Any]:
    """Return every argument of the step with its default; ``required`` lists those without one."""
    from sagemaker.workflow.notebook_job_step import NotebookJobStep

    parameters = [entry for name, entry in inspect.signature(NotebookJobStep).parameters.items() if name != "self"]
    return {
        "defaults": {entry.name: entry.default for entry in parameters if entry.default is not entry.empty},
        "required": [entry.name for entry in parameters if entry.default is entry.empty],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
