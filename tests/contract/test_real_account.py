"""The third subject itself: how an account is named, and that all its tests work, with the embedded server in the account's place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from real_account import VARIABLE, RealAccount


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("s3://b-1.x/nb,NotebookJobs", RealAccount("s3://b-1.x/nb", "NotebookJobs")),
        (
            "s3://bucket/a/b,arn:aws:iam::123456789012:role/R",
            RealAccount("s3://bucket/a/b", "arn:aws:iam::123456789012:role/R"),
        ),
    ],
)
def test_an_account_is_named_by_a_prefix_and_a_role(text, account):
    assert RealAccount.parse(text) == account


@pytest.mark.parametrize(
    "text", ["1", "s3://bucket,Role", "s3://bucket/,Role", "s3://bucket/a/,Role", "s3://bucket/a", "bucket/a,Role"]
)
def test_another_text_is_refused_rather_than_used(text):
    with pytest.raises(ValueError, match=re.escape("s3://BUCKET/PREFIX,ROLE")):
        RealAccount.parse(text)


@pytest.mark.slow
def test_the_tests_for_an_account_pass_where_the_embedded_server_plays_it(tmp_path):
    """But for throttling and missing images: the embedded server answers as fast as it can, and has every image of its region."""
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

    with EmbeddedSageMaker(jobs=4) as server:
        bucket = server.facts.default_bucket
        environment = {**os.environ, **server.environment, VARIABLE: f"s3://{bucket}/contract,NotebookJobs"}
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-m",
                "slow",
                "-k",
                "aws and not throttles and not pulled and not page_of_s3 and not page_holds",
                str(Path(__file__).parent),
            ],
            env=environment,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        objects = server.client("s3").list_objects_v2(Bucket=bucket, Prefix="contract/").get("Contents", [])
        left = [entry["Key"] for entry in objects]
    found = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout[-4000:]
    assert found is not None
    assert int(found[1]) >= 45
    assert "skipped" not in done.stdout
    assert left == []
