"""What the package imports is what ``pyproject.toml`` declares, for each extra: nothing is there by the grace of another package."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from test_imports import room_of, walked

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The extra without which a room does not run. The commands check for "local" themselves, and say so.
EXTRAS = {"local": {"local"}, "commands": {"local"}, "testing": {"local"}, "ui": {"ui"}}
# The extra without which one thing of a room is left out; never imported unless OpenLineage's provider asks, or `lineage_parent=True` does.
EXTRAS_OF_IMPORTS = {("task", "openlineage"): {"openlineage"}}
# What a user of `airflow_nbjobs.testing` has by definition.
GIVEN = {"testing": {"pytest"}}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extras):
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {normal(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in lines}


def imported():
    """(room, what it imports that is neither Python's nor Airflow's) of the whole package."""
    return {
        (room_of(module), name.split(".")[0])
        for module, imports in walked().items()
        for name, _, _ in imports
        if name.split(".")[0] not in {*sys.stdlib_module_names, "airflow_nbjobs", "airflow", ""}
    }


def undeclared(pairs, distributions):
    for room, name in sorted(pairs):
        made_of = {normal(each) for each in distributions.get(name, ["no distribution"])}
        if not made_of & declared(EXTRAS.get(room, set()) | EXTRAS_OF_IMPORTS.get((room, name), set())):
            yield f"{room} imports {name} of {', '.join(sorted(made_of))}"


def test_what_a_room_imports_is_declared():
    distributions = packages_distributions()
    pairs = {(room, name) for room, name in imported() if name not in GIVEN.get(room, ())}
    missing = {pair for pair in pairs & set(EXTRAS_OF_IMPORTS) if pair[1] not in distributions}
    assert list(undeclared(pairs - missing, distributions)) == []
    if missing:
        pytest.skip(f"needs the extra {', '.join({extra for pair in missing for extra in EXTRAS_OF_IMPORTS[pair]})}")


def test_what_is_not_declared_is_named():
    pairs = {("core", "msgspec"), ("core", "moto"), ("local", "moto"), ("ui", "nowhere")}
    assert list(undeclared(pairs, {"moto": ["moto"], "msgspec": ["msgspec"]})) == [
        "core imports moto of moto",
        "ui imports nowhere of no distribution",
    ]


def test_the_demo_has_what_its_tab_needs():
    """README's command installs ``local`` alone, and the address that the demo prints leads to the tab."""
    assert "airflow-nbjobs[ui]" in PROJECT["optional-dependencies"]["local"]


def test_something_was_looked_at():
    assert {("aws", "boto3"), ("ui", "bleach"), ("triggers", "asgiref"), ("local", "moto")} <= imported()


@pytest.mark.parametrize("url", ["", "https://pictures.example/nbjobs/"])
def test_the_readme_of_an_index_refers_to_no_file_of_the_repository(url):
    """An index shows it alone: a relative address would be a broken picture."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "metadata", "readme"],
        cwd=ROOT,
        env={**os.environ, "NBJOBS_PICTURES_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[([^]]*)\]\(\.pictures/([^)]+)\)", readme)
    assert pictures
    for caption, name in pictures:
        assert (ROOT / ".pictures" / name).is_file()
        shown = f"![{caption}]({url}{name})" if url else f"*{caption}* (`.pictures/{name}` of the source distribution)"
        assert shown in done.stdout
    assert [link for link in re.findall(r"\]\(([^)]+)\)", done.stdout) if not link.startswith(("https://", "#"))] == []


def test_every_dependency_has_a_lower_and_an_upper_bound():
    lines = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
    loose = [line for line in lines if not re.search(r"==|>=.*,<", line) and "airflow-nbjobs[" not in line]
    assert loose == []
