"""A download over a connection that breaks: it goes on where it was, with the same object only, and nothing half is ever under the file's name."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from fakes import FakeClients

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.ports import ChangedObjectError
from airflow_nbjobs.commands.fetch.transfer import Transfer, part_file
from airflow_nbjobs.core.errors import NotebookJobServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = random.Random(1).randbytes(1_500_000)
URI = "s3://bkt/a"


class CuttingProxy:
    """Passes a server's answers on and cuts each connection after so many bytes, as often as is asked for."""

    def __init__(self, port: int, *, after: int, times: int) -> None:
        self._target = port
        self._after = after
        self.left = times
        self.passed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def _run(self, what: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=what, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            self._run(self._pump, client, server, False)
            self._run(self._pump, server, client, True)

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while data := source.recv(16_384):
                target.sendall(data)
                count += len(data)
                self.passed += len(data) * is_answer
                if is_answer and count > self._after and self.left:
                    self.left -= 1
                    break
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()


@pytest.mark.local
def test_a_download_over_a_connection_that_is_cut_goes_on_and_fetches_no_byte_twice(embedded_sagemaker, tmp_path):
    facts = embedded_sagemaker.facts
    bucket = facts.default_bucket
    embedded_sagemaker.client("s3").put_object(Bucket=bucket, Key="cut/a", Body=BODY)
    port = int(facts.endpoint_url.rpartition(":")[2])
    proxy = CuttingProxy(port, after=400_000, times=3)
    session = boto3.session.Session(facts.access_key_id, facts.secret_access_key, region_name=facts.region)
    config = Config(proxies={}, s3={"addressing_style": "path"})
    clients = Boto3Clients(
        lambda service: session.client(service, endpoint_url=f"http://127.0.0.1:{proxy.port}", config=config)
    )
    uri = f"s3://{bucket}/cut/a"
    said, pauses, counted = [], [], []
    stored = clients.objects.stat(uri)
    path = tmp_path / "a"
    Transfer(uri, stored, clients, advance=counted.append, say=said.append, sleep=pauses.append).into(path)
    proxy.close()
    assert path.read_bytes() == BODY
    assert sum(counted) == len(BODY)
    assert proxy.left == 0
    assert len(said) == len(pauses) == 3
    assert proxy.passed < len(BODY) + 3 * 200_000, "what was there is not fetched again"
    assert list(tmp_path.iterdir()) == [path]


class Breaking:
    """S3 whose bodies break off."""

    def __init__(self, storage, *, after, times):
        self._storage = storage
        self._after = after
        self.times = times
        self.starts = []

    def open_from(self, uri, stored, *, start):
        self.starts.append(start)
        body = self._storage.open_from(uri, stored, start=start)
        if self.times:
            self.times -= 1
            return _Broken(body, self._after)
        return body


class _Broken:
    def __init__(self, body, after):
        self._body, self._left = body, after

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._body.close()

    def read(self, size):
        if not self._left:
            raise NotebookJobServiceError("connection lost", code="IncompleteRead", is_retryable=True)
        self._left -= 1
        return self._body.read(size)


@pytest.fixture
def s3():
    clients = FakeClients()
    clients.objects.bodies[URI] = BODY
    return clients


def breaking(clients, *, after=2, times):
    storage = Breaking(clients.storage, after=after, times=times)
    return SimpleNamespace(objects=clients.objects, storage=storage)


def test_what_another_process_has_begun_is_gone_on_with(s3, tmp_path):
    stored = s3.objects.stat(URI)
    path = tmp_path / "a"
    dead = breaking(s3, times=100, after=0)
    with pytest.raises(NotebookJobServiceError):
        Transfer(URI, stored, dead, sleep=lambda _: None).into(path)
    assert len(dead.storage.starts) == 6, "five pauses without a byte, then it gives up"
    assert not path.exists()
    part_file(path, URI, stored).write_bytes(BODY[:700_000])
    whole = breaking(s3, times=0)
    Transfer(URI, stored, whole).into(path)
    assert whole.storage.starts == [700_000]
    assert path.read_bytes() == BODY


def test_any_progress_begins_the_patience_anew(s3, tmp_path):
    path = tmp_path / "a"
    broken = breaking(s3, after=1, times=15)
    Transfer(URI, s3.objects.stat(URI), broken, sleep=lambda _: None).into(path)
    assert path.read_bytes() == BODY
    assert len(broken.storage.starts) == 16


def test_the_beginning_of_another_object_is_not_gone_on_with(s3, tmp_path):
    path = tmp_path / "a"
    before = s3.objects.stat(URI)
    part_file(path, URI, before).write_bytes(BODY[:1000])
    s3.objects.bodies[URI] = new = BODY[::-1]
    said = []
    Transfer(URI, before, s3, say=said.append).into(path)
    assert path.read_bytes() == new
    assert "changed" in said[0]


def test_an_object_that_goes_meanwhile_leaves_the_file_that_was_there(s3, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    stored = s3.objects.stat(URI)
    del s3.objects.bodies[URI]
    with pytest.raises(NotebookJobServiceError, match="gone"):
        Transfer(URI, stored, s3).into(path)
    assert path.read_bytes() == b"old"


def test_an_empty_object_is_an_empty_file(s3, tmp_path):
    s3.objects.bodies[URI] = b""
    Transfer(URI, s3.objects.stat(URI), s3).into(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b""


def test_a_denial_is_not_asked_for_again(s3, tmp_path):
    class Denying:
        asked = 0

        def open_from(self, *_, **__):
            self.asked += 1
            raise NotebookJobServiceError("AccessDenied", code="AccessDenied")

    denied = SimpleNamespace(objects=s3.objects, storage=Denying())
    with pytest.raises(NotebookJobServiceError, match="AccessDenied"):
        Transfer(URI, s3.objects.stat(URI), denied, sleep=lambda _: None).into(tmp_path / "a")
    assert denied.storage.asked == 1


def test_a_part_is_named_after_the_object_and_its_version(tmp_path):
    clients = FakeClients()
    clients.objects.bodies |= {URI: b"1", "s3://bkt/b": b"1", "s3://bkt/c": b"2"}
    names = {part_file(tmp_path / "a", uri, clients.objects.stat(uri)).name for uri in clients.objects.bodies}
    assert len(names) == 3


def test_an_object_that_never_rests_is_given_up(s3, tmp_path):
    class Restless:
        """Each look finds another object than the one before."""

        asked = 0

        def open_from(self, *_, **__):
            self.asked += 1
            s3.objects.bodies[URI] = bytes([self.asked])
            raise ChangedObjectError(URI)

    storage = Restless()
    clients = SimpleNamespace(objects=s3.objects, storage=storage)
    with pytest.raises(NotebookJobServiceError, match="changes again and again") as caught:
        Transfer(URI, s3.objects.stat(URI), clients).into(tmp_path / "a")
    assert (caught.value.code, storage.asked) == ("PreconditionFailed", 3)


def test_a_beginning_that_is_longer_than_the_object_is_nobodys(s3, tmp_path):
    stored, path, counted = s3.objects.stat(URI), tmp_path / "a", []
    part_file(path, URI, stored).write_bytes(b"x" * (len(BODY) + 1))
    Transfer(URI, stored, s3, advance=counted.append).into(path)
    assert path.read_bytes() == BODY
    assert sum(counted) == len(BODY)


def test_a_part_that_is_whole_is_only_renamed(s3, tmp_path):
    stored, path = s3.objects.stat(URI), tmp_path / "a"
    part_file(path, URI, stored).write_bytes(BODY)
    whole = breaking(s3, times=0)
    Transfer(URI, stored, whole).into(path)
    assert (whole.storage.starts, path.read_bytes() == BODY) == ([], True)
