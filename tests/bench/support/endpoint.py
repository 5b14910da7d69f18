"""
A TLS endpoint on loopback whose every answer takes a fixed time, in a process of its own: AWS at a known distance, the same for each contender.

Used by the benchmarks above it. It keeps nothing: either it stands before an embedded SageMaker and passes requests on, or it is an S3 that
takes whatever is put.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    A running endpoint.

    :param ca_bundle: what a client must trust: all that botocore trusts, so that a connection costs what it costs on AWS, and this endpoint.
    """

    url: str
    ca_bundle: Path


@contextlib.contextmanager
def endpoint(delay_seconds: float, upstream_url: str | None = None) -> Iterator[Endpoint]:
    """Run an endpoint until the block ends."""
    with tempfile.TemporaryDirectory(prefix="nbjobs-endpoint-") as folder:
        write_certificate(Path(folder))
        process = subprocess.Popen(
            [sys.executable, __file__, folder, str(delay_seconds), *([upstream_url] if upstream_url else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise SystemExit("the endpoint did not start; its own output says why")
            yield Endpoint(f"https://{HOST}:{port}", Path(folder, "bundle.pem"))
        finally:
            process.communicate()  # it ends with its standard input


def write_certificate(folder: Path) -> None:
    """Write ``key.pem``, ``certificate.pem`` and ``bundle.pem`` (botocore's authorities and this one)."""
    import botocore
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(pem)
    (folder / "bundle.pem").write_bytes((Path(botocore.__file__).parent / "cacert.pem").read_bytes() + pem)


@dataclass(frozen=True, slots=True)
class _Request:
    head: bytes  # up to and without the empty line
    body: bytes


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request:
    head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if headers.get(b"expect") == b"100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if (
        headers.get(b"transfer-encoding") == b"chunked"
    ):  # a body with its checksum behind it, as botocore sends to S3 over TLS
        return _Request(head, await _read_chunks(reader))
    return _Request(head, await reader.readexactly(int(headers.get(b"content-length", 0))))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Return a chunked body as it came, chunk sizes included."""
    body = b""
    while True:
        size = await reader.readline()
        chunk = await reader.readexactly(int(size, 16) + 2)
        body += size + chunk
        if int(size, 16) == 0:
            return body


async def _forward(request: _Request, upstream_url: str) -> bytes:
    """Return the upstream's whole answer, header and body, read up to its end (a connection is for one request)."""
    address = urlsplit(upstream_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    first, *lines = request.head.split(b"\r\n")
    lines = [line for line in lines if line.partition(b":")[0].lower() not in {b"host", b"connection", b"expect"}]
    host = f"Host: {address.netloc}".encode()
    writer.write(b"\r\n".join([first, host, b"Connection: close", *lines, b"", b""]) + request.body)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    # The client's own connection stays open; what it needs to know is where the body ends.
    kept = [
        line
        for line in head.split(b"\r\n")
        if line.partition(b":")[0].lower() not in {b"connection", b"transfer-encoding", b"content-length"}
    ]
    length = body_length(head, body, is_head=first.startswith(b"HEAD "))
    return b"\r\n".join([*kept, f"Content-Length: {length}".encode(), b"", b""]) + body


def body_length(head: bytes, body: bytes, *, is_head: bool) -> int:
    """Return what Content-Length should say: the answer to a HEAD tells the length of a body that does not follow."""
    told = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(told[0]) if is_head and told else len(body)


def _stored() -> bytes:
    return b'HTTP/1.1 200 OK\r\nETag: "00000000000000000000000000000000"\r\nContent-Length: 0\r\n\r\n'


async def _serve(folder: Path, delay_seconds: float, upstream_url: str | None) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            while True:
                request = await _read_request(reader, writer)
                # At least so long: what the upstream itself takes is a part of it.
                waiting = asyncio.create_task(asyncio.sleep(delay_seconds))
                text = await _forward(request, upstream_url) if upstream_url else _stored()
                await waiting
                writer.write(text)
                await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server = await asyncio.start_server(answer, HOST, 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the parent
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("delay_seconds", type=float)
    parser.add_argument("upstream_url", nargs="?")
    arguments = parser.parse_args()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(arguments.folder, arguments.delay_seconds, arguments.upstream_url))


if __name__ == "__main__":
    main()
