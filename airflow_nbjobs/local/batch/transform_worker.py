"""
The model server of a transform job: the model's own inference code, called as the SageMaker inference toolkits call it.

Copied into the job's container by ``transform.py`` and run there by the image's interpreter as a script, ``transform_worker.py PLAN.json``; it must never
import the package. On AWS an agent sends each mini-batch to the container over HTTP; here one process reads the input files and calls the functions
itself, so ``MaxConcurrentTransforms`` changes nothing.

The contract (documented: SageMaker inference toolkit, README): ``model_fn(model_dir)``, then for each mini-batch ``input_fn(body, content_type)``,
``predict_fn(data, model)``, ``output_fn(prediction, accept)``, or ``transform_fn(model, body, content_type, accept)`` instead of these three. Each may take
the request's context as one argument more. What is left out has the toolkits' default, which differs by image, see ``_Defaults``; ``model_fn`` has none here.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
_TEXT_TYPES = {JSON, CSV}  # the toolkit hands these over as str, all others as bytes
FUNCTIONS = ("input_fn", "predict_fn", "output_fn")


class ModelError(Exception):
    """The model cannot be served; the text says why."""


class RecordError(Exception):
    """The model's code failed on one mini-batch; the text says on which records and how."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What ``transform.py`` asks for.

    :param code_dir: where the inference code lies; first on ``sys.path``.
    :param program: file name of the inference code.
    :param family: ``huggingface``, ``pytorch`` or ``sklearn``: whose defaults.
    :param accept: empty: the default of the toolkit.
    :param is_split: one record for each line; otherwise the file is the record.
    :param is_single: one record for each call; otherwise as many as ``max_payload_bytes`` holds (0: no limit).
    :param timeout_seconds: of one call.
    """

    model_dir: str
    code_dir: str
    program: str
    family: str
    input_dir: str
    output_dir: str
    report: str
    content_type: str
    accept: str
    is_split: bool
    is_single: bool
    max_payload_bytes: int
    timeout_seconds: int
    max_retries: int
    is_assembled_by_line: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """
    A mini-batch.

    :param first: number of its first record in the file, from 1.
    """

    body: bytes
    first: int
    count: int

    @property
    def words(self) -> str:
        return f"record {self.first}" if self.count == 1 else f"records {self.first} to {self.first + self.count - 1}"


def split_batches(data: bytes, *, is_split: bool, is_single: bool, max_payload_bytes: int) -> Iterator[Batch]:
    """
    Cut a file into the bodies of calls.

    A single record comes without its line's end, several keep theirs: the service says so of its binary formats' padding, and of lines nothing.

    :raises RecordError: a record is larger than a call may be.
    """
    records = data.splitlines(keepends=True) if is_split else [data]
    pending: list[bytes] = []
    size = 0
    for number, record in enumerate(records, start=1):
        body = record.rstrip(b"\r\n") if is_split and is_single else record
        if max_payload_bytes and len(body) > max_payload_bytes:
            raise RecordError(
                f"record {number} has {len(body)} bytes, more than MaxPayloadInMB allows ({max_payload_bytes})"
            )
        is_full = is_single or (max_payload_bytes and size + len(body) > max_payload_bytes)
        if pending and is_full:
            yield Batch(b"".join(pending), number - len(pending), len(pending))
            pending, size = [], 0
        pending.append(body)
        size += len(body)
    if pending:
        yield Batch(b"".join(pending), len(records) - len(pending) + 1, len(pending))


class _Defaults:
    """
    The functions of a toolkit for what the model's code leaves out.

    ``huggingface``: JSON as Python values, the model is called with ``inputs`` and ``parameters``; the others: JSON, CSV and NPY as arrays (``pytorch``:
    tensors), ``model.predict(data)`` or, for ``pytorch``, ``model(data)``. All write JSON, CSV or NPY. Source: the toolkits' default handlers.
    """

    def __init__(self, family: str) -> None:
        self._family = family

    def input_fn(self, body: Any, content_type: str) -> Any:
        if self._family == "huggingface":
            if content_type != JSON:
                raise ValueError(f"no default input_fn for the content type {content_type!r}: define input_fn")
            return json.loads(body)
        import numpy as np

        if content_type == JSON:
            array = np.array(json.loads(body))
        elif content_type == CSV:
            array = np.genfromtxt(io.StringIO(body), delimiter=",")
        elif content_type == NPY:
            array = np.load(io.BytesIO(body), allow_pickle=False)
        else:
            raise ValueError(f"no default input_fn for the content type {content_type!r}: define input_fn")
        if self._family != "pytorch":
            return array
        torch = importlib.import_module("torch")
        return torch.from_numpy(array).float()

    def predict_fn(self, data: Any, model: Any) -> Any:
        if self._family == "huggingface":
            values = dict(data) if isinstance(data, dict) else {"inputs": data}
            parameters = values.pop("parameters", None) or {}
            return model(values.pop("inputs", values), **parameters)
        if self._family == "sklearn":
            return model.predict(data)
        torch = importlib.import_module("torch")
        with torch.no_grad():
            return model(data)

    def output_fn(self, prediction: Any, accept: str) -> str | bytes:
        if accept == JSON:
            return json.dumps(prediction, default=_as_list)
        import numpy as np

        array = np.asarray(_as_list(prediction) if hasattr(prediction, "tolist") else prediction)
        if accept == CSV:
            text = io.StringIO()
            np.savetxt(text, array, delimiter=",", fmt="%s")
            return text.getvalue()
        if accept == NPY:
            file = io.BytesIO()
            np.save(file, array)
            return file.getvalue()
        raise ValueError(f"no default output_fn for the accept type {accept!r}: define output_fn")


def _as_list(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"an object of the type {type(value).__name__} has no JSON form: define output_fn")


class Model:
    """A loaded model with its functions."""

    def __init__(self, plan: Plan) -> None:
        """Import the code and call ``model_fn``; raises ModelError where either fails, or the code does not keep the contract."""
        module = _import_program(plan)
        functions = {name: getattr(module, name, None) for name in (*FUNCTIONS, "transform_fn")}
        if not hasattr(module, "model_fn"):
            raise ModelError(f"{plan.program} defines no model_fn(model_dir)")
        if functions["transform_fn"] and any(functions[name] for name in FUNCTIONS):
            raise ModelError(
                f"{plan.program} defines transform_fn beside {', '.join(FUNCTIONS)}: it may have one or the other"
            )
        defaults = _Defaults(plan.family)
        self._transform: Callable[..., Any] | None = functions["transform_fn"]
        self._input, self._predict, self._output = (functions[name] or getattr(defaults, name) for name in FUNCTIONS)
        self._context = SimpleNamespace(system_properties={"model_dir": plan.model_dir})
        try:
            self._model = self._call(module.model_fn, plan.model_dir)
        except Exception as error:
            traceback.print_exc()
            raise ModelError(f"model_fn of {plan.program} failed: {_name(error)}") from error

    def respond(self, body: bytes, content_type: str, accept: str) -> bytes:
        """Return the response to one request, whatever the code raises included."""
        data = body.decode() if content_type in _TEXT_TYPES else body
        if self._transform:
            answer = self._call(self._transform, self._model, data, content_type, accept)
        else:
            prediction = self._call(self._predict, self._call(self._input, data, content_type), self._model)
            answer = self._call(self._output, prediction, accept)
        response = answer[0] if isinstance(answer, tuple) else answer
        if isinstance(response, str):
            return response.encode()
        if isinstance(response, (bytes, bytearray)):
            return bytes(response)
        name = "transform_fn" if self._transform else "output_fn"
        raise TypeError(f"{name} returned {type(response).__name__}, not str or bytes")

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        takes_context = len(inspect.signature(function).parameters) == len(arguments) + 1
        return function(*arguments, self._context) if takes_context else function(*arguments)


def _import_program(plan: Plan) -> Any:
    if (Path(plan.code_dir) / "requirements.txt").is_file():
        _log(
            f"{plan.code_dir}/requirements.txt is not installed here: the embedded SageMaker's image is a Python environment that outlives the job"
        )
    sys.path.insert(0, plan.code_dir)
    try:
        return importlib.import_module(Path(plan.program).stem)
    except Exception as error:
        traceback.print_exc()
        raise ModelError(f"{plan.program} cannot be imported: {_name(error)}") from error


def transform_file(model: Model, source: Path, target: Path, plan: Plan) -> int:
    """Write one input file's output, all of it or nothing, and return how many records it had; raises RecordError."""
    accept = (
        plan.accept if plan.accept not in {"", "*/*"} else os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
    )
    pieces: list[bytes] = []
    count = 0
    batches = split_batches(
        source.read_bytes(), is_split=plan.is_split, is_single=plan.is_single, max_payload_bytes=plan.max_payload_bytes
    )
    for batch in batches:
        response = _respond(model, batch, plan, accept)
        pieces.append(response + b"\n" if plan.is_assembled_by_line and not response.endswith(b"\n") else response)
        count += batch.count
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"".join(pieces))
    return count


