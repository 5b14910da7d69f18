"""A file that is whole or not there, and an environment that is as it was."""

from __future__ import annotations

import os

import pytest

from airflow_nbjobs.commands.environment import as_airflows_own, variable
from airflow_nbjobs.commands.whole_file import whole_file


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_takes_its_name_at_the_end_with_the_rights_that_a_new_one_has(tmp_path, umask, mode):
    path = tmp_path / "x.txt"
    before = os.umask(umask)
    try:
        with whole_file(path) as file:
            file.write(b"whole")
            assert not path.exists()
            (part,) = tmp_path.iterdir()
            assert part.name.startswith(".x.txt.")
            assert part.name.endswith(".part")
        assert os.umask(umask) == umask, "the process's own is as it was"
    finally:
        os.umask(before)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"whole", mode)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_is_raised_leaves_what_was_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_bytes(b"before")

    def write():
        with whole_file(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_without_a_folder_is_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with whole_file(type(tmp_path)("x.txt")) as file:
        file.write(b"1")
    assert (tmp_path / "x.txt").read_bytes() == b"1"


@pytest.mark.parametrize("before", [None, "", "x"])
def test_a_variable_is_what_it_was_whatever_happens(monkeypatch, before):
    monkeypatch.delenv("NBJOBS_PROBE", raising=False)
    if before is not None:
        monkeypatch.setenv("NBJOBS_PROBE", before)
    with pytest.raises(ValueError, match="y"), variable("NBJOBS_PROBE", "y"):
        raise ValueError(os.environ["NBJOBS_PROBE"])
    assert os.environ.get("NBJOBS_PROBE") == before


def test_airflows_own_commands_are_told_by_a_variable():
    with as_airflows_own():
        assert os.environ["_AIRFLOW_PROCESS_CONTEXT"] == "server"
