"""
A job's checkpoint folder: restored from S3 before the container starts, uploaded as it changes and once more when it has ended.

Used by ``training/work.py``. Source: SageMaker developer guide, *Use checkpoints in Amazon SageMaker*. How soon the service uploads is not documented; here each second.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.platform import storage

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG = logging.getLogger(__name__)

DEFAULT_FOLDER = "/opt/ml/checkpoints"
POLL_SECONDS = 1.0
_OTHERS = ("input", "output", "model", "code", "failure")  # what else lies in /opt/ml


def is_checkpoint_folder(path: str) -> bool:
    """Say whether a LocalPath can be had here: below ``/opt/ml``, and in nothing that lies there already."""
    parts = PurePosixPath(path).parts
    return parts[:3] == ("/", "opt", "ml") and len(parts) > 3 and parts[3] not in _OTHERS and ".." not in parts


class Checkpoints:
    """
    One job's folder; as a context, it uploads what changes while the container runs.

    :param config: the request's ``CheckpointConfig``.
    :param opt_ml: the container's ``/opt/ml`` on the host.
    """

    def __init__(self, s3: Any, config: Mapping[str, str], opt_ml: Path) -> None:
        self._s3 = s3
        self._uri = config["S3Uri"].rstrip("/")
        self._folder = opt_ml.joinpath(*PurePosixPath(config.get("LocalPath", DEFAULT_FOLDER)).parts[3:])
        self._seen: dict[str, tuple[int, int]] = {}
        self._sent: dict[str, tuple[int, int]] = {}
        self._problem: str | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def restore(self) -> None:
        """Make the folder, with what an earlier container of the job has left in S3."""
        self._folder.mkdir(parents=True)
        storage.download_prefix(self._s3, f"{self._uri}/", self._folder)
        self._sent = self._read_folder()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def finish(self) -> None:
        """Upload what is there now, whether or not it still changes: the container has ended."""
        self._thread.join()
        self._upload(self._read_folder())

    def _run(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            before, self._seen = self._seen, self._read_folder()
            # Only what has not changed since the last poll: a file that is being written would go up cut.
            self._upload({name: mark for name, mark in self._seen.items() if before.get(name) == mark})

    def _read_folder(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in self._folder.rglob("*"):
            try:
                # Nothing that leads out of the folder: the container may have put a link there.
                if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(self._folder.resolve()):
                    stat = path.stat()
                    found[path.relative_to(self._folder).as_posix()] = (stat.st_mtime_ns, stat.st_size)
            except OSError:
                continue  # gone in between
        return found

    def _upload(self, files: Mapping[str, tuple[int, int]]) -> None:
        for name, mark in files.items():
            if self._sent.get(name) == mark:
                continue
            try:
                storage.upload(self._s3, self._folder / name, f"{self._uri}/{name}")
                self._sent[name] = mark
            except (OSError, storage.StorageError) as error:
                # The service keeps trying, and the job goes on.
                if str(error) != self._problem:
                    LOG.warning("a checkpoint was not uploaded: %s", error)
                self._problem = str(error)
