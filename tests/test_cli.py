"""``nbjobs``: the console script."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from airflow_nbjobs import __version__, cli
from airflow_nbjobs.commands.parser import EXIT_CODES, CommandParser
from airflow_nbjobs.core.errors import NotebookJobConfigError


@pytest.fixture
def command(monkeypatch):
    """Puts a command 'probe' beside the others, which does what the test gives it."""

    def add(run):
        module = ModuleType("nbjobs_probe")
        module.add_arguments = lambda parser: parser.add_argument("--word", default="none")
        module.EXAMPLE = "nbjobs probe --word x"
        module.run = run
        monkeypatch.setitem(sys.modules, "nbjobs_probe", module)
        monkeypatch.setitem(cli._COMMANDS, "probe", ("nbjobs_probe", "for the test"))

    return add


def test_a_commands_result_is_the_exit_code_and_it_gets_its_arguments(command):
    words = []
    command(lambda args: words.append(args.word) or 3)
    assert cli.main(["probe", "--word", "x"]) == 3
    assert words == ["x"]


def test_the_console_script_takes_the_words_after_its_own_name(command, monkeypatch):
    words = []
    command(lambda args: words.append(args.word) or 0)
    monkeypatch.setattr(sys, "argv", ["nbjobs", "probe", "--word", "x"])
    assert cli.main() == 0
    assert words == ["x"]


def test_an_error_of_ours_is_its_text_without_a_traceback(command, capsys):
    def run(_):
        raise NotebookJobConfigError("2 problems", problems=["a", "b"])

    command(run)
    assert cli.main(["probe"]) == 1
    assert capsys.readouterr().err == "2 problems\n  - a\n  - b\n"


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_the_caller_has_closed_changes_neither_the_exit_code_nor_the_other(
    command, monkeypatch, capsys, closed
):
    command(lambda _: [print(name, file=getattr(sys, name)) for name in ("stdout", "stderr")] and 0)
    monkeypatch.setattr(sys, closed, None)
    assert cli.main(["probe"]) == 0
    getattr(sys, closed).close()
    assert set("".join(capsys.readouterr()).split()) == {"stdout", "stderr"} - {closed}


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_is_closed_takes_every_text(command, monkeypatch, closed):
    """On standard error Python escapes what no encoding has, a file's name say."""
    command(lambda _: print("\udcff", file=getattr(sys, closed)) or 0)
    monkeypatch.setattr(sys, closed, None)
    assert cli.main(["probe"]) == 0
    getattr(sys, closed).close()


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


# -- help ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=sorted(cli._COMMANDS))
def parser(request):
    """The parser of each command."""
    module_name, help_text = cli._COMMANDS[request.param]
    module = importlib.import_module(module_name)
    made = CommandParser(prog=f"nbjobs {request.param}", description=help_text, example=module.EXAMPLE)
    module.add_arguments(made)
    return made


def test_every_option_says_what_it_does_and_what_it_is_without_it(parser):
    for action in parser._actions:
        assert action.help, action.option_strings
        if action.option_strings and action.nargs != 0:
            assert action.metavar or action.choices, action.option_strings
            without = ("default", "may be repeated", "needed without")
            assert any(word in action.help for word in without), action.option_strings


def test_help_fits_a_terminal_of_80_columns(parser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in parser.format_help().splitlines() if len(line) > 80] == []


def test_every_commands_help_has_an_example_that_it_takes_and_the_exit_codes(parser):
    assert f"example:\n  {parser.example}\n\n{EXIT_CODES}" in parser.format_help()
    command, *arguments = shlex.split(parser.example)
    assert f"{command} {arguments[0]}" == parser.prog
    parser.parse_args(arguments[1:])


