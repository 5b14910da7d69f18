"""The provider's metadata, as Airflow's discovery and its commands read it."""

import importlib
import json
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest
from forked_programs import run_forked

from airflow_nbjobs.core.job.aws_parsers import tags
from airflow_nbjobs.provider_info import get_provider_info
from airflow_nbjobs.settings import JOB_DEFAULTS


@pytest.fixture
def info():
    return get_provider_info()


def test_the_metadata_validates_against_airflows_own_schema(info):
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)


def test_the_entry_point_leads_to_it(info):
    (found,) = [point for point in entry_points(group="apache_airflow_provider") if point.dist.name == "airflow-nbjobs"]
    assert found.load()() == info


def test_every_module_and_class_it_names_can_be_imported(info):
    named = [
        module
        for kind in ("operators", "sensors", "hooks", "triggers")
        for entry in info.get(kind, [])
        for module in entry["python-modules"]
    ]
    assert "airflow_nbjobs.operators" in named
    assert all(importlib.import_module(module) for module in named)
    for path in info["extra-links"]:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name).name


def test_every_link_of_the_operator_is_registered(info):
    from airflow_nbjobs.operators import SageMakerNotebookJobOperator

    links = {
        f"{type(link).__module__}.{type(link).__name__}" for link in SageMakerNotebookJobOperator.operator_extra_links
    }
    assert links == set(info["extra-links"])


def test_every_default_that_is_read_is_a_documented_option(info):
    options = info["config"]["nbjobs"]["options"]
    assert set(JOB_DEFAULTS) | {"deployment"} <= set(options)
    assert all(option["default"] == "" for option in options.values())


def test_the_options_examples_are_ones_that_are_taken(info):
    assert tags(info["config"]["nbjobs"]["options"]["tags"]["example"])


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        (["providers", "list"], ["airflow-nbjobs", "SageMaker"]),
        (["providers", "get", "airflow-nbjobs", "--full"], ["airflow_nbjobs.operators", "SageMaker notebook jobs"]),
    ],
    ids=["list", "get"],
)
def test_airflows_commands_show_the_provider(tmp_path, command, texts):
    program = tmp_path / "command.py"
    arguments = ["airflow", *command, "--output", "json"]
    program.write_text(f"import sys\nfrom airflow.__main__ import main\nsys.argv = {arguments!r}\nmain()\n")
    code, said = run_forked(program, modules=("airflow.cli.cli_parser",), folder=tmp_path)
    assert code == 0, said
    for text in texts:
        assert text in said
