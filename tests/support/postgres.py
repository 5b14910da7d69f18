"""A private PostgreSQL on a free loopback port, for tests that need Airflow's real database. Installs nothing itself."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

USER = "airflow"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_STARTS = 5  # of which each takes another free port: somebody may take it between our look and PostgreSQL's bind
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",  # an Airflow in parts, or two of them, keeps more than PostgreSQL's 100 open
    "fsync": "off",  # the data outlive a killed process all the same, and need not outlive the machine
    "dynamic_shared_memory_type": "mmap",  # a container's /dev/shm is often 64 MiB
}


class PostgresMissingError(RuntimeError):
    """No PostgreSQL binaries on this machine; the text says what to install."""


class PostgresServer:
    """
    A cluster of its own, in a temporary folder, from ``with`` to the end of its block.

    ``url`` is for Airflow's ``[database] sql_alchemy_conn``; Airflow makes its asyncpg form itself. ``stop()``, ``start()``
    and ``process`` are for tests of what a lost database does: data, port and password stay the same over them.
    PostgreSQL refuses to run as root; where the tests do, it runs as the Debian package's user ``postgres``.

    :param database: the first one; ``create_database`` makes more.
    :param password: of the only role; one is made otherwise.
    :raises PostgresMissingError: the binaries are not installed.
    """

    def __init__(self, database: str = "airflow", *, password: str | None = None) -> None:
        self._database = database
        self.bin = _binaries()
        self._as_user: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        self._password = password or secrets.token_urlsafe(24)
        self._home = Path()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        """Return the SQLAlchemy URL (driver psycopg2) of a database on this server."""
        return f"postgresql+psycopg2://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._run("createdb", *self._where, name)
        return self.url_of(name)

    def query(self, sql: str, database: str | None = None) -> list[list[str]]:
        """Return the rows of a statement as text, over a connection of its own; an empty string is also NULL."""
        text = self._run(
            "psql", *self._where, "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql, database or self._database
        )
        return [line.split("\t") for line in text.splitlines()]

    def __enter__(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="nbjobs-postgres-"))
        try:
            if self._as_user:
                shutil.chown(self._home, "postgres", "postgres")
            self._initialise()
            self.start()
            self.create_database(self._database)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def start(self) -> None:
        """Start, and return when connections are accepted. The first start chooses the port, later ones keep it."""
        ports = [self.port] if self.port else [_free_port() for _ in range(_STARTS)]
        for port in ports:
            self.port = port
            self._launch()
            if self._is_accepting():
                return
            self.stop()
            if "could not bind" not in self.log():
                break
        raise RuntimeError(f"PostgreSQL did not start; its log ends:\n{self.log()[-2000:]}")

    def stop(self) -> None:
        """End it as ``pg_ctl stop -m fast`` does, at the latest after 30 s as a crash."""
        process, self.process = self.process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)  # a test may have stopped it
                os.kill(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
                return

    def log(self) -> str:
        path = self._home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def _where(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)

    def _initialise(self) -> None:
        with _secret_file(self._home / "password", self._password, self._as_user.get("user")) as password_file:
            self._run(
                "initdb",
                f"--pgdata={self._home / 'data'}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            )

    def _launch(self) -> None:
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (self._home / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self._home / "data", "-p", str(self.port), *options],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C would end it before those that use it
                **self._as_user,
            )

    def _is_accepting(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
            if subprocess.run([self.bin / "pg_isready", "-q", *self._where], check=False).returncode == 0:
                return True
            time.sleep(0.05)
        return False

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self._home,
            env={**os.environ, "PGPASSWORD": self._password},
            capture_output=True,
            text=True,
            check=False,
            **self._as_user,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")
        return done.stdout

    def _close(self) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)


@contextlib.contextmanager
def _secret_file(path: Path, text: str, owner: str | None) -> Iterator[Path]:
    path.touch(mode=0o600)
    path.write_text(text)
    if owner:
        shutil.chown(path, owner)
    try:
        yield path
    finally:
        path.unlink()


def _binaries() -> Path:
    """Return the folder with ``initdb``: the newest of Debian's, which are not on PATH, else the one on PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(debian, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parts[-3])], default=None)
    found = newest or shutil.which("initdb")
    if not found:
        raise PostgresMissingError("these tests need PostgreSQL's server: apt-get install postgresql")
    return Path(found).resolve().parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
