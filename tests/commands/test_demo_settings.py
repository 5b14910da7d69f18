"""What the demo's processes are told, and that nothing of the user's own set-up gets in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import warnings
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from airflow_nbjobs.commands.demo import app
from airflow_nbjobs.commands.demo.login import DemoLoginPlugin
from airflow_nbjobs.commands.demo.settings import (
    Secrets,
    airflow_environment,
    base_environment,
    launcher_script,
    loopback_name,
)
from airflow_nbjobs.local.embedded import make_client
from airflow_nbjobs.local.state.facts import ServerFacts

READY = ServerFacts(
    endpoint_url="http://127.0.0.1:4000",
    access_key_id="AKIAKEY",
    secret_access_key="s3cret",
    region="eu-west-1",
    account_id="123456789012",
    role_arn="arn:aws:iam::123456789012:role/Nb",
    default_bucket="bucket",
    sample_bucket="samples",
    image_uri="image:1",
    pid=7,
    isolation="none",
)


@pytest.fixture
def environment():
    return airflow_environment(
        {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW_CONFIG": "/mine.cfg",
            "AWS_PROFILE": "prod",
            "PATH": "/bin",
        },
        home=Path("/private"),
        dags=Path("/samples/dags"),
        port=5001,
        server=READY,
        keys=Secrets.generate(),
    )


def test_the_users_airflow_and_aws_settings_do_not_reach_the_demo(environment):
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW_CONFIG" not in environment
    assert "AWS_PROFILE" not in environment
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"


def test_other_variables_stay_and_the_users_mapping_is_not_changed():
    environ = {"HOME": "/home/me", "AWS_REGION": "x", "PYTHONDONTWRITEBYTECODE": "1"}
    assert base_environment(environ)["HOME"] == "/home/me"
    assert "PYTHONDONTWRITEBYTECODE" not in base_environment(environ)
    assert environ == {"HOME": "/home/me", "AWS_REGION": "x", "PYTHONDONTWRITEBYTECODE": "1"}


def test_a_proxy_of_the_user_is_not_asked_for_this_machine():
    environment = base_environment({"http_proxy": "http://proxy:3128", "no_proxy": "intranet"})
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_airflow_listens_on_loopback_and_logs_in_by_password(environment):
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__PORT"] == "5001"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:5001/execution/"
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"


def test_airflow_reads_the_given_dags_only_and_keeps_all_files_in_its_home(environment):
    (bundle,) = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["kwargs"]["path"] == "/samples/dags"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    kept = [environment["AIRFLOW_HOME"], environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]]
    kept.append(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert all(path.startswith("/private") for path in kept)


def test_jobs_go_to_the_embedded_server(environment):
    connection = json.loads(environment["AIRFLOW_CONN_AWS_DEFAULT"])
    assert connection == {
        "conn_type": "aws",
        "login": "AKIAKEY",
        "password": "s3cret",
        "extra": {"endpoint_url": "http://127.0.0.1:4000", "region_name": "eu-west-1"},
    }
    assert environment["AIRFLOW__NBJOBS__ROLE"] == READY.role_arn
    assert environment["AIRFLOW__NBJOBS__S3_ROOT_URI"] == "s3://bucket/nbjobs"
    assert environment["AIRFLOW__NBJOBS__IMAGE_URI"] == "image:1"


def test_costs_are_seen_of_every_machine_that_the_samples_ask_for(environment):
    samples = "".join(path.read_text() for path in (Path(__file__).parents[2] / "dags").rglob("*.py"))
    asked = set(re.findall(r"ml\.[a-z0-9]+\.[a-z0-9]+", samples))
    assert asked
    assert asked <= set(json.loads(environment["AIRFLOW__NBJOBS__INSTANCE_PRICES"]))


def test_what_keeps_the_demo_small_quick_and_on_this_machine_is_set(environment):
    """Each is an option of Airflow's whose default would do something else."""
    url = "http://127.0.0.1:5001"
    assert {
        "AIRFLOW_HOME": "/private",
        "PATH": f"/private/bin{os.pathsep}/bin",
        "AIRFLOW__CORE__DAGS_FOLDER": "/samples/dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": "/private/plugins",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "/private/passwords.json",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow_nbjobs.commands.demo.settings.loopback_name",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////private/airflow.db",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/private/logs",
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": "/private/logs/dag_processor",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "1",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "1",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": "/private/bundles",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "OPENLINEAGE_DISABLED": "true",
        "SCARF_NO_ANALYTICS": "true",
    }.items() <= environment.items()
    (bundle,) = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert (bundle["name"], bundle["kwargs"]["refresh_interval"]) == ("nbjobs-demo", 10)
    assert loopback_name() == "localhost"


