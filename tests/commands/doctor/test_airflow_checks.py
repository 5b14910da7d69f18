"""``nbjobs doctor`` on Airflow's side, by answers that a test decides; ``test_airflow_side.py`` holds the adapter to real ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from doctor_doubles import FakeAirflow, patient

from airflow_nbjobs.commands.doctor import airflow_checks
from airflow_nbjobs.commands.doctor.airflow_checks import CHECKS
from airflow_nbjobs.commands.doctor.airflow_side import Triggerer
from airflow_nbjobs.commands.doctor.examination import Check, Mark, examine, right, unknown
from airflow_nbjobs.core.errors import NotebookJobConfigError

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALIVE = Triggerer("alive.example", THEN, is_alive=True)
DEAD = Triggerer("dead.example", THEN, is_alive=False)
UNREACHABLE = ConnectionRefusedError("refused\nlong story")


@pytest.fixture(autouse=True)
def _with_tabs(monkeypatch):
    monkeypatch.setattr(airflow_checks, "has_tabs", lambda: True)


def look(name, **answers):
    """All checks are made, since they build on each other; returns what one of them found."""
    outcomes = {outcome.name: outcome for outcome in examine(CHECKS, patient(airflow=FakeAirflow(**answers)))}
    return list(outcomes[name].findings)


def test_all_is_right():
    found = {
        finding.mark
        for outcome in examine(CHECKS, patient(airflow=FakeAirflow(triggerers=[ALIVE])))
        for finding in outcome.findings
    }
    assert found == {Mark.RIGHT}


@pytest.mark.parametrize(
    ("check", "answers", "mark", "text", "fix"),
    [
        ("versions", {"misfits": ["boto3 is 1.2, not >=1.40"]}, Mark.WRONG, "boto3 is 1.2, not >=1.40", "pip check"),
        ("provider", {"is_registered": False}, Mark.WRONG, "has not found the provider", "pip install airflow-nbjobs"),
        ("configuration", {"options": {"rolle"}}, Mark.WRONG, "[nbjobs] rolle is no option; did you mean 'role'?", ""),
        ("database", {"database": UNREACHABLE}, Mark.UNKNOWN, "ConnectionRefusedError: refused", "the scheduler runs"),
        ("API server", {"address": None}, Mark.UNKNOWN, "is not configured here", "[api] base_url"),
        ("API server", {"health": OSError("timed out")}, Mark.UNKNOWN, "timed out", "airflow api-server"),
        (
            "API server",
            {"health": {"metadatabase": {"status": "unhealthy"}}},
            Mark.WRONG,
            "cannot reach its metadata database",
            "log",
        ),
        ("triggerer", {}, Mark.WRONG, "there is no triggerer", "airflow triggerer"),
        ("triggerer", {"triggerers": [DEAD]}, Mark.WRONG, "the last at 2026-01-02 03:04:05 UTC", "deferrable=False"),
        ("triggerer", {"triggerers": [DEAD, ALIVE]}, Mark.RIGHT, "1 alive: alive.example", ""),
        ("triggerer", {"database": UNREACHABLE}, Mark.RIGHT, "as the API server says", ""),
        (
            "triggerer",
            {"database": UNREACHABLE, "health": {"metadatabase": {}, "triggerer": {"status": None}}},
            Mark.WRONG,
            "knows of none that is alive",
            "airflow triggerer",
        ),
        (
            "triggerer",
            {"database": UNREACHABLE, "health": OSError("no")},
            Mark.UNKNOWN,
            "neither the metadata database nor the API server",
            "",
        ),
        ("tab", {"pages": "absent"}, Mark.WRONG, "does not know the tab", "pip install 'airflow-nbjobs[ui]'"),
        ("tab", {"pages": "need Airflow 3.1 (no bleach)"}, Mark.WRONG, "no bleach", "airflow-nbjobs[ui]"),
        (
            "tab",
            {"address": None, "ui_misfits": ["bleach is not installed"]},
            Mark.UNKNOWN,
            "this environment lacks bleach is not installed",
            "airflow-nbjobs[ui]",
        ),
        ("tab", {"address": None}, Mark.UNKNOWN, "this environment has the extra 'ui'", ""),
    ],
)
def test_each_fault_is_named_with_what_to_do(check, answers, mark, text, fix):
    found = [finding for finding in look(check, **answers) if finding.mark is mark]
    assert len(found) == 1
    assert text in found[0].text
    assert fix in found[0].fix
    assert "long story" not in found[0].text


@pytest.mark.parametrize(
    ("check", "answers", "text"),
    [
        ("configuration", {"options": {"role", "image_uri"}}, "[nbjobs] sets image_uri, role"),
        ("configuration", {"options": set()}, "[nbjobs] sets nothing"),
        (
            "triggerer",
            {"triggerers": [Triggerer("a", None, is_alive=False), Triggerer("b", None, is_alive=False)]},
            "no triggerer has told of itself lately: deferred tasks wait for ever",
        ),
        (
            "triggerer",
            {"triggerers": [Triggerer("a", None, is_alive=False), DEAD]},
            "no triggerer has told of itself lately, the last at 2026-01-02 03:04:05 UTC: deferred tasks wait for ever",
        ),
        (
            "tab",
            {"health": OSError("timed out")},
            "whether the API server has the tab is not known; this environment has the extra 'ui'",
        ),
    ],
)
def test_what_is_found_is_said_whole(check, answers, text):
    (found,) = look(check, **answers)
    assert (found.text, found.fix if check == "tab" else "") == (text, "")


def test_a_misspelt_option_is_all_that_is_said_of_the_configuration():
    (found,) = look("configuration", options={"rolle", "role"})
    assert found.mark is Mark.WRONG


def test_an_airflow_without_tabs_is_not_said_to_show_one(monkeypatch):
    """The API server serves the page's address there too."""
    monkeypatch.setattr(airflow_checks, "has_tabs", lambda: False)
    (found,) = look("tab")
    assert found.mark is Mark.UNKNOWN
    assert "shows no tabs of plugins, as it does from 3.1 on" in found.text


