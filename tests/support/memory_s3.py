"""The part of boto3's S3 client that the platform of the embedded SageMaker uses, in memory: what a job's own steps read and write needs no server."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

if TYPE_CHECKING:
    from collections.abc import Iterator


class MemoryS3:
    """
    Objects by URI.

    :ivar keys: the KMS key of each upload.
    :ivar refused: URIs that are not written.
    """

    def __init__(self, **objects: bytes) -> None:
        self.objects: dict[str, bytes] = dict(objects)
        self.keys: dict[str, str] = {}
        self.refused: set[str] = set()

    def _below(self, bucket: str, prefix: str) -> list[str]:
        root = f"s3://{bucket}/"
        return sorted(uri.removeprefix(root) for uri in self.objects if uri.startswith(f"{root}{prefix}"))

    def list_objects_v2(self, *, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:  # noqa: N803 - AWS' names
        if Bucket == "none":
            raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": "none"}}, "ListObjectsV2")
        return {"KeyCount": len(self._below(Bucket, Prefix)[:MaxKeys])}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_objects_v2"

        def paginate(*, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - AWS' names
            yield {}
            for key in self._below(Bucket, Prefix):
                yield {"Contents": [{"Key": key}]}

        return SimpleNamespace(paginate=paginate)

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - AWS' names
        uri = f"s3://{Bucket}/{Key}"
        if uri not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "The key does not exist."}}, "GetObject")
        body = self.objects[uri]
        return {"Body": StreamingBody(io.BytesIO(body), len(body))}

    def upload_file(self, file: str, bucket: str, key: str, *, ExtraArgs: dict[str, str]) -> None:  # noqa: N803 - AWS' name
        uri = f"s3://{bucket}/{key}"
        if uri in self.refused:
            raise S3UploadFailedError(f"no bucket for {uri}")
        self.objects[uri] = Path(file).read_bytes()
        self.keys[uri] = ExtraArgs.get("SSEKMSKeyId", "")
        assert ("ServerSideEncryption" in ExtraArgs) is bool(self.keys[uri])
