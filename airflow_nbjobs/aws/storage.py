"""
What is needed of S3 beyond the ports of a job: bodies from a byte on, lists with sizes, deletion.

Made by ``clients.py``; ``nbjobs outputs`` and ``nbjobs clean`` call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from botocore.exceptions import ClientError

from airflow_nbjobs.aws.connection import Port
from airflow_nbjobs.aws.errors import error_code, translated
from airflow_nbjobs.aws.ports import ChangedObjectError, ListedObject, StoredObject
from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

# If-Match fails; the object is gone; it is shorter than where the range begins.
_CHANGED = ("PreconditionFailed", "412", "NoSuchKey", "404", "InvalidRange", "416")


class Boto3Storage(Port):
    def open_from(self, uri: str, stored: StoredObject, *, start: int) -> BinaryIO:
        bucket, key = parse_s3_uri(uri)
        # A range of nothing is an error to S3, so that an empty object is asked for as a whole.
        span = {"Range": f"bytes={start}-"} if start else {}

        def get(client: Any) -> Any:
            try:
                return client.get_object(Bucket=bucket, Key=key, IfMatch=stored.etag, **span)
            except ClientError as error:
                if error_code(error) in _CHANGED:
                    raise ChangedObjectError(uri) from error
                raise

        answer = self.ask("s3:GetObject", get, on=uri)
        body = Body(answer["Body"], uri)
        # Something between here and S3 may ignore the range, or the condition.
        is_whole = int(answer["ContentLength"]) == stored.size_bytes - start
        if answer.get("ETag") != stored.etag or not is_whole:
            body.close()
            raise ChangedObjectError(uri)
        return cast("BinaryIO", body)

    def list_below(self, uri: str) -> Iterator[ListedObject]:
        bucket, key = parse_s3_uri(uri)
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{key.rstrip('/')}/" if key else ""}
        while True:
            answer = self.ask("s3:ListBucket", lambda client: client.list_objects_v2(**request), on=uri)
            for entry in answer.get("Contents", ()):
                yield ListedObject(key=str(entry["Key"]), size_bytes=int(entry["Size"]), modified=entry["LastModified"])
            if not answer.get("IsTruncated"):
                return
            request["ContinuationToken"] = answer["NextContinuationToken"]

    def delete(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = self.ask(
            "s3:DeleteObject",
            lambda client: client.delete_objects(Bucket=bucket, Delete=wanted),
            on=f"s3://{bucket}",
        )
        return {
            str(error.get("Key")): f"{error.get('Code')}: {error.get('Message')}" for error in answer.get("Errors", ())
        }

    def keeps_versions(self, bucket: str) -> bool:
        # "Suspended" keeps the versions that there are, and makes none.
        answer = self.ask(
            "s3:GetBucketVersioning", lambda client: client.get_bucket_versioning(Bucket=bucket), on=f"s3://{bucket}"
        )
        return bool(answer.get("Status") == "Enabled")


class Body:
    """
    An object's body whose reads raise this package's errors.

    botocore's read timeout is an OSError as well: whoever unpacks the body would take a lost connection for a damaged archive.
    """

    def __init__(self, body: Any, uri: str) -> None:
        self._body = body
        self._uri = uri

    def read(self, size: int = -1) -> bytes:
        from botocore.exceptions import ResponseStreamingError
        from urllib3.exceptions import HTTPError

        with translated("s3:GetObject", on=self._uri):
            try:
                return bytes(self._body.read(None if size < 0 else size))
            except (HTTPError, OSError) as error:  # what botocore does not wrap, such as a broken TLS record
                raise ResponseStreamingError(error=error) from error

    def close(self) -> None:
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