# -- slips --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("rnu", "x.ipynb"), "invalid choice: 'rnu'; did you mean 'run'?"),
        (("report.ipynb",), "did you mean 'nbjobs run report.ipynb'?"),
        (("run", "x.ipynb", "--instnce-type", "ml.m5.large"), "did you mean '--instance-type'?"),
        (("run", "x.ipynb", "--instnce-type=ml.m5.large"), "did you mean '--instance-type'?"),
        (("run", "x.ipynb", "days=7"), "unrecognized arguments: days=7; did you mean '-p days=7'?"),
        (("run", "x.ipynb", "--days", "7"), "--days 7; a parameter of the notebook is given as '-p days=VALUE'"),
        (("run", "x.ipynb", "--rows", "7"), "--rows 7; a parameter of the notebook is given as '-p rows=VALUE'"),
        (("run", "x.ipynb", "--top=7"), "--top=7; a parameter of the notebook is given as '-p top=VALUE'"),
        (("run", "x.ipynb", "--role-arn", "7"), "--role-arn 7; did you mean '--role'?"),
        (("run", "x.ipynb", "y.ipynb"), "unrecognized arguments: y.ipynb"),
        (("run", "x.ipynb", "--missing-dependencies", "wran"), "did you mean 'warn'?"),
        (("run", "x.ipynb", "--role", "a", "--role", "b"), "argument --role: given twice: a, then b; give it once"),
        (("run", "x.ipynb", "--region", "a", "--region-name", "b"), "given twice: a, then b"),
        (("demo", "--dag", "x", "--dag-id", "y"), "ambiguous option: --dag could match --dags, --dag-id"),
        (("local", "--isolation", "users"), "did you mean 'userns'?"),
        (("local", "--prot", "1"), "unrecognized arguments: --prot 1; did you mean '--port'?"),
    ],
    ids=str,
)
def test_a_slip_is_a_usage_error_that_says_what_was_probably_meant(arguments, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    said = re.sub(r" \(choose from .*?\)", "", capsys.readouterr().err)
    assert meant in said
    assert said.startswith(f"usage: nbjobs {arguments[0] if arguments[0] in cli._COMMANDS else '[-h]'}")


def test_output_that_nobody_reads_ends_it_as_a_shell_would_without_a_word():
    code = (
        "import sys; from types import ModuleType; from airflow_nbjobs import cli\n"
        "module = ModuleType('probe'); module.EXAMPLE = ''; module.add_arguments = lambda parser: None\n"
        "module.run = lambda args: print('x' * 1_000_000) or 0\n"
        "sys.modules['probe'] = module; cli._COMMANDS['probe'] = ('probe', '')\n"
        "sys.exit(cli.main(['probe']))"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_ctrl_c_while_a_command_is_imported_is_no_traceback(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupt)
    assert cli.main(["run", "x.ipynb"]) == 130


# -- what a command does that is given nothing more ------------------------------------------------------------------------

OF_AIRFLOW = {"airflow_url": None, "airflow_token_file": None, "region_name": None}
AS_THEY_ARE = {
    ("clean",): {"dag": [], "older_than": None, "keep_last": None, "yes": False, "form": "text"} | OF_AIRFLOW,
    ("doctor",): {
        **dict.fromkeys(("role", "image", "instance_type")),
        "aws_conn_id": "aws_default",
        "with_run": False,
        "output": "text",
    },
    ("iam-policy", "caller"): {
        **dict.fromkeys(("bucket", "prefix", "role", "region", "account")),
        "kind": "caller",
        "kms": [],
        "vpc": False,
    },
    ("mwaa-plugins",): {
        **dict.fromkeys(("requirements", "constraint", "plugins")),
        "to": Path("plugins.zip"),
        "python": "3.12",
        "force": False,
    },
    ("outputs", "d", "r", "--to", "x"): {
        "dag_id": "d",
        "run_id": "r",
        "to": "x",
        "task": [],
        "force": False,
        "form": "text",
        **OF_AIRFLOW,
    },
    ("plan",): {**dict.fromkeys(("conf", "date", "backfill", "show")), "target": [], "task": [], "output": "text"},
    ("prices", "update"): {
        "action": "update",
        "region": None,
        "instance_type": [],
        "to": "-",
        "aws_conn_id": "aws_default",
    },
    ("run", "x.ipynb"): {
        **dict.fromkeys(("image_uri", "kernel_name", "role", "s3_root_uri", "instance_type", "initialization_script")),
        **dict.fromkeys(("max_runtime_in_seconds", "missing_dependencies", "region_name", "executed")),
        "input_notebook": "x.ipynb",
        "parameter": [],
        "output": [],
        "local": False,
        "additional_dependency": [],
    },
}


def parsed(name, *words):
    module_name, _ = cli._COMMANDS[name]
    module = importlib.import_module(module_name)
    made = CommandParser(prog=f"nbjobs {name}", example=module.EXAMPLE)
    module.add_arguments(made)
    return vars(made.parse_args(words))


@pytest.mark.parametrize("words", AS_THEY_ARE, ids=" ".join)
def test_without_options_nothing_is_overwritten_deleted_billed_or_left_out(words):
    assert parsed(*words) == AS_THEY_ARE[words]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("clean --dag a --dag b --older-than 30d --keep-last 3 --yes -o json", {"dag": ["a", "b"], "older_than": "30d", "keep_last": "3", "yes": True, "form": "json"}),
        ("clean --airflow-url u --airflow-token-file f --region r", {"airflow_url": "u", "airflow_token_file": "f", "region_name": "r"}),
        ("outputs d r --to x --task a --task b[1] --force -o json --region r", {"task": ["a", "b[1]"], "force": True, "form": "json", "region_name": "r"}),
        ("doctor --aws-conn-id c --role r --image i --instance-type t --run -o json", {"aws_conn_id": "c", "role": "r", "image": "i", "instance_type": "t", "with_run": True, "output": "json"}),
        ("iam-policy job --kms a --kms b --vpc --account 1", {"kind": "job", "kms": ["a", "b"], "vpc": True, "account": "1"}),
        ("mwaa-plugins r.txt --to a/b.zip --with mine --python 3.13 --force", {"requirements": Path("r.txt"), "to": Path("a/b.zip"), "plugins": Path("mine"), "python": "3.13", "force": True}),
        ("plan a b --task t --task u --conf {} --backfill x y --show request --output json", {"target": ["a", "b"], "task": ["t", "u"], "conf": "{}", "backfill": ["x", "y"], "show": "request", "output": "json"}),
        ("prices update --region-name r --instance-type a --instance-type b --to variable", {"region": "r", "instance_type": ["a", "b"], "to": "variable"}),
        ("run x.ipynb -p a=1 --parameter b=2 --output o --additional-dependency d --local --executed e", {"parameter": ["a=1", "b=2"], "output": ["o"], "additional_dependency": ["d"], "local": True, "executed": "e"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_option_is_what_it_is_given(words, given):
    found = parsed(*words.split())
    assert {name: found[name] for name in given} == given
