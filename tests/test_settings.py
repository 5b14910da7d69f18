"""Organisation-wide defaults: argument over connection over Airflow's configuration."""

import json

import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.polling import Pace
from airflow_nbjobs.settings import JOB_DEFAULTS, Settings, read_pace, read_settings


@pytest.fixture
def configured(monkeypatch):
    def configure(**options):
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__NBJOBS__{name.upper()}", value)

    return configure


def test_without_any_setting_there_are_no_defaults():
    assert read_settings({}) == Settings(job_defaults={}, deployment="")


def test_the_airflow_configuration_gives_defaults(configured):
    configured(role="Jobs", subnets="subnet-1, subnet-2", deployment="production")
    settings = read_settings({})
    assert settings.job_defaults == {"role": "Jobs", "subnets": "subnet-1, subnet-2"}
    assert settings.deployment == "production"


def test_the_connection_wins_over_the_configuration_and_an_argument_over_both(configured):
    configured(role="FromConfig", s3_root_uri="s3://config/x", image_uri="config.example/x")
    settings = read_settings({"nbjobs": {"role": "FromConnection", "s3_root_uri": "s3://connection/x"}})
    completed = settings.completed({"role": "FromTask", "s3_root_uri": None, "image_uri": None, "volume_size": 5})
    assert completed == {
        "role": "FromTask",
        "s3_root_uri": "s3://connection/x",
        "image_uri": "config.example/x",
        "volume_size": 5,
    }


def test_tags_are_merged_key_by_key_in_all_their_forms(configured):
    configured(tags=json.dumps({"team": "a", "cost": "1"}))
    completed = read_settings({}).completed({"tags": [{"Key": "cost", "Value": "2"}]})
    assert completed["tags"] == {"team": "a", "cost": "2"}
    assert read_settings({}).completed({"tags": None})["tags"] == '{"team": "a", "cost": "1"}'


def test_tags_that_cannot_be_read_are_said(configured):
    configured(tags="team=a")
    with pytest.raises(NotebookJobConfigError, match="tags: must be a dictionary"):
        read_settings({}).completed({"tags": {"cost": "1"}})


def test_a_misspelt_key_of_the_connection_is_an_error_that_names_the_known_ones():
    with pytest.raises(NotebookJobConfigError, match="unknown keys under 'nbjobs': rolle; known are role, ") as caught:
        read_settings({"nbjobs": {"rolle": "x"}})
    assert all(name in str(caught.value) for name in JOB_DEFAULTS)


def test_a_value_that_is_no_mapping_is_an_error():
    with pytest.raises(NotebookJobConfigError, match="key 'nbjobs' that is no mapping"):
        read_settings({"nbjobs": "role=x"})


def test_the_callers_arguments_are_not_changed(configured):
    configured(role="Jobs")
    arguments = {"role": None}
    read_settings({}).completed(arguments)
    assert arguments == {"role": None}


def test_the_pace_of_polling_can_be_configured(configured):
    assert read_pace() == Pace(list_calls_per_second=1, polling_interval_seconds=5)
    configured(list_calls_per_second="0.25", polling_interval="30")
    assert read_pace() == Pace(list_calls_per_second=0.25, polling_interval_seconds=30)


@pytest.mark.parametrize("value", ["0", "-1", "often", "nan", "inf"])
@pytest.mark.parametrize("option", ["list_calls_per_second", "polling_interval"])
def test_a_pace_that_is_none_is_an_error_that_names_the_option(configured, option, value):
    configured(**{option: value})
    with pytest.raises(
        NotebookJobConfigError, match=rf"\[nbjobs\] {option} is '{value}'; it has to be a number above zero"
    ):
        read_pace()