def test_each_secret_is_where_airflow_looks_for_it():
    keys = Secrets(password="p", jwt_secret="j", api_secret_key="a", fernet_key="f")
    made = airflow_environment({}, home=Path("/h"), dags=Path("/d"), port=1, server=READY, keys=keys)
    assert made["AIRFLOW__API_AUTH__JWT_SECRET"] == "j"
    assert made["AIRFLOW__API__SECRET_KEY"] == "a"
    assert made["AIRFLOW__CORE__FERNET_KEY"] == "f"
    assert "p" not in made.values()
    assert made["PATH"] == f"/h/bin{os.pathsep}{os.defpath}"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "a,127.0.0.1", "no_proxy": "b"}, "a,127.0.0.1,localhost"),
        ({"NO_PROXY": "", "no_proxy": "b,,c"}, "b,c,127.0.0.1,localhost"),
    ],
    ids=str,
)
def test_this_machine_is_added_to_those_without_a_proxy(environ, expected):
    made = base_environment(environ)
    assert (made["NO_PROXY"], made["no_proxy"]) == (expected, expected)


@pytest.mark.parametrize(
    "name",
    ["AIRFLOW_CTX_X", "_AIRFLOW_WWW", "AWS_REGION", "OPENLINEAGE_URL", "PYTHONDONTWRITEBYTECODE", "FORCE_COLOR", "CLICOLOR_FORCE"],
)  # fmt: skip
def test_what_would_change_the_demo_is_left_out(name):
    assert name not in base_environment({name: "x"})
    assert base_environment({f"MY_{name}": "x"})[f"MY_{name}"] == "x"


def test_a_fernet_key_is_one_that_airflow_takes():
    from cryptography.fernet import Fernet

    Fernet(Secrets.generate().fernet_key)


@pytest.fixture
def log_in(environment, tmp_path, monkeypatch):
    """What the demo's Airflow answers to an address of its login; the password is 'secret'."""
    with warnings.catch_warnings():  # an Airflow older than its Starlette imports what that gives up
        warnings.simplefilter("ignore")
        from airflow.api_fastapi.auth.managers.simple.services import login

    (tmp_path / "passwords.json").write_text('{"admin": "secret"}')
    monkeypatch.setenv(
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    )
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(tmp_path / "passwords.json"))
    monkeypatch.setattr(
        login, "get_auth_manager", lambda: SimpleNamespace(generate_jwt=lambda user, **_: f"of {user.username}")
    )
    (plugin,) = DemoLoginPlugin.fastapi_apps
    outer = FastAPI()
    outer.mount(plugin["url_prefix"], plugin["app"])

    async def get(path):
        transport = httpx.ASGITransport(app=outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path)

    return lambda path: asyncio.run(get(path))


@pytest.mark.parametrize(
    ("page", "to"),
    [("/dags/d/runs/demo", "/dags/d/runs/demo"), ("", "/"), ("//evil.example/x", "/evil.example/x")],
)
def test_the_address_with_the_password_logs_in_and_goes_on_to_a_page_of_this_airflow(log_in, page, to):
    answer = log_in(f"/nbjobs-demo/secret{page}")
    assert (answer.status_code, answer.headers["location"]) == (303, to)
    assert answer.headers["set-cookie"] == '_token="of admin"; Path=/; SameSite=lax'
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize(
    "path", ["/nbjobs-demo/wrong/dags", "/nbjobs-demo//dags", "/nbjobs-demo/", "/nbjobs-demo/SECRET"]
)
def test_whoever_does_not_know_the_password_is_not_let_in(log_in, path):
    answer = log_in(path)
    assert answer.status_code in (400, 401)
    assert "set-cookie" not in answer.headers


def test_the_demo_leaves_airflow_a_plugin_file_that_it_finds(environment, tmp_path):
    assert environment["AIRFLOW__CORE__PLUGINS_FOLDER"] == "/private/plugins"
    names = {}
    exec(app.PLUGIN_FILE, names)  # noqa: S102 - ours
    assert names["DemoLoginPlugin"] is DemoLoginPlugin


def test_the_demo_reads_logs_whatever_aws_profile_the_user_has(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_PROFILE", "one-that-is-not-there")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path))
    assert make_client(READY, "logs").meta.endpoint_url == READY.endpoint_url


def test_two_demos_share_no_secret():
    first, second = Secrets.generate(), Secrets.generate()
    assert all(getattr(first, name) != getattr(second, name) for name in Secrets.__slots__)


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("triggerer", "triggerer --skip-serve-logs"),
        ("scheduler", "scheduler --skip-serve-logs"),
        ("api-server", "api-server"),
    ],
)
def test_the_launcher_notes_the_components_pid_and_switches_log_servers_off(tmp_path, component, expected):
    """Airflow has no option for the address of its log servers: they would listen on all interfaces."""
    real = tmp_path / "it's airflow"
    real.write_text('#!/bin/sh\necho $$ "$@"\n')
    launcher = tmp_path / "launcher"
    launcher.write_text(launcher_script(real))
    for script in (real, launcher):
        script.chmod(0o700)
    done = subprocess.run(
        [launcher, component], env={"AIRFLOW_HOME": tmp_path}, capture_output=True, text=True, check=True
    )
    pid, _, arguments = done.stdout.strip().partition(" ")
    assert arguments == expected
    assert (tmp_path / f"{component}.pid").read_text().strip() == pid
