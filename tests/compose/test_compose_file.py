"""``docker-compose.yaml`` read, not run: it is valid Compose, holds no secret, and says what Airflow and ``nbjobs local`` understand."""

from __future__ import annotations

import argparse
import importlib.resources
import importlib.util
import json
import re
import tomllib
from graphlib import TopologicalSorter

import jsonschema
import pytest
import yaml
from compose_file import PATH, ROOT, interpolate, load, read

CELERY = {"COMPOSE_PROFILES": "celery"}
DOCUMENT = load(CELERY)
SERVICES = DOCUMENT["services"]
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "triggerer-2", "worker-1", "worker-2")
ONCE = ("secrets", "migrate")
CONNECTION = "AIRFLOW_CONN_AWS_DEFAULT"
HAS_CELERY = importlib.util.find_spec("airflow.providers.celery") is not None


def mounts(service: str) -> dict[str, str]:
    """Return what is mounted, by its place in the container."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[service].get("volumes", ())}


# -- Compose -----------------------------------------------------------------------------------------------------------


def test_it_is_valid_by_the_compose_specifications_schema():
    folder = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor"
    schema = json.loads((folder / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    for document in (read(), DOCUMENT):
        assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []
    broken = {"services": {"a": {"image": "x", "comand": "y"}}}
    assert list(validator.iter_errors(broken)), "the schema would let a misspelt key pass"


def test_no_key_is_written_twice():
    """A YAML parser would silently keep the last one."""

    class Strict(yaml.SafeLoader):
        pass

    def construct(loader, node):
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line + 1}: {keys}"
        return yaml.SafeLoader.construct_yaml_map(loader, node)

    Strict.add_constructor("tag:yaml.org,2002:map", construct)
    yaml.load(PATH.read_text(), Strict)  # noqa: S506 - a SafeLoader


def test_every_name_that_is_used_is_defined_and_every_definition_is_used():
    networks = {name for service in SERVICES.values() for name in service.get("networks", ())}
    assert networks == set(DOCUMENT["networks"])
    sources = {source for service in SERVICES for source in mounts(service).values()}
    assert {source for source in sources if not source.startswith(".")} == set(DOCUMENT["volumes"])
    assert all((ROOT / source).is_dir() for source in sources if source.startswith("."))
    dependencies = {name: set(service.get("depends_on", ())) for name, service in SERVICES.items()}
    assert set(TopologicalSorter(dependencies).static_order()) == set(SERVICES)


def test_whoever_waits_for_health_waits_for_a_service_that_has_a_check_and_nobody_waits_for_ever():
    for service in SERVICES.values():
        for name, dependency in service.get("depends_on", {}).items():
            ends = name in ONCE
            assert dependency["condition"] == ("service_completed_successfully" if ends else "service_healthy")
            assert ("healthcheck" in SERVICES[name]) is not ends
    assert all(("healthcheck" in SERVICES[name]) is not (name in ONCE) for name in SERVICES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a$$b", "a$b"),
        ("${SET:-x}/${UNSET:-y}/${EMPTY:-z}/$SET", "set/y/z/set"),
        ('${UNSET:-{"a": {"b": "${SET}"}}}', '{"a": {"b": "set"}}'),
        ('${SET:-{"a": {"b": 1}}}!', "set!"),
        ("${SET:+a,}b ${EMPTY:+a,}b ${UNSET:+a,}b ${SET:+${UNSET:-c}}", "a,b b b c"),
    ],
)
def test_variables_are_put_in_as_compose_does(text, value):
    assert interpolate(text, {"SET": "set", "EMPTY": ""}) == value


# -- the profile of Celery ---------------------------------------------------------------------------------------------


def test_one_variable_brings_celery_its_services_and_nobody_is_without_a_worker():
    plain = load()["services"]
    executors = {
        service["environment"]["AIRFLOW__CORE__EXECUTOR"] for name, service in plain.items() if name in AIRFLOW
    }
    assert executors == {"LocalExecutor"}
    assert set(SERVICES) - set(plain) == {"redis", "worker-1", "worker-2", "triggerer-2"}
    assert {SERVICES[name]["environment"]["AIRFLOW__CORE__EXECUTOR"] for name in AIRFLOW} == {
        "CeleryExecutor,LocalExecutor"
    }
    assert all("profiles" not in service for service in plain.values())
    # What needs no profile waits for nothing that has one.
    assert not any(set(service.get("depends_on", ())) - set(plain) for service in plain.values())
    nodes = [word for name in ("worker-1", "worker-2") for word in SERVICES[name]["command"] if "hostname" in word]
    assert nodes == ["--celery-hostname=worker-1@compose", "--celery-hostname=worker-2@compose"]
    assert [SERVICES[name]["healthcheck"]["test"][-1] for name in ("worker-1", "worker-2")] == [
        "worker-1@compose",
        "worker-2@compose",
    ]


def test_redis_is_reached_by_airflow_alone_and_with_a_password():
    redis = SERVICES["redis"]
    assert redis["networks"] == ["database"]
    assert DOCUMENT["networks"]["database"] == {"internal": True}
    assert redis["command"] == ["redis-server", "/run/nbjobs/redis.conf"]
    assert "requirepass" in DOCUMENT["services"]["secrets"]["command"][0]
    assert "ports" not in redis


# -- secrets and who may reach what ------------------------------------------------------------------------------------


def test_no_secret_is_in_the_file():
    secret = re.compile(r"(?i)(password|secret|fernet|jwt|token|key)")
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if secret.search(name) or "://" in str(value):
                assert re.search(r"^(cat )?/run/|^http://|^arn:|^\{", value), f"{name}: {value}"
    assert not re.search(r"AKIA[A-Z0-9]{8}|://[^/\s{]+:[^/\s{]+@", PATH.read_text())


def test_nothing_is_published_but_airflow_on_loopback():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:8080:8080"]}
    assert load({"AIRFLOW_PORT": "81"})["services"]["api-server"]["ports"] == ["127.0.0.1:81:8080"]
    assert not any(
        {"network_mode", "privileged", "pid", "cap_add"} & set(SERVICES[name]) for name in SERVICES if name != "secrets"
    )


def test_the_container_that_runs_notebooks_has_nothing_of_airflows():
    sagemaker = SERVICES["sagemaker"]
    assert mounts("sagemaker") == {"/run/sagemaker": "sagemaker-key"}
    assert sagemaker["networks"] == ["jobs"]
    assert "environment" not in sagemaker
    assert "jobs" not in SERVICES["postgres"]["networks"]
    for name in ("sagemaker", "redis", *AIRFLOW, "migrate"):
        assert (SERVICES[name]["cap_drop"], SERVICES[name]["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


# -- the image ---------------------------------------------------------------------------------------------------------


def test_the_images_get_all_that_building_this_package_needs():
    recipe = SERVICES["scheduler"]["build"]["dockerfile_inline"]
    copied = {
        source for line in re.findall(r"^COPY --chown=\S+ (.+) \S+$", recipe, re.MULTILINE) for source in line.split()
    }
    assert all((ROOT / source).exists() for source in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = project["tool"]["hatch"]["build"]["targets"]
    needed = {
        "README.md",
        project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["path"],
        *project["project"]["license-files"],
        *build["wheel"]["packages"],
        *build["wheel"]["force-include"],
    }
    assert copied == {"pyproject.toml", *needed}
    extras = re.findall(r'"/opt/package\[(\w+)\]"', recipe)
    assert set(extras) <= set(project["project"]["optional-dependencies"])
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", recipe, re.MULTILINE)
    assert stages == [("apache/airflow:3.3.2-python3.12", "airflow"), ("python:3.12-slim", "sagemaker")]
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} == {
        "airflow",
        "sagemaker",
    }
    assert '"apache-airflow==${AIRFLOW_VERSION}"' in recipe  # of the image, not of Compose


# -- what Airflow and nbjobs understand --------------------------------------------------------------------------------


def test_every_airflow_option_exists_and_only_sensitive_ones_come_from_a_command():
    from airflow.configuration import conf

    known = conf.configuration_description
    sensitive = {(section, option) for section, option in conf.sensitive_config_values}
    for name in AIRFLOW:
        options = [variable for variable in SERVICES[name]["environment"] if variable.startswith("AIRFLOW__")]
        assert len(options) > 10
        for variable in options:
            section, option = variable.lower().removeprefix("airflow__").split("__")
            if section == "celery" and not HAS_CELERY:
                continue  # options of the provider
            if option.endswith("_cmd"):
                option = option.removesuffix("_cmd")
                assert (section, option) in sensitive, variable
            assert option in known[section]["options"], variable


@pytest.mark.parametrize("name", [*AIRFLOW, "migrate"])
def test_airflow_knows_its_commands(name):
    from airflow.cli.cli_parser import get_parser

    if SERVICES[name]["command"][0] == "celery":
        if not HAS_CELERY:
            pytest.skip("needs the extra celery: pip install '.[celery]'")
        from airflow.providers.celery.cli.definition import CELERY_COMMANDS

        parser = argparse.ArgumentParser()
        (worker,) = [command for command in CELERY_COMMANDS if command.name == SERVICES[name]["command"][1]]
        for argument in worker.args:
            argument.add_to_parser(parser)
        assert parser.parse_args(SERVICES[name]["command"][2:])
        return
    assert get_parser().parse_args(SERVICES[name]["command"])


def test_the_embedded_sagemaker_starts_with_its_key_file_and_not_without(tmp_path):
    from airflow_nbjobs.local import command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    program, subcommand, *arguments = SERVICES["sagemaker"]["command"]
    assert (program, subcommand) == ("nbjobs", "local")
    assert command._problem(parser.parse_args(arguments)) is None
    keyless = [argument for argument in arguments if not argument.startswith("--key-file")]
    assert "give a key with --key-file" in command._problem(parser.parse_args(keyless))
    nameless = [argument for argument in arguments if not argument.startswith("--allow-host")]
    assert "--allow-host NAME" in command._problem(parser.parse_args(nameless))


def connection(document, monkeypatch):
    from airflow.models.connection import Connection

    text = document["services"]["scheduler"]["environment"][CONNECTION]
    return (
        Connection(conn_id="aws_default", uri=text)
        if "://" in text[:10]
        else Connection.from_json(text, conn_id="aws_default")
    )


def test_the_default_connection_leads_to_the_embedded_sagemaker_and_its_account(monkeypatch):
    from airflow_nbjobs.local.command import add_arguments
    from airflow_nbjobs.local.state.facts import build_facts
    from airflow_nbjobs.settings import read_settings

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    served = parser.parse_args(SERVICES["sagemaker"]["command"][2:])
    facts = build_facts(port=1, region=served.region, access_key_id="", secret_access_key="", isolation="direct")
    found = connection(DOCUMENT, monkeypatch)
    extra = found.extra_dejson
    assert (found.conn_type, found.login, found.password) == ("aws", None, None)
    assert extra["endpoint_url"] == f"http://{served.allow_host[0]}:{served.port}"
    assert served.allow_host == ["sagemaker"]
    assert extra["region_name"] == served.region
    assert read_settings(extra).job_defaults == {
        "role": facts.role_arn,
        "s3_root_uri": f"s3://{facts.default_bucket}/nbjobs",
        "image_uri": "sagemaker-distribution:4-cpu",
    }


def test_one_variable_switches_every_component_to_another_account(monkeypatch):
    mine = '{"conn_type": "aws", "login": "AKIA", "password": "x}y", "extra": {"region_name": "us-east-1"}}'
    document = load({CONNECTION: mine, **CELERY})
    for name in AIRFLOW:
        assert document["services"][name]["environment"][CONNECTION] == mine
        assert {**document["services"][name]["environment"], CONNECTION: ""} == {
            **SERVICES[name]["environment"],
            CONNECTION: "",
        }
    # A connection of one's own names no profile, and so does not find the embedded SageMaker's key.
    assert connection(document, monkeypatch).extra_dejson == {"region_name": "us-east-1"}
    assert "embedded" in DOCUMENT["services"]["secrets"]["command"][0]
    assert "[default]" not in DOCUMENT["services"]["secrets"]["command"][0]
