"""
What the doctor asks of Airflow: its packages, configuration, database, API server; reads only.

The one module of the doctor that knows Airflow's database and HTTP. Its parts are no public interface of Airflow: what has moved is a finding, not an end.
"""

from __future__ import annotations

import http.client
import json
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

PACKAGE = "airflow-nbjobs"
_SHOWN = ("apache-airflow", "apache-airflow-providers-amazon", "boto3")
_ANSWER_SECONDS = 5.0
_MOST_BYTES = 100_000
# A page of ours that asks nobody who they are; Airflow's own pages answer to every address, and say nothing of notebooks.
_OWN_PAGE = "/nbjobs/link.html"
_OWN_SCRIPT = b"sandbox allow-scripts"


class Triggerer(msgspec.Struct, frozen=True):
    """A triggerer that has told the database of itself."""

    hostname: str
    heartbeat: datetime | None
    is_alive: bool


class AirflowSide:
    """The Airflow of this process's environment and configuration."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what runs notebook jobs."""
        return {
            "Python": ".".join(map(str, sys.version_info[:3])),
            PACKAGE: metadata.version(PACKAGE),
            **{name: metadata.version(name) for name in _SHOWN},
        }

    def misfits(self, extra: str = "") -> list[str]:
        """
        Return which requirements of this package the environment does not meet.

        :param extra: of the package; empty: those that are always needed.
        """
        from packaging.requirements import Requirement

        found = []
        for text in metadata.requires(PACKAGE) or ():
            requirement = Requirement(text)
            is_always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            is_of_extra = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            if not is_of_extra or (extra and is_always):
                continue
            try:
                installed = metadata.version(requirement.name)
            except metadata.PackageNotFoundError:
                found.append(f"{requirement.name} is not installed")
                continue
            if not requirement.specifier.contains(installed, prereleases=True):
                found.append(f"{requirement.name} is {installed}, not {requirement.specifier}")
        return found

    def is_registered(self) -> bool:
        """Say whether Airflow has found this package as a provider."""
        from airflow.providers_manager import ProvidersManager

        make: Any = ProvidersManager
        return PACKAGE in make().providers

    def options(self) -> set[str]:
        """Return the names of section ``[nbjobs]`` that have a value: the package's own defaults are empty."""
        from airflow.configuration import conf

        given: dict[str, Any] = conf.as_dict().get("nbjobs", {})
        return {name for name, value in given.items() if value}

    def database(self) -> str:
        """
        Return the kind of the metadata database, which answers.

        :raises Exception: it does not: of its driver.
        """
        from airflow.configuration import conf
        from sqlalchemy import text
        from sqlalchemy.engine import make_url

        url = make_url(conf.get("database", "sql_alchemy_conn"))
        kind = url.get_backend_name()
        if kind == "sqlite" and url.database:
            from pathlib import Path

            if not Path(url.database).is_file():  # to connect would make one
                raise FileNotFoundError(f"there is no file {url.database}")
        from airflow.utils.session import create_session

        with create_session(scoped=False) as session:
            session.execute(
                text("SELECT version_num FROM alembic_version")
            )  # a database without Airflow's tables is none
        return kind

    def triggerers(self) -> list[Triggerer]:
        """Return the triggerers that the database says are running, dead ones among them."""
        from airflow.jobs.job import Job, JobState
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session(scoped=False) as session:
            found = session.scalars(select(Job).where(Job.job_type == "TriggererJob", Job.state == JobState.RUNNING))
            return [Triggerer(str(job.hostname), job.latest_heartbeat, bool(job.is_alive())) for job in found]

    def address(self) -> str | None:
        """Return ``[api] base_url``, None where it is not set."""
        from airflow_nbjobs._compat import ui_root

        return ui_root()

    def health(self, address: str) -> dict[str, Any]:
        """
        Return what the API server says of itself and the other parts.

        :raises OSError: it does not answer, or something else does.
        """
        status, _, body = _get(f"{address}/api/v2/monitor/health")
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if status != http.client.OK or not isinstance(found, dict) or "metadatabase" not in found:
            raise OSError(f"what answers there (HTTP {status}) is no API server of Airflow 3")
        return found

    def pages(self, address: str) -> str:
        """Return ``there``, ``absent``, or what is said in the pages' place."""
        status, policy, body = _get(f"{address}{_OWN_PAGE}")
        if status == http.client.OK:
            return "there" if _OWN_SCRIPT in policy.encode() else "absent"
        if status == http.client.NOT_IMPLEMENTED:
            return body.decode(errors="replace").strip()
        return "absent" if status == http.client.NOT_FOUND else f"HTTP {status}"


def _get(url: str) -> tuple[int, str, bytes]:
    """Return status, content policy and beginning of an answer; raises OSError where there is none."""
    if not url.startswith(("http://", "https://")):
        raise OSError(f"'{url}' is no address of HTTP")
    try:
        with urlopen(Request(url), timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - of http(s), and configured
            return answer.status, answer.headers.get("Content-Security-Policy", ""), answer.read(_MOST_BYTES)
    except HTTPError as error:
        return error.code, "", error.read(_MOST_BYTES)
    except URLError as error:
        raise OSError(str(error.reason)) from error
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {error!r}") from error
