"""
What an embedded SageMaker is: its addresses, names and key, as values.

Read by every module of ``local/`` and written to the ready file; imports nothing of the package.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ACCOUNT_ID = "123456789012"
ROLE_NAME = "NotebookJobs"
NAMESPACE_WAYS = frozenset({"userns", "root"})  # of isolation, in which a job can be kept off the network
DISTRIBUTION_PARAMETER = "/aws/service/sagemaker-distribution/ecr-account-id"

# Source: the SageMaker SDK's image_uri_config/sagemaker-distribution.json (2.257), the regions that it lists.
DISTRIBUTION_ACCOUNTS = {
    "af-south-1": "238384257742",
    "ap-east-1": "523751269255",
    "ap-northeast-1": "010972774902",
    "ap-northeast-2": "064688005998",
    "ap-northeast-3": "564864627153",
    "ap-south-1": "245090515133",
    "ap-southeast-1": "022667117163",
    "ap-southeast-2": "648430277019",
    "ap-southeast-3": "370607712162",
    "ca-central-1": "481561238223",
    "eu-central-1": "545423591354",
    "eu-north-1": "175620155138",
    "eu-south-1": "810671768855",
    "eu-west-1": "819792524951",
    "eu-west-2": "021081402939",
    "eu-west-3": "856416204555",
    "me-central-1": "358593528301",
    "me-south-1": "523774347010",
    "sa-east-1": "567556641782",
    "us-east-1": "885854791233",
    "us-east-2": "137914896644",
    "us-west-1": "053634841547",
    "us-west-2": "542918446943",
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """
    What a client must know; exactly the ready file's content.

    :param access_key_id: random at each start; whoever carries it may run code as the server's user.
    :param isolation: ``userns``, ``root``, ``none`` or ``direct``, see ``probe.py``.
    """

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    region: str
    account_id: str
    role_arn: str
    default_bucket: str
    sample_bucket: str
    image_uri: str
    pid: int
    isolation: str

    def environment(self) -> dict[str, str]:
        """Return the variables that point boto3, the AWS CLI and Airflow's AWS hooks to this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def airflow_connection(self, *, with_job_defaults: bool = False) -> str:
        """
        Return the JSON form of an Airflow connection to this server.

        :param with_job_defaults: also what every notebook job needs, so that a task has to name nothing; it wins over ``[nbjobs]``.
        """
        job_defaults = {
            "role": self.role_arn,
            "s3_root_uri": f"s3://{self.default_bucket}/nbjobs",
            "image_uri": self.image_uri,
        }
        return json.dumps(
            {
                "conn_type": "aws",
                "login": self.access_key_id,
                "password": self.secret_access_key,
                "extra": {"endpoint_url": self.endpoint_url, "region_name": self.region}
                | ({"nbjobs": job_defaults} if with_job_defaults else {}),
            }
        )

    def airflow_settings(self, s3_root_uri: str | None = None) -> dict[str, str]:
        """Return the environment that points Airflow here, and tells its notebook tasks all that they need not say themselves."""
        return {
            "AIRFLOW_CONN_AWS_DEFAULT": self.airflow_connection(),
            "AIRFLOW__NBJOBS__ROLE": self.role_arn,
            "AIRFLOW__NBJOBS__S3_ROOT_URI": s3_root_uri or f"s3://{self.default_bucket}/nbjobs",
            "AIRFLOW__NBJOBS__IMAGE_URI": self.image_uri,
        }


def build_facts(
    *, port: int, region: str, access_key_id: str, secret_access_key: str, isolation: str, host: str = "127.0.0.1"
) -> ServerFacts:
    """
    Return the facts of a server on ``port``.

    :param host: an address under which it, and its jobs, reach it themselves.
    :raises KeyError: no SageMaker Distribution account is published for ``region``.
    """
    return ServerFacts(
        endpoint_url=f"http://{host}:{port}",
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        region=region,
        account_id=ACCOUNT_ID,
        role_arn=f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE_NAME}",
        default_bucket=f"sagemaker-{region}-{ACCOUNT_ID}",
        sample_bucket=f"sagemaker-example-files-prod-{region}",
        image_uri=f"{DISTRIBUTION_ACCOUNTS[region]}.dkr.ecr.{region}.amazonaws.com/sagemaker-distribution-prod:4-cpu",
        pid=os.getpid(),
        isolation=isolation,
    )


def write_ready_file(facts: ServerFacts, path: Path) -> None:
    """Write the facts for the owner's eyes only (they hold the key), and all at once: a reader sees nothing or everything."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(facts), file)
    Path(unfinished).replace(path)


def read_ready_file(path: Path) -> ServerFacts:
    return ServerFacts(**json.loads(path.read_text()))