def _respond(model: Model, batch: Batch, plan: Plan, accept: str) -> bytes:
    for attempt in range(plan.max_retries + 1):
        signal.alarm(plan.timeout_seconds)
        try:
            return model.respond(batch.body, plan.content_type, accept)
        except Exception as error:  # the model's code may raise anything
            traceback.print_exc()
            if attempt == plan.max_retries:
                where = batch.words if plan.is_split else "the file as a whole"
                raise RecordError(f"{where}: {_name(error)}") from error
        finally:
            signal.alarm(0)
    raise AssertionError


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _log(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a container's log is its output


def _time_out(*_: object) -> None:
    raise TimeoutError("the call took longer than InvocationsTimeoutInSeconds")


def main(plan_path: str) -> int:
    """Transform every file; returns 0, or 1 with the reasons in the report."""
    plan = Plan(**json.loads(Path(plan_path).read_text()))
    signal.signal(signal.SIGALRM, _time_out)
    problems: list[str] = []
    try:
        model = Model(plan)
        root = Path(plan.input_dir)
        for source in sorted(path for path in root.rglob("*") if path.is_file()):
            name = source.relative_to(root).as_posix()
            try:
                count = transform_file(model, source, Path(plan.output_dir, f"{name}.out"), plan)
            except RecordError as error:
                problems.append(f"{name!r}, {error}")
                _log(f"failed: {problems[-1]}")
            else:
                _log(f"{name}: {count} record{'' if count == 1 else 's'}")
    except ModelError as error:
        problems.append(str(error))
        _log(f"failed: {error}")
    Path(plan.report).write_text("; ".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
