"""The embedded SageMaker in a container of its own, as ``--isolation direct`` wants it: private ``/opt/ml``, ``/tmp`` and ``/home/sagemaker-user``, no Docker."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from local_jobs import wait_until

from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.container.probe import choose_isolation
from airflow_nbjobs.local.container.run import WorkDir, start_container
from airflow_nbjobs.local.state.facts import ServerFacts, read_ready_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_nbjobs.local.container.run import Container


class Machine:
    """
    A running command in a file system tree of its own.

    :param folder: the machine's folders are made below it.
    :param keep: folders below ``/tmp`` that stay visible.
    :param files: what it finds in its own ``/tmp``, by name there.
    """

    def __init__(
        self,
        folder: Path,
        argv: Sequence[str],
        environment: dict[str, str],
        *,
        keep: Sequence[str] = (),
        files: Mapping[str, Path] | None = None,
    ) -> None:
        image = inspect_image(Path(sys.prefix))
        self.way = choose_isolation("auto", image).way
        self.work = WorkDir(folder / "machine")
        self.work.make()
        for path in self.work.opt_ml.iterdir():  # a job's folders, which a machine does not have
            shutil.rmtree(path)
        for name, path in (files or {}).items():
            shutil.copy2(path, self.work.tmp / name)
        self._output: list[bytes] = []
        self._container: Container = start_container(
            self.work,
            way=self.way,
            argv=argv,
            environment={"PATH": image.search_path, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **environment},
            cwd="/",
            keep=[*image.keep, *keep],
        )
        self._failure = self._container.wait_started()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while piece := self._container.read():
            self._output.append(piece)

    @property
    def output(self) -> str:
        return b"".join(self._output).decode(errors="replace")

    @property
    def has_ended(self) -> bool:
        return self._failure is not None or not self._reader.is_alive()

    def tmp(self, name: str) -> Path:
        """Return where this process sees the machine's ``/tmp/name``."""
        return self.work.tmp / name

    def stop(self, *, seconds: float = 20) -> int:
        self._container.terminate()
        self._reader.join(seconds)
        self._container.kill()
        return self._container.wait()


@contextlib.contextmanager
def served_directly(
    folder: Path, *arguments: str, files: Mapping[str, Path] | None = None
) -> Iterator[tuple[Machine, ServerFacts]]:
    """
    Run ``nbjobs local --isolation direct`` on such a machine.

    :param files: what the machine finds in its ``/tmp``, by name there.
    """
    argv = [sys.executable, "-m", "airflow_nbjobs.local", "--isolation", "direct", "--port", "0"]
    package = str(Path(__file__).parents[2])
    machine = Machine(
        folder,
        [*argv, "--ready-file", "/tmp/ready.json", *arguments],
        {"PYTHONPATH": package},
        keep=[package],
        files=files or {},
    )
    try:
        wait_until(lambda: machine.has_ended or machine.tmp("ready.json").exists())
        assert not machine.has_ended, machine.output
        yield machine, read_ready_file(machine.tmp("ready.json"))
    finally:
        machine.stop()
