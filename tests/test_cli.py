"""``nbjobs``: the console script."""

import subprocess
import sys
from types import ModuleType

import pytest

from airflow_nbjobs import __version__, cli
from airflow_nbjobs.core.errors import NotebookJobConfigError


@pytest.fixture
def command(monkeypatch):
    """Puts a command 'probe' beside the others, which does what the test gives it."""

    def add(run):
        module = ModuleType("nbjobs_probe")
        module.add_arguments = lambda parser: parser.add_argument("--word", default="none")
        module.run = run
        monkeypatch.setitem(sys.modules, "nbjobs_probe", module)
        monkeypatch.setitem(cli._COMMANDS, "probe", ("nbjobs_probe", "for the test"))

    return add


def test_a_commands_result_is_the_exit_code_and_it_gets_its_arguments(command):
    words = []
    command(lambda args: words.append(args.word) or 3)
    assert cli.main(["probe", "--word", "x"]) == 3
    assert words == ["x"]


def test_an_error_of_ours_is_its_text_without_a_traceback(command, capsys):
    def run(_):
        raise NotebookJobConfigError("2 problems", problems=["a", "b"])

    command(run)
    assert cli.main(["probe"]) == 1
    assert capsys.readouterr().err == "2 problems\n  - a\n  - b\n"


def test_ctrl_c_ends_with_the_shells_code(command):
    def run(_):
        raise KeyboardInterrupt

    command(run)
    assert cli.main(["probe"]) == 130


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["nonsense"], 2), (["--help"], 0), (["--version"], 0)])
def test_the_parsers_own_answers_have_their_usual_codes(arguments, code, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == code
    if arguments == ["--version"]:
        assert capsys.readouterr().out == f"nbjobs {__version__}\n"


def test_help_names_every_command_and_needs_no_extra():
    code = (
        "import sys; from airflow_nbjobs.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('moto', 'flask', 'boto3', 'airflow', 'papermill', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in cli._COMMANDS)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", sorted(cli._COMMANDS))
def test_every_command_has_help_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    assert f"nbjobs {name}" in capsys.readouterr().out


def test_the_console_script_is_installed():
    from importlib.metadata import entry_points

    (script,) = [point for point in entry_points(group="console_scripts") if point.name == "nbjobs"]
    assert script.load() is cli.main