@pytest.mark.parametrize(
    ("name", "text"), [("polling_interval", "polling_interval is 'soon'"), ("machine_metrics", "machine_metrics: ")]
)
def test_a_setting_that_cannot_be_read_is_told(monkeypatch, name, text):
    """And it is all that is said of the configuration."""
    monkeypatch.setenv(f"AIRFLOW__NBJOBS__{name.upper()}", "soon")
    (found,) = look("configuration")
    assert found.mark is Mark.WRONG
    assert text in found.text


def test_each_setting_that_cannot_be_read_is_told(monkeypatch):
    for name in ("polling_interval", "machine_metrics"):
        monkeypatch.setenv(f"AIRFLOW__NBJOBS__{name.upper()}", "soon")
    assert [finding.mark for finding in look("configuration")] == [Mark.WRONG, Mark.WRONG]


# -- the order of checks ------------------------------------------------------------------------------------------------


def breaks(_patient):
    yield right("so far")
    raise KeyError("gone")


def refuses(_patient):
    raise NotebookJobConfigError("that is wrong", details={"next": "mend it"})
    yield


def test_a_check_that_breaks_keeps_what_it_found_and_hides_no_other():
    last = Check("last", lambda _: [right("made")])
    outcomes = list(examine([Check("breaks", breaks), Check("refuses", refuses), last], patient()))
    assert [finding.text for finding in outcomes[0].findings] == ["so far", "could not be checked: KeyError: 'gone'"]
    assert (outcomes[1].findings[0].mark, outcomes[1].findings[0].fix) == (Mark.WRONG, "mend it")
    assert outcomes[2].findings == (right("made"),)


def test_a_check_without_what_it_needs_is_not_made():
    def never(_):
        raise AssertionError

    (outcome,) = examine([Check("bucket", never, needs=("identity", "spec"))], patient())
    assert outcome.findings == (unknown("not checked: the credentials and the arguments must be right first"),)


def test_ctrl_c_ends_the_examination():
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(examine([Check("x", interrupted)], patient()))
