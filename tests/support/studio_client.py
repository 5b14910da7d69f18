"""
AWS's Studio extension (amazon-sagemaker-jupyter-scheduler) in its own words: list the notebook jobs that a user sees, and download what it offers of each.

A program of its own, ``python studio_client.py FOLDER APP_METADATA_JSON``, for the environment that ``local/foreign_environment.py FOLDER studio`` makes. Prints one JSON object: what the
list shows, by job, and the files that the download has left. Nothing of the extension is replaced; only the places of the two files that Studio writes for it are told.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any


def begin_in_studio(folder: Path, metadata: dict[str, str]) -> None:
    """Do what Studio does before it starts JupyterLab in a space."""
    os.environ["SAGEMAKER_APP_TYPE"] = "JupyterLab"
    os.chdir(folder)  # the extension writes what it downloads below its working folder

    from amazon_sagemaker_jupyter_scheduler import app_metadata, internal_metadata_adapter

    for module, name, content in (
        (app_metadata, "app_metadata_file_location", metadata),
        (internal_metadata_adapter, "SAGEMAKER_INTERNAL_METADATA_FILE", {"Stage": "prod"}),
    ):
        file = folder / f"{name}.json"
        file.write_text(json.dumps(content))
        setattr(module, name, str(file))


async def look(folder: Path) -> dict[str, Any]:
    from amazon_sagemaker_jupyter_scheduler.environments import SagemakerEnvironmentManager
    from amazon_sagemaker_jupyter_scheduler.file_download_manager import SageMakerJobFilesManager
    from amazon_sagemaker_jupyter_scheduler.scheduler import SageMakerScheduler
    from jupyter_scheduler.models import ListJobsQuery
    from traitlets.config import Config

    scheduler = SageMakerScheduler(
        root_dir=str(folder), environments_manager=SagemakerEnvironmentManager(), config=Config()
    )
    files_manager = SageMakerJobFilesManager(scheduler=scheduler)
    jobs: dict[str, Any] = {}
    token = None
    while token is None or token:
        page = await scheduler.list_jobs(ListJobsQuery(next_token=token, max_items=100))
        for job in page.jobs:
            await files_manager.copy_from_staging(job.job_id)  # what cannot be had, it only logs
            again = await scheduler.get_job(job.job_id)
            jobs[job.job_id] = {
                "name": again.name,
                "status": again.status.value,
                "message": again.status_message,
                "parameters": again.parameters,
                "notebook": again.input_filename,
                "instance_type": again.compute_type,
                "times": [again.create_time, again.start_time, again.end_time],
                "files": {each.file_format: each.file_path for each in again.job_files},
            }
        token = page.next_token or ""
    return jobs


def main(folder: str, metadata: str) -> None:
    begin_in_studio(Path(folder), json.loads(metadata))
    sys.stdout.write(f"JOBS{json.dumps(asyncio.run(look(Path(folder))))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
