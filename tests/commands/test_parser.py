"""How every command reads its words: once each, and with what was probably meant."""

from __future__ import annotations

import pytest

from airflow_nbjobs.commands.parser import EXIT_CODES, CommandParser


@pytest.fixture
def parser():
    made = CommandParser(prog="nbjobs x", example="nbjobs x --word y")
    made.add_argument("--word", default="none")
    made.add_argument("--times", type=int, default=0)
    made.add_argument("--form", choices=("text", "json"))
    made.add_argument("--yes", action="store_true")
    made.add_argument("--many", action="append", default=[])
    return made


@pytest.fixture
def refused(parser, capsys):
    def run(act):
        with pytest.raises(SystemExit) as ended:
            act(parser)
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return run


def test_an_option_is_kept_in_its_type_and_others_have_their_defaults(parser):
    assert vars(parser.parse_args(["--times", "3", "--many", "a", "--many", "b"])) == {
        "word": "none",
        "times": 3,
        "form": None,
        "yes": False,
        "many": ["a", "b"],
    }


@pytest.mark.parametrize("words", [["--word", "a", "--word", "a"], ["--word", "a", "--word", "b"]])
def test_an_option_that_is_given_twice_is_refused_also_with_the_same_value(refused, words):
    said = refused(lambda parser: parser.parse_args(words))
    assert said == f"nbjobs x: error: argument --word: given twice: a, then {words[-1]}; give it once"


def test_a_choice_that_is_none_comes_with_the_one_that_was_meant(refused):
    said = refused(lambda parser: parser.parse_args(["--form", "jsno"]))
    assert said.endswith("; did you mean 'json'?")
    assert "did you mean" not in refused(lambda parser: parser.parse_args(["--form", "yaml"]))
    assert refused(lambda parser: parser.parse_args(["--form", "x.ipynb"])).endswith(
        "did you mean 'nbjobs x run x.ipynb'?"
    )


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (["--wrod", "y"], "unrecognized arguments: --wrod y; did you mean '--word'?"),
        (["--wrod=y"], "unrecognized arguments: --wrod=y; did you mean '--word'?"),
        (["wrod"], "unrecognized arguments: wrod"),
        (["--zzzzzzz"], "unrecognized arguments: --zzzzzzz"),
        (["a=b"], "unrecognized arguments: a=b"),
    ],
    ids=str,
)
def test_an_option_that_is_none_comes_with_the_one_that_was_meant(refused, unknown, said):
    assert refused(lambda parser: parser.refuse(unknown)) == f"nbjobs x: error: {said}"


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (["--quantity", "7"], "--quantity 7; a parameter of the notebook is given as '-p quantity=VALUE'"),
        (["-d", "7"], "-d 7"),
        (["days=7"], "days=7; did you mean '-p days=7'?"),
        (["--wrod"], "--wrod; did you mean '--word'?"),
    ],
    ids=str,
)
def test_where_a_notebook_has_parameters_a_stranger_may_be_one(parser, refused, unknown, said):
    parser.add_argument("-p", "--parameter")
    assert refused(lambda parser: parser.refuse(unknown)) == f"nbjobs x: error: unrecognized arguments: {said}"


def test_help_ends_with_the_example_and_the_exit_codes(parser):
    assert parser.format_help().endswith(f"example:\n  nbjobs x --word y\n\n{EXIT_CODES}\n")
    parser.example = ""
    assert parser.format_help().endswith(f"\n\n{EXIT_CODES}\n")
    assert "example:" not in parser.format_help()
