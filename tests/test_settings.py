"""Organisation-wide defaults: argument over connection over Airflow's configuration."""

import json
from urllib.parse import urlencode

import pytest
from airflow.models.connection import Connection

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.watch.pace import Pace
from airflow_nbjobs.settings import (
    JOB_DEFAULTS,
    Settings,
    keeps_machine_metrics,
    read_pace,
    read_prices,
    read_settings,
    wants_log_stream,
)


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
    completed = settings.completed(JobArguments(role="FromTask", volume_size=5))
    assert completed == JobArguments(
        role="FromTask", s3_root_uri="s3://connection/x", image_uri="config.example/x", volume_size=5
    )


def test_tags_are_merged_key_by_key_in_all_their_forms(configured):
    configured(tags=json.dumps({"team": "a", "cost": "1"}))
    completed = read_settings({}).completed(JobArguments(tags=[{"Key": "cost", "Value": "2"}]))
    assert completed.tags == {"team": "a", "cost": "2"}
    assert read_settings({}).completed(JobArguments()).tags == '{"team": "a", "cost": "1"}'


def test_tags_that_cannot_be_read_are_left_to_be_reported_with_all_that_is_wrong(configured):
    configured(tags="team=a")
    settings = read_settings({})
    assert settings.completed(JobArguments(tags={"cost": "1"})).tags == "team=a"
    assert settings.place("tags", JobArguments(tags={"cost": "1"})) == "[nbjobs] tags"
    configured(tags='{"team": "a"}')
    settings = read_settings({})
    assert settings.completed(JobArguments(tags="cost=1")).tags == "cost=1"
    assert settings.place("tags", JobArguments(tags="cost=1")) is None


def test_each_default_knows_its_place(configured):
    configured(role="Jobs", image_uri="config.example/x")
    settings = read_settings({"nbjobs": {"role": "FromConnection"}})
    assert (
        settings.place("role", JobArguments())
        == settings.place("role", JobArguments(role=""))
        == "'nbjobs' in the AWS connection's extra"
    )
    assert settings.place("image_uri", JobArguments()) == "[nbjobs] image_uri"
    assert settings.place("role", JobArguments(role="Mine")) is None
    assert settings.place("subnets", JobArguments()) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"role": "Jobs", "subnets": ["subnet-1"]}',
        "{'role': 'Jobs', 'subnets': ['subnet-1']}",
        '"{\\"role\\": \\"Jobs\\", \\"subnets\\": [\\"subnet-1\\"]}"',
    ],
)
def test_the_connections_defaults_may_be_a_text(text):
    """The query of a connection's URI holds nothing else."""
    assert read_settings({"nbjobs": text}).job_defaults == {"role": "Jobs", "subnets": ["subnet-1"]}


def test_the_uri_of_a_connection_holds_defaults():
    query = urlencode({"region_name": "eu-west-1", "nbjobs": json.dumps({"role": "Jobs", "live_notebook": True})})
    connection = Connection(conn_id="c", uri=f"aws://?{query}")
    assert read_settings(connection.extra_dejson).job_defaults == {"role": "Jobs", "live_notebook": True}


@pytest.mark.parametrize("empty", [None, "", " ", "null", "None"])
def test_an_empty_value_hides_nothing_beneath_it(configured, empty):
    configured(role="FromConfig", s3_root_uri="s3://config/x", image_uri="", subnets="None")
    settings = read_settings({"nbjobs": {"role": empty, "image_uri": "connection.example/x", "tags": empty}})
    assert settings.job_defaults == {
        "role": "FromConfig",
        "s3_root_uri": "s3://config/x",
        "image_uri": "connection.example/x",
    }
    completed = settings.completed(JobArguments(role=empty, image_uri=empty, s3_root_uri="s3://task/x", name=empty))
    assert completed.role == "FromConfig"
    assert completed.image_uri == "connection.example/x"
    assert completed.s3_root_uri == "s3://task/x"
    assert read_settings({"nbjobs": empty}).job_defaults["role"] == "FromConfig"


