"""Who may import whom (README, Design), and what parsing a DAG file loads."""

import ast
import functools
import importlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from forked_programs import AIRFLOW, run_forked

import airflow_nbjobs

PACKAGE = Path(airflow_nbjobs.__file__).parent
NAME = "airflow_nbjobs"


def room_of(module):
    """The part of the package that a module belongs to: ``core``, ``aws``, ``local`` …, or the module's own name."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else NAME


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements_in(node):
    """The statements directly below it; expressions, the most of a tree, hold no import."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        yield from getattr(node, field, ())


class Imports(ast.NodeVisitor):
    """Every import of a module: (imported module, line, whether it happens when the module itself is imported)."""

    def __init__(self, module, *, is_package):
        self.found = []
        self._package = module if is_package else module.rpartition(".")[0]
        self._depth = 0
        self._typing = 0

    def generic_visit(self, node):
        for child in statements_in(node):
            self.visit(child)

    def visit_FunctionDef(self, node):
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast's name

    def visit_If(self, node):
        is_typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        self._typing += is_typing
        for child in node.body:
            self.visit(child)
        self._typing -= is_typing
        for child in node.orelse:
            self.visit(child)

    def _add(self, name, node):
        self.found.append((name, node.lineno, not self._depth and not self._typing))

    def visit_Import(self, node):
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            base = ".".join([*self._package.split(".")[: len(self._package.split(".")) - node.level + 1], base]).strip(
                "."
            )
        # "from package import module" imports that module; a name that is none does no harm to the table.
        for alias in node.names:
            self._add(f"{base}.{alias.name}" if base == NAME or base.startswith(f"{NAME}.") else base, node)


@functools.cache  # not when tests are collected: each worker of pytest-xdist would
def walked():
    """module → its imports, for every module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = module_of(path)
        visitor = Imports(module, is_package=path.name == "__init__.py")
        visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
        found[module] = visitor.found
    return found


# What each room may import of the package; every other room is the Airflow surface, listed below.
ROOMS = {
    NAME: {"exceptions", "hooks", "notifications", "operators", "params", "sensors", "task_groups"},
    "exceptions": {"core"},
    "core": {"core"},
    "aws": {"aws", "core"},
    "local": {"local", "core"},
    "provider_info": set(),
    "_compat": set(),
}
FREE = {"cli", "commands", "testing"}  # the rooms that may also import local and ui
SURFACE = {
    "decorators",
    "hooks",
    "links",
    "notifications",
    "operators",
    "params",
    "sensors",
    "settings",
    "task",
    "task_groups",
    "triggers",
}
# From left to right; a room imports what stands left of it, never back and nothing beside it.
TABLE = (
    {"core", "_compat", "provider_info"},
    {"aws"},
    {"settings", "hooks", "links"},
    {"triggers"},
    {"task"},
    {"notifications", "operators", "params", "sensors"},
    {"decorators", "task_groups"},
    {"ui"},
)


def ours(module):
    return [(name, line, at_import) for name, line, at_import in walked()[module] if name.split(".")[0] == NAME]


def test_the_walk_found_the_package():
    """An empty walk would let every other test of this file pass."""
    assert len(walked()) > 40
    assert {"core", "aws", "local", "operators", "hooks", "triggers"} <= {room_of(module) for module in walked()}
    assert sum(len(ours(module)) for module in walked()) > 150
    assert ("airflow_nbjobs.core.job.naming.parse_s3_uri") in [
        name for name, _, _ in walked()["airflow_nbjobs.aws.clients"]
    ]


def test_the_walk_sees_every_form_of_import_and_when_it_happens():
    visitor = Imports("airflow_nbjobs.aws.x", is_package=False)
    visitor.visit(
        ast.parse(
            "import a.b, c\nfrom airflow_nbjobs import local\nfrom ..core import naming\nfrom . import y\n"
            "if TYPE_CHECKING:\n    import d\nelse:\n    import e\ndef f():\n    from airflow_nbjobs.local.wire import g\n"
        )
    )
    assert visitor.found == [
        ("a.b", 1, True),
        ("c", 1, True),
        ("airflow_nbjobs.local", 2, True),
        ("airflow_nbjobs.core.naming", 3, True),
        ("airflow_nbjobs.aws.y", 4, True),
        ("d", 6, False),
        ("e", 8, True),
        ("airflow_nbjobs.local.wire.g", 10, False),
    ]


def test_every_room_is_in_the_table():
    rooms = {room_of(module) for module in walked()}
    assert rooms <= set(ROOMS) | FREE | SURFACE | {"ui"}


def test_core_aws_and_local_import_only_what_stands_left_of_them():
    wrong = [
        f"{module}:{line} imports {name}"
        for module in walked()
        if room_of(module) in ROOMS
        for name, line, _ in ours(module)
        if name != f"{NAME}.__version__" and room_of(name) not in ROOMS[room_of(module)]
    ]
    assert wrong == []


def test_nothing_but_cli_commands_and_testing_imports_local_or_ui():
    wrong = [
        f"{module}:{line} imports {name}"
        for module in walked()
        for name, line, _ in ours(module)
        if room_of(name) in ("local", "ui") and room_of(module) not in {room_of(name), *FREE}
    ]
    assert wrong == []


def test_no_arrow_of_the_table_runs_back():
    """An import for types alone counts: a room that knows another's classes knows the other."""
    places = {room: place for place, rooms in enumerate(TABLE) for room in rooms}
    wrong = [
        f"{module}:{line} imports {name}"
        for module in walked()
        for name, line, _ in ours(module)
        if {room_of(module), room_of(name)} <= set(places)
        and room_of(name) != room_of(module)
        and places[room_of(name)] >= places[room_of(module)]
    ]
    assert wrong == []


