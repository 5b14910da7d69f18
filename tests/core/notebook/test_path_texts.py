"""Texts that look like paths, and the files that a command of the shell names."""

import pytest

from airflow_nbjobs.core.notebook.path_texts import files_of_command, looks_like_path, path_words, relative_path


@pytest.mark.parametrize(
    ("text", "is_path"),
    [
        ("data.csv", True),
        ("my data.csv", True),
        ("a/b", True),
        ("./a", True),
        ("../a/b.txt", True),
        ("data/*.csv", True),
        (".env.local", True),
        ("data", False),
        ("1.5", False),
        ("a, b.csv", False),
        ("v1.2.3", False),
        ("x.averylongsuffix", False),
        ("s3://b/a.csv", False),
        ("a/b" + "c" * 247, True),
        ("a/b" + "c" * 248, False),
    ],
    ids=lambda value: value if not isinstance(value, str) else value[:20],
)
def test_a_text_looks_like_a_path_where_it_has_a_folder_or_a_files_ending(text, is_path):
    assert looks_like_path(text) is is_path


@pytest.mark.parametrize(
    ("path", "relative"),
    [
        ("./a/../b.csv", "b.csv"),
        ("../a", "../a"),
        ("a/", "a"),
        ("data/x*.csv", "data"),
        ("data/2024/[ab]/x", "data/2024"),
        ("data/a?/b", "data"),
        ("*.csv", ""),
        ("/abs/a", ""),
        ("~/a", ""),
        ("s3://b/a", ""),
        (".", ""),
        ("..", ""),
        ("./", ""),
        ("", ""),
        ("a\nb.csv", ""),
        ("a" * 250, "a" * 250),
        ("a" * 251, ""),
    ],
    ids=lambda value: value[:20],
)
def test_a_path_is_relative_to_the_notebook_or_lies_elsewhere(path, relative):
    assert relative_path(path) == relative


def test_the_paths_of_a_command_are_its_words_that_look_like_one():
    assert list(path_words("train --data=in/a.csv 'b.txt';(c.py)&d.sh|e >f.log 1.5 <g.in")) == [
        *("in/a.csv", "b.txt", "c.py", "d.sh", "f.log", "g.in")
    ]


@pytest.mark.parametrize(
    ("command", "read", "written"),
    [
        ("cat a.txt", ["a.txt"], []),
        ("cat a.txt > b.txt", ["a.txt"], ["b.txt"]),
        ("cat a.txt >> 'b.txt'", ["a.txt"], ["b.txt"]),
        ("cat a.txt | tee b.txt", ["a.txt"], ["b.txt"]),
        ("cat a.txt | tee -a b.txt", ["a.txt"], ["b.txt"]),
        ("wget -O b.txt https://x/y", [], ["b.txt"]),
        ("wget --output-document=b.txt https://x/y", [], ["b.txt"]),
        ("curl -o b.txt https://x/y", [], ["b.txt"]),
        ("touch b.txt", [], ["b.txt"]),
        ("mkdir -p out/", [], ["out"]),
        ("cp a.txt b.txt", ["a.txt"], ["b.txt"]),
        ("mv a.txt b/ ", ["a.txt"], ["b"]),
        ("ln -s a.txt b.txt", ["a.txt"], ["b.txt"]),
        ("python a.py && cp b.txt c.txt", ["a.py", "b.txt"], ["c.txt"]),
        ("cp a.txt b.txt; cat d.txt", ["a.txt", "b.txt", "d.txt"], []),
        ("# cat a.txt", [], []),
        ("  # cat a.txt", [], []),
        ("aws s3 cp s3://b/x/a.csv .", [], ["a.csv"]),
        ("aws s3 cp s3://b/x/a.csv data/", [], ["data", "data/a.csv"]),
        ("aws s3 mv 's3://b/a.csv' ..", [], ["../a.csv"]),
        ("aws s3 cp a.csv s3://b/a.csv", ["a.csv"], []),
        ("aws s3 cp s3://b/a.csv s3://c/a.csv", [], []),
    ],
)
def test_a_command_reads_files_and_writes_others(command, read, written):
    files = files_of_command(command)
    assert files.read == read
    assert {relative_path(name) for name in files.written} - {""} == set(written)
    assert files.filled == set()


@pytest.mark.parametrize(
    ("command", "filled"),
    [
        ("aws s3 sync s3://b/data data/", {"data"}),
        ("aws s3 sync s3://b/data . --delete", {"."}),
        ("aws s3 cp --recursive s3://b/x ./in/", {"in"}),
        ("aws s3 cp s3://b/x in --recursive", {"in"}),
        ("aws s3 sync s3://b/data s3://c/data", set()),
        ("aws s3 sync data s3://b/data", set()),
        ("git clone https://x/team/repo.git", {"repo"}),
        ("git clone https://x/team/repo/", {"repo"}),
        ("git clone --depth 1 -b main git@x:team/repo.git", {"repo"}),
        ("git clone -q https://x/team/repo mine/", {"mine"}),
        ("git clone --branch main -c a=b -j 4 https://x/repo mine", {"mine"}),
        ("git clone -b main team/repo", {"repo"}),
        ("git clone --shallow-since 2026-01-01 --template t https://x/repo", {"repo"}),
        (f"git clone {'-b -c ' * 40}w x y z", set()),  # told at once, not after trying each way to read it
        ("cd a && git clone https://x/repo && ls", {"repo"}),
        ("unzip -q a.zip -d data", {"data"}),
        ("tar xzf a.tgz -C data/raw/", {"data/raw"}),
        ("unzip a.zip", set()),
        ("git pull", set()),
        ("# git clone https://x/repo", set()),
    ],
)
def test_a_command_fills_folders(command, filled):
    assert files_of_command(command).filled == filled


@pytest.mark.parametrize(
    ("command", "modules"),
    [
        ("python -m tool.main a.csv", ["tool.main"]),
        ("python3.11 -m tool", ["tool"]),
        ("python a.py", []),
        ("pip install -m x", []),
    ],
)
def test_a_command_runs_modules(command, modules):
    assert files_of_command(command).modules == modules
