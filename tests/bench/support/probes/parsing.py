"""One parse of a DAG file: the function that the dag-processor's child calls."""

import gc
import json
import time
from pathlib import Path

import structlog
from airflow.dag_processing.processor import DagFileParseRequest, _parse_file


def private_bytes() -> int:
    with Path("/proc/self/smaps_rollup").open() as lines:
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def measured(arguments):
    file = Path(arguments["file"])
    fields = {"file": str(file), "bundle_path": file.parent, "bundle_name": "bench", "callback_requests": []}
    request = DagFileParseRequest(
        **{name: value for name, value in fields.items() if name in DagFileParseRequest.model_fields}
    )
    gc.collect()
    before, began = private_bytes(), time.process_time()
    result = _parse_file(request, structlog.get_logger())
    seconds = time.process_time() - began
    if result is None or result.import_errors or len(result.serialized_dags) != 1:
        raise SystemExit(f"not parsed: {result}")
    size = len(json.dumps(result.serialized_dags[0].data))
    gc.collect()
    return {"seconds": seconds, "MiB": (private_bytes() - before) / 2**20, "KiB": size / 2**10}