def test_core_is_the_standard_library_nbformat_and_msgspec():
    allowed = sys.stdlib_module_names | {"nbformat", "msgspec", NAME}
    wrong = [
        f"{module}:{line} imports {name}"
        for module in walked()
        if room_of(module) == "core"
        for name, line, _ in walked()[module]
        if name.split(".")[0] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "impure", ["os", "io", "pathlib", "socket", "time", "subprocess", "urllib", "tempfile", "threading"]
)
def test_core_touches_no_disk_clock_or_network(impure):
    wrong = [
        f"{module}:{line}"
        for module in walked()
        if room_of(module) == "core"
        for name, line, _ in walked()[module]
        if name.split(".")[0] == impure
    ]
    assert wrong == []


def test_airflow_is_imported_by_the_surface_only():
    may = SURFACE | {"_compat", "commands", "testing", "ui"}
    wrong = [
        f"{module}:{line} imports {name}"
        for module in walked()
        for name, line, at_import in walked()[module]
        if name.split(".")[0] == "airflow" and room_of(module) not in may and at_import
    ]
    assert wrong == []
    assert any(name.startswith("airflow.sdk") for name, _, _ in walked()["airflow_nbjobs.operators"])


HEAVY = ("boto3", "botocore", "nbformat", "airflow.providers.amazon", "sagemaker", "moto", "papermill")


def loaded_at_import(module, seen):
    """Every module that importing this one imports, as far as the package goes."""
    if module in seen or module not in walked():
        return seen
    seen.add(module)
    for name, _, at_import in walked()[module]:
        if at_import:
            for candidate in (name, name.rpartition(".")[0]):
                loaded_at_import(candidate, seen)
    return seen


@pytest.mark.parametrize(
    "entrance",
    [
        "operators",
        "decorators",
        "links",
        "core.defaults",
        "provider_info",
        "params",
        "notifications",
        "task.notebook_cell",
    ],
)
def test_what_dag_parsing_imports_imports_nothing_heavy(entrance):
    reached = loaded_at_import(f"{NAME}.{entrance}", set())
    wrong = [
        f"{module}:{line} imports {name}"
        for module in sorted(reached)
        for name, line, at_import in walked()[module]
        if at_import and name.startswith(HEAVY)
    ]
    assert wrong == []
    assert f"{NAME}.core.spec" not in reached
    assert f"{NAME}.hooks" not in reached


PROBE = """
import json, sys, warnings
import airflow.sdk
airflow.sdk.BaseOperator, airflow.sdk.BaseOperatorLink, airflow.sdk.DAG
before = set(sys.modules)
warnings.simplefilter("error")  # ours only: Airflow's own imports are Airflow's
import airflow_nbjobs.operators
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_importing_the_operator_loads_the_package_and_little_else(tmp_path):
    """Every DAG-processing process pays for it, every time a file is parsed."""
    (tmp_path / "probe.py").write_text(PROBE)
    code, said = run_forked(tmp_path / "probe.py", modules=AIRFLOW)
    assert code == 0, said
    loaded = json.loads(said.splitlines()[-1])
    assert "airflow_nbjobs.operators" in loaded
    assert [name for name in loaded if name.startswith(HEAVY)] == []
    assert len([name for name in loaded if not name.startswith(NAME)]) <= 5, loaded


def test_every_name_in_an_all_is_there():
    checked = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        if "__all__" not in path.read_text(encoding="utf-8") or "local" in path.relative_to(PACKAGE).parts:
            continue
        module = importlib.import_module(module_of(path))
        assert [name for name in module.__all__ if not hasattr(module, name)] == []
        checked += 1
    assert checked > 0


TESTS = Path(__file__).parent


def names_taken(path):
    """What a file takes from the package, by module: also what it takes for its annotations, and in functions."""
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        waiting += statements_in(node)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == NAME:
            yield from ((node.module, alias.name) for alias in node.names)


def test_what_tests_benchmarks_and_samples_take_is_there():
    """Benchmarks and probes are programs of their own, which no test imports and no type checker reads."""
    files = [*TESTS.rglob("*.py"), *(TESTS.parent / "dags").rglob("*.py")]
    taken = {name for path in files for name in names_taken(path)}
    assert len(taken) > 100
    missing = []
    for module, name in sorted(taken):
        found = importlib.import_module(module)
        is_module = hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None
        if not is_module and not hasattr(found, name):
            missing.append(f"{module}.{name}")
    assert missing == []
