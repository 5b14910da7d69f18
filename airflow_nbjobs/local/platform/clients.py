"""
The runner's own boto3 clients: it reaches S3, IAM, CloudWatch and its Logs over the wire, as SageMaker itself does.

Made by ``server.py``. Clients are thread-safe and dear to make, so each is made once, at start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.faults.http import PLATFORM_AGENT

if TYPE_CHECKING:
    from airflow_nbjobs.local.state.facts import ServerFacts


@dataclass(frozen=True, slots=True)
class ServiceClients:
    s3: Any
    logs: Any
    iam: Any
    cloudwatch: Any


def connect(facts: ServerFacts) -> ServiceClients:
    import boto3
    from botocore.config import Config

    # proxies={}: a proxy in the user's environment must not be asked for 127.0.0.1.
    config = Config(
        s3={"addressing_style": "path"},
        proxies={},
        max_pool_connections=64,
        retries={"max_attempts": 1},
        user_agent_extra=PLATFORM_AGENT,  # a fault that a test switches on is not the platform's own
    )
    session = boto3.session.Session(facts.access_key_id, facts.secret_access_key, region_name=facts.region)
    names = ("s3", "logs", "iam", "cloudwatch")
    return ServiceClients(*(session.client(name, endpoint_url=facts.endpoint_url, config=config) for name in names))
