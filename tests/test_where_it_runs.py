"""README's chapter on MWAA, Kubernetes, Astro and docker-compose: its files are such as those places take, as far as their own sources are at hand."""

from __future__ import annotations

import re
from pathlib import Path

import botocore.loaders
import pytest
import yaml
from packaging.utils import canonicalize_name

from airflow_nbjobs import __version__
from airflow_nbjobs.commands.mwaa_plugins.requirements import OWN_NAME, PLUGINS, parse
from airflow_nbjobs.provider_info import get_provider_info

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPTIONS = get_provider_info()["config"]["nbjobs"]["options"]
# The keys that the chart takes, with their JSON types, as far as README uses them. Source: apache/airflow, chart/values.schema.json at
# 002e5532d7d55a375bbf71bd4e72d7e008635073 (chart 1.18 and later). ``*`` is any name: additionalProperties with this type.
CHART = {
    "airflowVersion": str,
    "images.airflow.repository": str,
    "images.airflow.tag": str,
    "env": list,  # of objects with exactly name and value, both strings
    "workers.serviceAccount.annotations.*": str,
    "triggerer.enabled": bool,
    "triggerer.replicas": int,
    "triggerer.serviceAccount.annotations.*": str,
    "apiServer.serviceAccount.annotations.*": str,
}


def block(name):
    (found,) = re.findall(rf"<!-- \w+: {re.escape(name)} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    return found


def leaves(value, path=""):
    """Yield each value of the document that is no mapping, with its dotted place; a list is one value."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, item in value.items():
        yield from leaves(item, f"{path}.{key}".lstrip("."))


# -- MWAA --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked():
    return parse(block("mwaa requirements"), source="README.md", own_version=__version__)


def test_mwaas_requirements_are_understood_and_name_constraints(asked):
    (constraints,) = asked.constraints
    assert re.fullmatch(
        r"https://raw\.githubusercontent\.com/apache/airflow/constraints-3\.\d+\.\d+/constraints-3\.12\.txt",
        constraints,
    )
    assert asked.notes == ()
    assert OWN_NAME in {canonicalize_name(each.name) for each in asked.wanted}


def test_what_the_command_is_shown_to_print_is_what_it_prints(asked):
    printed = block("mwaa printed")
    versions = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(.+)$", printed, re.MULTILINE)) | {OWN_NAME: __version__}
    assert asked.for_mwaa(versions, constrained=True) == printed


def test_mwaa_takes_the_printed_file_and_does_not_force_its_constraints():
    """MWAA looks for this expression. Source: aws/amazon-mwaa-docker-images, images/airflow/3.3.1/python/mwaa/utils/user_requirements.py."""
    lines = block("mwaa printed").splitlines()
    assert any(re.search(r"-c |--constraint ", line) for line in lines)
    assert f"--find-links {PLUGINS}" in lines


def test_mwaas_options_are_options_and_such_as_its_api_takes():
    model = botocore.loaders.Loader().load_service_model("mwaa", "service-2")
    shape = model["shapes"]["ConfigKey"]
    options = dict(line.split(" = ") for line in block("mwaa options").splitlines())
    assert {"nbjobs.role", "nbjobs.s3_root_uri", "nbjobs.image_uri"} == set(options)
    for key in options:
        assert re.fullmatch(shape["pattern"], key)
        assert len(key) <= shape["max"]
        assert key.removeprefix("nbjobs.") in OPTIONS


# -- Kubernetes and images ---------------------------------------------------------------------------------------------


def test_the_charts_values_are_of_its_schema():
    values = dict(leaves(yaml.safe_load(block("helm values"))))
    known = {**CHART}
    for path, value in values.items():
        place = path if path in known else re.sub(r"annotations\..+", "annotations.*", path)
        assert place in known, path
        assert type(value) is known[place], path
    used = {path if path in known else re.sub(r"annotations\..+", "annotations.*", path) for path in values}
    assert used == set(known), "the list is as long as README needs"
    assert all(set(each) == {"name", "value"} and isinstance(each["value"], str) for each in values["env"])


def test_the_charts_variables_are_settings_and_agree_with_the_image():
    values = yaml.safe_load(block("helm values"))
    names = [each["name"] for each in values["env"]]
    assert {name.lower().removeprefix("airflow__nbjobs__") for name in names} == {"role", "s3_root_uri", "image_uri"}
    assert {name.lower().removeprefix("airflow__nbjobs__") for name in names} <= set(OPTIONS)
    assert values["images"]["airflow"]["tag"].startswith(values["airflowVersion"])
    assert f"FROM apache/airflow:{values['airflowVersion']}-python3.12\n" in block("image")


def test_the_image_is_built_as_that_of_docker_compose_and_has_this_version():
    image = block("image")
    recipe = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["x-build"]["dockerfile_inline"]
    (default,) = re.findall(r"FROM apache/airflow:\$\{AIRFLOW_VERSION:-([\d.]+)\}-python3\.12", recipe)
    assert image.startswith(f"FROM apache/airflow:{default}-python3.12\n")
    assert set(re.findall(r"airflow_nbjobs-[\w.-]+\.whl", image)) == {f"airflow_nbjobs-{__version__}-py3-none-any.whl"}
    # The version is named so that pip keeps the image's Airflow.
    assert '"apache-airflow==${AIRFLOW_VERSION}"' in image
    assert '.whl[ui]"' in image
