"""A container's folders, configuration files and environment, and the image that it is made of. No container is started."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_nbjobs.local import StartError
from airflow_nbjobs.local.container import image as images
from airflow_nbjobs.local.container import probe, run
from airflow_nbjobs.local.container.image import (
    find_aws_cli,
    inspect_image,
    is_pullable,
    kernels_here,
    system_environment,
)
from airflow_nbjobs.local.container.probe import choose_isolation, try_way
from airflow_nbjobs.local.container.run import WorkDir, build_environment, claim_direct_folders, write_config
from airflow_nbjobs.local.state.facts import build_facts

FACTS = build_facts(port=1, region="eu-west-1", access_key_id="A", secret_access_key="s", isolation="none")


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_jobs_folders_are_made_and_removed(tmp_path: Path) -> None:
    work = WorkDir(tmp_path / "work")
    work.make()
    for folder in ("input/config", "input/data", "output/data", "model", "code"):
        assert (work.opt_ml / folder).is_dir()
    assert (work.opt_ml, work.home, work.tmp) == (tmp_path / "work/ml", tmp_path / "work/home", tmp_path / "work/tmp")
    assert stat.S_IMODE(work.tmp.stat().st_mode) == 0o1777
    assert work.root.is_dir()
    assert work.bin.is_dir()
    work.remove()
    assert list(tmp_path.iterdir()) == []
    work.remove()


@pytest.fixture
def direct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    folders = tmp_path / "opt" / "ml", tmp_path / "home"
    monkeypatch.setattr(run, "DIRECT_OPT_ML", folders[0])
    monkeypatch.setattr(run, "DIRECT_HOME", folders[1])
    return folders


def test_the_machines_own_folders_are_taken_when_nobody_has_files_there(
    direct: tuple[Path, Path], tmp_path: Path
) -> None:
    assert claim_direct_folders() is None
    assert claim_direct_folders() is None, "they are the server's"
    work = WorkDir(tmp_path / "work", is_direct=True)
    (tmp_path / "work").mkdir()
    work.make()
    assert (work.opt_ml, work.home) == direct
    (work.home / "file").touch()
    (work.home / "link").symlink_to(tmp_path)
    work.remove()
    assert [[path.name for path in folder.iterdir()] for folder in direct] == [[".nbjobs-local"], [".nbjobs-local"]]
    assert tmp_path.is_dir(), "a link is removed, not what it leads to"


def test_somebodys_files_are_not_removed(direct: tuple[Path, Path]) -> None:
    direct[1].mkdir()
    (direct[1] / "mine").touch()
    assert claim_direct_folders() == f"{direct[1]} holds files that are not the embedded SageMaker's own"
    assert (direct[1] / "mine").exists()


def test_a_folder_that_cannot_be_made_is_told(direct: tuple[Path, Path]) -> None:
    direct[0].parent.touch()
    problem = claim_direct_folders()
    assert problem is not None
    assert problem.startswith(f"{direct[0]} cannot be used: ")


# -- configuration -----------------------------------------------------------------------------------------------------


def test_the_configuration_is_as_the_platform_writes_it(tmp_path: Path) -> None:
    work = WorkDir(tmp_path / "work")
    work.make()
    source = {"S3DataSource": {"S3Uri": "s3://b/x", "S3DataDistributionType": "ShardedByS3Key"}}
    request = {
        "HyperParameters": {"epochs": "3"},
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.m5.large"},
        "InputDataConfig": [
            {"ChannelName": "a", "DataSource": source, "InputMode": "FastFile", "RecordWrapperType": "RecordIO"},
            {"ChannelName": "b", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/y"}}},
        ],
    }
    write_config(work, request)
    written = {path.name: json.loads(path.read_text()) for path in (work.opt_ml / "input" / "config").iterdir()}
    assert written == {
        "hyperparameters.json": {"epochs": "3"},
        "resourceconfig.json": {
            "current_host": "algo-1",
            "current_instance_type": "ml.m5.large",
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "instance_groups": [
                {
                    "instance_group_name": "homogeneousCluster",
                    "instance_type": "ml.m5.large",
                    "hosts": ["algo-1"],
                }
            ],
            "network_interface_name": "lo",
        },
        "inputdataconfig.json": {
            "a": {
                "TrainingInputMode": "FastFile",
                "S3DistributionType": "ShardedByS3Key",
                "RecordWrapperType": "RecordIO",
            },
            "b": {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            },
        },
    }


def test_the_environment_is_the_images_then_the_jobs_then_the_platforms() -> None:
    image: Any = SimpleNamespace(prefix=Path("/venv"))
    requested = {"LANG": "C", "AWS_REGION": "mine", "X": "1", "JOB": "theirs"}
    found = build_environment(requested, {"JOB": "ours"}, facts=FACTS, image=image, home="/home/x")
    assert found == {
        **system_environment(Path("/venv"), "/home/x"),
        **FACTS.environment(),
        "LANG": "C",
        "X": "1",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "JOB": "ours",
    }
    assert found["PATH"].startswith("/venv/bin:/usr/local/sbin:")
    assert (found["HOME"], found["SHELL"]) == ("/home/x", "/bin/bash")


# -- the image ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "region", "expected"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a/b:1", "eu-west-1", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:0", "eu-west-1", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a", "eu-west-1", True),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a", "cn-north-1", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a", "eu-west-2", False),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/", "eu-west-1", False),
        ("12345678901.dkr.ecr.eu-west-1.amazonaws.com/a", "eu-west-1", False),
        ("docker.io/a:1", "eu-west-1", False),
    ],
)
def test_an_image_is_pulled_from_the_registry_of_its_region(image: str, region: str, expected: bool) -> None:
    assert is_pullable(image, region) is expected


def test_an_environment_tells_what_a_container_needs_of_it() -> None:
    image = inspect_image(Path(sys.prefix))
    assert image.prefix == Path(sys.prefix)
    assert image.version == ".".join(map(str, sys.version_info[:3]))
    assert str(Path(sys.prefix)) in image.keep
    assert image.keep == tuple(sorted(image.keep))
    assert image.base_python.exists()
    assert any(Path(folder).is_relative_to(sys.prefix) for folder in image.site_folders)
    assert image.site_packages.startswith("lib/")
    assert image.search_path.startswith(f"{sys.prefix}/bin:")


def test_a_folder_without_an_interpreter_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"is no Python environment: there is no .*/bin/python"):
        inspect_image(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    with pytest.raises(StartError, match=r"bin/python does not work: broken"):
        inspect_image(tmp_path)


def kernel(prefix: Path, name: str, text: str) -> None:
    folder = prefix / "share" / "jupyter" / "kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(text)


def test_kernels_that_name_the_environments_interpreter_run_in_the_jobs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_SYSTEM_JUPYTER", (tmp_path / "system",))
    python = str(tmp_path / "bin" / "python3")
    kernel(tmp_path, "mine", json.dumps({"argv": [python, "-m", "x"], "language": "python"}))
    kernel(tmp_path, "plain", json.dumps({"argv": ["python", "-m", "x"]}))
    kernel(tmp_path, "other", json.dumps({"argv": ["/elsewhere/bin/python", "-m", "x"]}))
    kernel(tmp_path, "ruby", json.dumps({"argv": [str(tmp_path / "bin" / "irb")]}))
    kernel(tmp_path, "empty", json.dumps({"argv": []}))
    kernel(tmp_path, "list", "[]")
    kernel(tmp_path, "broken", "{")
    assert images._own_kernels(tmp_path) == {"mine": {"argv": ["python", "-m", "x"], "language": "python"}}
    assert kernels_here(tmp_path) is not None


def test_the_aws_cli_of_the_image_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_SYSTEM_PATH", str(tmp_path / "system"))
    for folder in ("users", "venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "aws").write_text("")
        (tmp_path / folder / "aws").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "users"))
    assert find_aws_cli(tmp_path / "venv") == tmp_path / "venv" / "bin" / "aws"
    assert find_aws_cli(tmp_path / "none") == tmp_path / "users" / "aws"
    monkeypatch.setenv("PATH", "")
    assert find_aws_cli(tmp_path / "none") is None


# -- the way of isolation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "broken", "way", "notes"),
    [
        ("auto", {}, "userns", ()),
        ("auto", {"userns": "no"}, "root", ("userns: no",)),
        ("auto", {"userns": "no", "root": "nor"}, "none", ("userns: no", "root: nor")),
        ("root", {"userns": "no"}, "root", ()),
        ("direct", {}, "direct", ()),
    ],
)
def test_the_best_way_that_works_is_taken(
    monkeypatch: pytest.MonkeyPatch, wanted: str, broken: dict[str, str], way: str, notes: tuple[str, ...]
) -> None:
    monkeypatch.setattr(probe, "try_way", lambda each, _: broken.get(each))
    image: Any = None
    chosen = choose_isolation(wanted, image)
    assert (chosen.way, chosen.notes) == (way, notes)


def test_where_no_way_works_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "try_way", lambda each, _: f"not {each}")
    image: Any = None
    with pytest.raises(StartError, match="userns: not userns; root: not root; none: not none"):
        choose_isolation("auto", image)


def test_what_a_way_needs_is_told_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    image: Any = None
    assert try_way("none", image) is None
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert try_way("root", image) == try_way("direct", image) == "needs root"
    monkeypatch.setattr("sys.platform", "darwin")
    assert [try_way(way, image) for way in ("userns", "root", "direct")] == ["needs Linux"] * 3
