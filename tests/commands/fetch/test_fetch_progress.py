"""How far a download has come, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from airflow_nbjobs.commands.fetch.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_there_are_lines_and_no_bars():
    stream = io.StringIO()
    with Progress(stream) as progress, progress.file("t/executed.ipynb", 100) as advance:
        advance(50)
        progress.say("going on [after] 50 of 100 bytes")
    assert stream.getvalue() == "going on [after] 50 of 100 bytes\n"


def test_standard_error_is_the_default(capsys):
    with Progress() as progress:
        progress.say("x")
    assert tuple(capsys.readouterr()) == ("", "x\n")


def test_a_terminal_gets_a_bar_for_each_file_that_is_fetched():
    stream = Terminal()
    with Progress(stream) as progress:
        with progress.file("t/[executed].ipynb", 2048) as advance:
            advance(512)
            (task,) = progress._bars.tasks
            assert (task.description, task.total, task.completed) == ("t/[executed].ipynb", 2048, 512)
            advance(-512)
            assert task.completed == 0
            progress.say("[red]no markup[/red] " + "x" * 300)
        assert progress._bars.tasks == []
        with pytest.raises(OSError, match="full"), progress.file("u", 1):
            raise OSError("full")
        assert progress._bars.tasks == []
    assert progress._bars.finished
    assert not progress._bars.live.is_started
    assert "[red]no markup[/red] " + "x" * 300 in stream.getvalue()
