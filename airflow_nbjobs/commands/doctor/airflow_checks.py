"""Checks of Airflow's side: packages, configuration, database, triggerer, API server and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs._compat import has_tabs
from airflow_nbjobs.commands.doctor.airflow_side import PACKAGE
from airflow_nbjobs.commands.doctor.examination import Check, Finding, first_line, right, unknown, wrong
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.provider_info import get_provider_info
from airflow_nbjobs.settings import SECTION, keeps_machine_metrics, read_pace, read_prices, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.commands.doctor.patient import Patient

_START_TRIGGERER = "run 'airflow triggerer' (or set deferrable=False, which waits in a worker)"


def _versions(patient: Patient) -> Iterator[Finding]:
    versions = patient.airflow.versions()
    yield right(", ".join(f"{name} {version}" for name, version in versions.items()))
    for misfit in patient.airflow.misfits():
        yield wrong(f"{PACKAGE} needs another version: {misfit}", "install what it asks for: 'pip check' lists it")


def _provider(patient: Patient) -> Iterator[Finding]:
    if patient.airflow.is_registered():
        yield right("Airflow has found the package: operators, links, connections and [nbjobs] are known")
    else:
        yield wrong(
            f"Airflow has not found the provider '{PACKAGE}'",
            f"install it in Airflow's own environment: pip install {PACKAGE}",
        )


def _configuration(patient: Patient) -> Iterator[Finding]:
    known = get_provider_info()["config"][SECTION]["options"]
    strangers = sorted(patient.airflow.options() - set(known))
    for name in strangers:
        yield wrong(
            f"[{SECTION}] {name} is no option{did_you_mean(name, known)}", "correct it: an unknown option does nothing"
        )
    is_right = not strangers
    for read in (read_prices, read_pace, lambda: keeps_machine_metrics(read_settings({}))):
        try:
            read()
        except NotebookJobConfigError as error:
            is_right = False
            yield patient.finding_of(error)
    if is_right:
        given = sorted(patient.airflow.options())
        yield right(f"[{SECTION}] sets {', '.join(given)}" if given else f"[{SECTION}] sets nothing")


def _database(patient: Patient) -> Iterator[Finding]:
    try:
        kind = patient.airflow.database()
    except Exception as error:  # noqa: BLE001 - of whichever driver
        # Workers of Airflow 3 have no database: the API server is asked instead.
        yield unknown(
            f"the metadata database cannot be reached from here: {type(error).__name__}: {first_line(error)}",
            "run the doctor where the scheduler runs; connections that are stored in it are not seen here",
        )
        return
    patient.has_database = True
    yield right(f"the metadata database answers ({kind})")


def _api_server(patient: Patient) -> Iterator[Finding]:
    address = patient.airflow.address()
    if address is None:
        yield unknown(
            "where the API server is, is not configured here",
            "set [api] base_url; links of notebook jobs lead there as well",
        )
        return
    try:
        patient.health = patient.airflow.health(address)
    except OSError as error:
        yield unknown(
            f"no API server at {address} ([api] base_url): {error}",
            "start it ('airflow api-server'), correct [api] base_url, or run the doctor where it can be reached",
        )
        return
    yield right(f"the API server answers at {address}")
    if patient.health["metadatabase"].get("status") != "healthy":
        yield wrong("the API server cannot reach its metadata database", "look at its log")


def _triggerer(patient: Patient) -> Iterator[Finding]:
    if patient.has_database:
        triggerers = patient.airflow.triggerers()
        alive = [each for each in triggerers if each.is_alive]
        if alive:
            yield right(f"{len(alive)} alive: {', '.join(each.hostname for each in alive)}")
        elif triggerers:
            last = max((each.heartbeat for each in triggerers if each.heartbeat), default=None)
            said = f", the last at {last:%Y-%m-%d %H:%M:%S} UTC" if last else ""
            yield wrong(f"no triggerer has told of itself lately{said}: deferred tasks wait for ever", _START_TRIGGERER)
        else:
            yield wrong("there is no triggerer: deferred tasks wait for ever", _START_TRIGGERER)
    elif patient.health is not None:
        part = patient.health.get("triggerer") or {}
        if part.get("status") == "healthy":
            yield right("alive, as the API server says")
        else:
            yield wrong("the API server knows of none that is alive: deferred tasks wait for ever", _START_TRIGGERER)
    else:
        yield unknown("not checked: neither the metadata database nor the API server can be asked", _START_TRIGGERER)


def _tab(patient: Patient) -> Iterator[Finding]:
    if not has_tabs():
        yield unknown("this Airflow shows no tabs of plugins, as it does from 3.1 on: links lead to the S3 console")
        return
    misfits = patient.airflow.misfits("ui")
    here = f"this environment lacks {', '.join(misfits)}" if misfits else "this environment has the extra 'ui'"
    install = f"pip install '{PACKAGE}[ui]' where the API server runs, and start it again"
    address = patient.airflow.address()
    if patient.health is None or address is None:
        yield unknown(f"whether the API server has the tab is not known; {here}", install if misfits else "")
        return
    found = patient.airflow.pages(address)
    if found == "there":
        yield right("the API server serves the tab and the page of notebook jobs")
    elif found == "absent":
        yield wrong("the API server does not know the tab: this package is not installed there", install)
    else:
        yield wrong(f"the API server cannot show the tab: {found}", install)


CHECKS = (
    Check("versions", _versions),
    Check("provider", _provider),
    Check("configuration", _configuration),
    Check("database", _database),
    Check("API server", _api_server),
    Check("triggerer", _triggerer),
    Check("tab", _tab),
)