def test_what_is_no_empty_value_hides_what_is_beneath_it(configured):
    configured(live_notebook="True", subnets="subnet-1")
    settings = read_settings({"nbjobs": {"live_notebook": False, "subnets": []}})
    assert settings.job_defaults == {"live_notebook": False, "subnets": []}


@pytest.mark.parametrize(("argument", "expected"), [("", False), ("None", False), (None, False), ("on", True)])
def test_the_log_streams_as_the_defaults_say_where_the_argument_is_empty(argument, expected):
    settings = read_settings({"nbjobs": {"stream_logs": "off"}})
    assert wants_log_stream(argument, settings) is expected


def test_where_nobody_says_anything_logs_stream_and_no_metrics_are_kept():
    """One costs nothing that a task does not ask for anyway, the other a permission and a call a job."""
    settings = read_settings({})
    assert wants_log_stream(None, settings) is True
    assert wants_log_stream("no", settings) is False
    assert keeps_machine_metrics(settings) is False


@pytest.mark.parametrize(("said", "is_kept"), [("true", True), (True, True), ("off", False)])
def test_metrics_are_kept_as_the_defaults_say(configured, said, is_kept):
    assert keeps_machine_metrics(read_settings({"nbjobs": {"machine_metrics": said}})) is is_kept
    configured(machine_metrics=str(said))
    assert keeps_machine_metrics(read_settings({})) is is_kept


def test_what_says_neither_yes_nor_no_is_an_error_that_names_the_option():
    with pytest.raises(NotebookJobConfigError, match="stream_logs: must be True or False, not 'perhaps'"):
        wants_log_stream("perhaps", read_settings({}))
    settings = read_settings({"nbjobs": {"machine_metrics": "perhaps", "stream_logs": "maybe"}})
    with pytest.raises(NotebookJobConfigError, match="machine_metrics: must be True or False, not 'perhaps'"):
        keeps_machine_metrics(settings)
    with pytest.raises(NotebookJobConfigError, match="stream_logs: must be True or False, not 'maybe'"):
        wants_log_stream(None, settings)


def test_prices_are_the_configurations_before_those_of_the_variable(configured):
    stored = json.dumps({"ml.m5.large": 1.0, "ml.m5.xlarge": 2.0})
    assert read_prices(stored).per_hour == {"ml.m5.large": 1.0, "ml.m5.xlarge": 2.0}
    configured(instance_prices='{"ml.m5.large": 0.5}', currency="CHF")
    prices = read_prices(stored)
    assert (prices.per_hour["ml.m5.large"], prices.currency) == (0.5, "CHF")


def test_an_argument_that_a_task_does_not_have_takes_no_default():
    """``stream_logs`` is read where the task waits, and is none of the job's own arguments."""
    arguments = JobArguments(role="r")
    assert read_settings({"nbjobs": {"machine_metrics": True}}).completed(arguments) == arguments


def test_the_place_of_tags_is_told_where_they_are_a_defaults(configured):
    configured(tags='{"team": "a"}')
    settings = read_settings({})
    assert settings.place("tags", JobArguments()) == "[nbjobs] tags"
    assert settings.place("tags", JobArguments(tags={"a": "b"})) is None


def test_several_misspelt_keys_are_named_in_order():
    with pytest.raises(NotebookJobConfigError, match="under 'nbjobs': a, b, z; known are"):
        read_settings({"nbjobs": {"z": 1, "a": 1, "role": "r", "b": 1}})


def test_a_misspelt_key_of_the_connection_is_an_error_that_names_the_known_ones():
    with pytest.raises(NotebookJobConfigError, match="unknown keys under 'nbjobs': rolle; known are role, ") as caught:
        read_settings({"nbjobs": {"rolle": "x"}})
    assert all(name in str(caught.value) for name in JOB_DEFAULTS)


def test_a_value_that_is_no_mapping_is_an_error():
    for value in ("role=hunter2", ["hunter2"], 5, '["hunter2"]'):
        with pytest.raises(NotebookJobConfigError, match="key 'nbjobs' that is no mapping") as caught:
            read_settings({"nbjobs": value})
        assert "hunter2" not in str(caught.value)


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
