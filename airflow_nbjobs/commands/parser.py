"""
The parser of every command: an option counts once, and a word that it does not know comes with the one that was probably meant.

Used by ``cli.py``; standard library and core only, so that ``nbjobs --help`` needs no extra.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_nbjobs.core.guesses import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CODES = """exit codes: 0 it worked; 1 the work failed;
  2 it could not begin (arguments, environment); 130 Ctrl-C"""
_CHOICE = re.compile(r"invalid choice: '(?P<given>.*?)' \(choose from (?P<known>.*)\)")


class CommandParser(argparse.ArgumentParser):
    """
    An ``ArgumentParser`` whose errors say what was probably meant.

    :param example: a command line to copy, shown below the options.
    """

    def __init__(self, *, example: str = "", **settings: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter} | settings)
        self.example = example
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def format_help(self) -> str:
        self.epilog = f"example:\n  {self.example}\n\n{EXIT_CODES}" if self.example else EXIT_CODES
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """End with the usage, the problem and what was probably meant."""
        choice = _CHOICE.search(message)
        if choice is not None:
            given = choice["given"]
            is_notebook = given.endswith(".ipynb")
            message += (
                f"; did you mean '{self.prog} run {given}'?"
                if is_notebook
                else did_you_mean(given, re.findall(r"[\w-]+", choice["known"]))
            )
        super().error(message)

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End because of arguments that are none of this command's."""
        word = unknown[0].partition("=")[0]
        options = re.findall(r"--[a-z][a-z-]+", self.format_help())
        # The hyphens that all of them have make any two short words alike: a notebook's '--rows' is no '--role'.
        hint = did_you_mean(word, options, cutoff=0.75) if word.startswith("-") else ""
        if word.startswith("--") and not hint and "--parameter" in self.format_help():
            hint = f"; a parameter of the notebook is given as '-p {word.lstrip('-')}=VALUE'"
        if "=" in unknown[0] and not word.startswith("-") and "--parameter" in self.format_help():
            hint = f"; did you mean '-p {unknown[0]}'?"
        self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")


class _Once(argparse.Action):
    """Keeps a value. Of two, argparse itself keeps the last without a word."""

    def __call__(
        self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _option: str | None = None
    ) -> None:
        before = getattr(namespace, self.dest, self.default)
        if before is not self.default:
            raise argparse.ArgumentError(self, f"given twice: {before}, then {values}; give it once")
        setattr(namespace, self.dest, values)
