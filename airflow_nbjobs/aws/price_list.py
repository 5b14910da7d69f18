"""
AWS's Price List of SageMaker, page by page.

Called by ``nbjobs prices update`` alone: neither tasks nor pages ask it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.connection import Port
from airflow_nbjobs.aws.errors import no_answer_of_aws
from airflow_nbjobs.core.job.price_list import SERVICE_CODE, filters

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_PAGES = 500  # of a hundred entries


def endpoint_region(region: str) -> str:
    """Return where the Price List of a region is asked for. Source: AWS General Reference, *AWS Billing and Cost Management endpoints*."""
    return "cn-northwest-1" if region.startswith("cn-") else "us-east-1"


class Boto3PriceList(Port):
    """The Price List, on boto3's client ``pricing``."""

    def entries(self, region: str, instance_type: str | None = None) -> Iterator[Any]:
        """
        Yield the entries of a region's instances, of all components, as the service sends them.

        :raises NotebookJobError: it could not be asked.
        """
        request: dict[str, Any] = {
            "ServiceCode": SERVICE_CODE,
            "Filters": filters(region, instance_type),
            "FormatVersion": "aws_v1",
            "MaxResults": 100,
        }
        for _ in range(_MOST_PAGES):
            answer = self.ask("pricing:GetProducts", lambda client: client.get_products(**request), on="*")
            if "PriceList" not in answer:
                raise no_answer_of_aws("pricing:GetProducts", "*")
            yield from answer["PriceList"]
            if not answer.get("NextToken"):
                return
            request["NextToken"] = answer["NextToken"]
        raise no_answer_of_aws("pricing:GetProducts", "*", why=f"its answer has no end after {_MOST_PAGES} pages")
