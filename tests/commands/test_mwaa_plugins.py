"""``nbjobs mwaa-plugins``: the archive is whole or not there, equal for equal input, and what MWAA could not follow is refused before pip runs."""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from wheels import wheel

from airflow_nbjobs import __version__, cli
from airflow_nbjobs.commands import mwaa_plugins
from airflow_nbjobs.commands.mwaa_plugins import archive, requirements
from airflow_nbjobs.commands.mwaa_plugins import wheels as command_wheels
from airflow_nbjobs.core.errors import NotebookJobConfigError

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def parse(text, folder=None):
    return requirements.parse(text, source="requirements.txt", own_version="1.2", folder=folder)


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs the command on such a requirements.txt; returns what it says, having written nothing."""

    def run(text, *options):
        file = tmp_path / "requirements.txt"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        before = sorted(tmp_path.iterdir())
        assert (
            cli.main(["mwaa-plugins", str(file), "--to", str(tmp_path / "plugins.zip"), "--python", HERE, *options])
            == 2
        )
        assert sorted(tmp_path.iterdir()) == before
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run


def test_the_readmes_line_is_the_one_of_the_help_and_keeps_what_is_printed():
    (block,) = re.findall(r"<!-- runs: nbjobs mwaa-plugins -->\n```bash\n(.*?)```", README, re.DOTALL)
    assert block == f"{mwaa_plugins.EXAMPLE} > mwaa-requirements.txt\n"


# -- what is asked for -------------------------------------------------------------------------------------------------


def test_what_is_wanted_comes_from_the_archive_alone_in_the_versions_that_lie_there():
    asked = parse(
        '--constraint "c.txt"\n--extra-index-url https://i/simple\n\n# mine\nPandas[excel, aws] >= 2 ; python_version > "3" # why\n'
        'airflow-nbjobs[ui]==1.2\ncolorama; sys_platform == "win32"\nown @ https://x/own-1-py3-none-any.whl\n'
    )
    assert asked.constraints == ("c.txt",)
    assert asked.options == ("--extra-index-url https://i/simple",)
    assert asked.notes == ()
    assert asked.for_mwaa({"pandas": "2.2", "airflow-nbjobs": "1.2", "own": "1"}, constrained=True) == (
        "--find-links /usr/local/airflow/plugins\n--no-index\n--constraint /usr/local/airflow/plugins/constraints.txt\n"
        'Pandas[aws,excel]==2.2; python_version > "3"\nairflow-nbjobs[ui]==1.2\nown==1\n'
    )


def test_one_package_may_be_asked_for_with_several_markers():
    """The last line alone was kept: the archive had a numpy that nobody had asked for on this Python."""
    lines = ['numpy>=2; python_version >= "3.12"', 'numpy<2; python_version < "3.12"', 'six; sys_platform == "win32"']
    asked = parse("\n".join(lines))
    assert asked.for_pip() == "".join(f"{line}\n" for line in [*lines, "airflow-nbjobs[ui]"])
    for version, kept, left in (("2.1", 0, 1), ("1.26", 1, 0)):
        versions = {"numpy": version, "airflow-nbjobs": "1.2"}
        written = asked.for_mwaa(versions, constrained=True).splitlines()[3:]
        assert written == [f"numpy=={version}; {lines[kept].partition('; ')[2]}", "airflow-nbjobs[ui]==1.2"]
        assert asked.left_out(versions) == [lines[left], lines[2]]


def test_several_lines_that_hold_are_all_kept():
    asked = parse('pandas>=2\nPandas[excel]; python_version > "3"')
    assert asked.for_mwaa({"pandas": "2.2"}, constrained=True).splitlines()[3:] == [
        "pandas==2.2",
        'Pandas[excel]==2.2; python_version > "3"',
    ]
    assert asked.left_out({"pandas": "2.2"}) == ["airflow-nbjobs[ui]"]


def test_this_package_is_taken_along_with_its_tab_unless_the_file_says_otherwise():
    assert [str(each) for each in parse("pandas").wanted] == ["pandas", "airflow-nbjobs[ui]"]
    without = parse("airflow_nbjobs>=1")
    assert [str(each) for each in without.wanted] == ["airflow_nbjobs>=1"]
    assert "without the extra ui" in without.notes[0]


def test_the_file_that_mwaa_has_already_may_be_given_again():
    asked = parse("--find-links /usr/local/airflow/plugins\n--no-index\npandas==2")
    assert asked.options == ()
    assert [note[:27] for note in asked.notes] == ["requirements.txt, line 1: '", "requirements.txt, line 2: '"]


def test_folders_of_wheels_are_those_beside_the_file_and_lines_may_go_on(tmp_path):
    asked = parse("-f wheels\npandas \\\n  >=2\n", folder=tmp_path)
    assert asked.options == (f"--find-links {tmp_path / 'wheels'}",)
    assert str(asked.wanted[0]) == "pandas>=2"


@pytest.mark.parametrize("line", ["# --constraint none", "#-c no", "  # without --constraint on purpose"])
def test_a_comment_does_without_constraints_as_it_does_on_mwaa(line):
    asked = parse(f"six\n{line}\npandas")
    assert asked.unconstrained == f"requirements.txt, line 2: '{line.strip()}'"
    assert parse("# six\npandas").unconstrained == ""
    assert "# --constraint none" in asked.for_mwaa({}, constrained=False)
    assert re.search(r"-c |--constraint ", asked.for_mwaa({}, constrained=False)), "MWAA would force its own"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-r base.txt", "write its lines here"),
        ("-e ./lib", "build its wheel"),
        ("./lib", "name the package"),
        ("/usr/local/airflow/plugins/lib-1-py3-none-any.whl", "--find-links FOLDER"),
        ("pandas==2 --hash=sha256:00", "hashes are not kept"),
        ("pandas=2", "no package by its name"),
        ("--require-hashes", "no meaning"),
        ("airflow-nbjobs==0.0.9", "is not this version"),
    ],
)
def test_a_line_that_cannot_be_followed_is_refused_with_its_number_and_a_way_out(line, said, refused):
    told = refused(f"--constraint c.txt\nboto3\n{line}\n")
    assert re.search(r"requirements.txt, line 3: .*", told)
    assert said in told
    assert len(told.splitlines()) == 1


def test_all_lines_are_told_at_once(refused):
    told = refused("-r a\npandas\npandas\n-e b\n")
    assert [line.split(": ")[0][-6:] for line in told.splitlines()] == ["line 1", "line 3", "line 4"]


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("-i https://i", "--index-url https://i"),
        ("--index-url=https://i", "--index-url https://i"),
        ("--index-url = 'https://i'", "--index-url https://i"),
        ("--extra-index-url https://i", "--extra-index-url https://i"),
        ("--trusted-host i", "--trusted-host i"),
        ("-f https://i/wheels", "--find-links https://i/wheels"),
        ("--find-links https://i/wheels", "--find-links https://i/wheels"),
        ("--pre", "--pre"),
        ("--prefer-binary  # soon", "--prefer-binary"),
        ("--only-binary :all:", "--only-binary :all:"),
        ("--no-binary x", "--no-binary x"),
    ],
)
def test_an_option_of_pip_is_for_pip_here_and_means_nothing_on_mwaa(line, option, tmp_path):
    asked = parse(line, folder=tmp_path)
    assert (asked.options, asked.constraints, asked.notes) == ((option,), (), ())
    assert asked.for_pip() == f"{option}\nairflow-nbjobs[ui]\n"
    assert option not in asked.for_mwaa({"airflow-nbjobs": "1.2"}, constrained=True)


def test_constraints_may_be_several_and_are_kept_as_they_are_written():
    assert parse("-c a.txt\n--constraint=b.txt\n-c 'c.txt'\n").constraints == ("a.txt", "b.txt", "c.txt")


def test_folders_of_wheels_stay_as_they_are_without_a_file_and_whole_paths_do_anyhow(tmp_path):
    assert parse("-f wheels").options == ("--find-links wheels",)
    assert parse("-f /abs/wheels", folder=tmp_path).options == ("--find-links /abs/wheels",)


def test_a_line_that_goes_on_is_told_by_its_first_number(refused):
    told = refused("six\n# c\npandas \\\n  ==2 \\\n  --hash=sha256:00\n\n-r x\\")
    assert [re.search(r"line \d+: '?\S*", line)[0] for line in told.splitlines()] == [
        "line 3: hashes",
        "line 7: '-r",
    ]


def test_this_package_counts_with_its_tab_in_any_of_its_lines():
    asked = parse('airflow-nbjobs; python_version < "4"\nAirflow_NBJobs[ui]; python_version > "3"')
    assert asked.notes == ()
    assert len(asked.wanted) == 2


# -- constraints -------------------------------------------------------------------------------------------------------


def test_without_constraints_it_says_which_mwaa_would_force(refused):
    told = refused("pandas\n")
    assert "--constraint" in told
    assert f"constraints-{HERE}.txt" in told


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        ("missing.txt", None, "No such file"),
        ("/usr/local/airflow/dags/constraints.txt", None, "give a copy that lies here"),
        ("http://127.0.0.1:9/constraints.txt", None, "refused"),
        ("there.txt", b"\xff\xfe", "decode"),
        ("there.txt", b"<html>not found</html>\n", "a line that is none: '<html>"),
        ("ftp2://x/y", None, "ftp2"),
    ],
)
def test_constraints_that_are_none_are_refused(place, content, said, refused, tmp_path):
    if content is not None:
        (tmp_path / place).write_bytes(content)
    told = refused(f"--constraint {place}\npandas\n")
    assert f"cannot read the constraints '{place}'" in told or f"the constraints '{place}'" in told
    assert said in told
    assert "Traceback" not in told


def test_constraints_end_with_a_line_end(tmp_path):
    (tmp_path / "c.txt").write_text("pandas==2.2")
    assert requirements.read_constraints("c.txt", folder=tmp_path) == "pandas==2.2\n"


def test_a_given_file_of_constraints_counts_in_place_of_those_that_are_named(tmp_path, refused, monkeypatch):
    (tmp_path / "c.txt").write_text("pandas==2.2")
    told = refused("--constraint c.txt\npandas\n", "--constraint", "missing.txt")
    assert "cannot read the constraints 'missing.txt'" in told
    # A path of the command line is one of the folder that it is called in.
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "given.txt").write_text("pandas==1.5")
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "requirements.txt").write_text("--constraint c.txt\npandas\n")
    asked = argparse.Namespace(requirements=tmp_path / "requirements.txt", constraint="given.txt", python=HERE)
    wanted = parse("--constraint c.txt\npandas\n")
    assert mwaa_plugins._constraints(wanted, asked) == "pandas==1.5\n"
    asked.constraint = None
    assert mwaa_plugins._constraints(wanted, asked) == "pandas==2.2\n"


# -- where and with which Python ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "said"),
    [(".", "is a folder"), ("there.zip", "--force overwrites"), ("nowhere/plugins.zip", "there is no folder")],
)
def test_a_place_that_cannot_be_written_is_told_first(to, said, tmp_path, capsys):
    (tmp_path / "there.zip").write_bytes(b"mine")
    assert cli.main(["mwaa-plugins", "--to", str(tmp_path / to)]) == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "there.zip").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("version", "said"), [("3", "no version such as"), ("latest", "no version"), ("3.99", "no python3.99 that works")]
)
def test_a_python_that_is_not_here_is_told(version, said):
    with pytest.raises(NotebookJobConfigError, match=re.escape(said)):
        command_wheels.find_python(version)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('["3.12", true, "darwin", "arm64", ""]', "docker run --platform linux/amd64 python:3.12"),
        ('["3.12", true, "linux", "x86_64", "musl"]', "glibc"),
        ('["3.12", false, "linux", "x86_64", "glibc"]', "-m ensurepip"),
        ('["3.10", true, "linux", "x86_64", "glibc"]', "is Python 3.10, not 3.12"),
    ],
)
def test_a_machine_whose_wheels_would_not_fit_is_told(answer, said, tmp_path, monkeypatch):
    program = tmp_path / "python3.12"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(command_wheels.sys, "executable", str(program))
    with pytest.raises(NotebookJobConfigError, match=re.escape(said)):
        command_wheels.find_python("3.12")


def test_wheels_that_mwaa_could_not_install_are_told_by_name(tmp_path):
    for name in ("good-1-py3-none-any.whl", "fits-1-cp312-cp312-manylinux_2_28_x86_64.whl"):
        (tmp_path / name).touch()
    assert set(command_wheels._checked(tmp_path, "3.12")) == {"good", "fits"}
    for name in ("new-1-cp312-cp312-manylinux_2_39_x86_64.whl", "alpine-1-cp312-cp312-musllinux_1_2_x86_64.whl"):
        (tmp_path / name).touch()
    with pytest.raises(command_wheels.PipError, match=r"alpine-1.*, new-1"):
        command_wheels._checked(tmp_path, "3.12")


# -- the archive -------------------------------------------------------------------------------------------------------


def test_equal_files_give_equal_bytes_whenever_they_are_written(tmp_path):
    name, body = wheel("lib")
    digests = set()
    for second in (0, 5):
        folder = tmp_path / str(second)
        folder.mkdir()
        (folder / name).write_bytes(body)
        os.utime(folder / name, (1e9 + second, 1e9 + second))
        files = {name: folder / name, "constraints.txt": b"lib==1.0\n"}
        size = archive.write(folder / "plugins.zip", dict(sorted(files.items(), reverse=bool(second))))
        assert size == (folder / "plugins.zip").stat().st_size
        digests.add(hashlib.sha256((folder / "plugins.zip").read_bytes()).hexdigest())
    assert len(digests) == 1
    with zipfile.ZipFile(tmp_path / "0" / "plugins.zip") as written:
        assert written.namelist() == ["constraints.txt", name]
        assert written.read(name) == body


def test_a_full_disk_leaves_the_old_archive_and_nothing_else(tmp_path):
    target = tmp_path / "plugins.zip"
    target.write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        archive.write(target, {"a.whl": b"new", "b.whl": tmp_path / "gone.whl"})
    assert [path.name for path in tmp_path.iterdir()] == ["plugins.zip"]
    assert target.read_bytes() == b"old"


def test_plugins_of_ones_own_lie_beside_the_wheels(tmp_path):
    (tmp_path / "p" / "sub" / "__pycache__").mkdir(parents=True)
    for name in ("mine.py", "sub/more.py", "sub/__pycache__/more.pyc"):
        (tmp_path / "p" / name).write_text("")
    assert list(archive.read_plugins(tmp_path / "p")) == ["mine.py", "sub/more.py"]
    (tmp_path / "p" / "dbt_constraints.txt").write_text("")
    assert "dbt_constraints.txt" in archive.read_plugins(tmp_path / "p")
    (tmp_path / "p" / "constraints.txt").write_text("")
    with pytest.raises(NotebookJobConfigError, match=r"constraints\.txt"):
        archive.read_plugins(tmp_path / "p")
    for folder, said in ((tmp_path / "none", "is no folder"), (tmp_path / "p" / "sub" / "__pycache__", "has no files")):
        with pytest.raises(NotebookJobConfigError, match=said):
            archive.read_plugins(folder)


def test_an_installed_package_becomes_the_wheel_that_it_was_installed_from(tmp_path):
    """By pip itself, which writes scripts, compiles, and leaves notes of its own."""
    name, body = wheel("own_lib")
    (tmp_path / name).write_bytes(body)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", site]
    subprocess.run([*pip, tmp_path / name], check=True)
    (distribution,) = importlib.metadata.distributions(path=[str(site)])
    written = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        written.append(command_wheels.repack(distribution, tmp_path / folder).read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(tmp_path / "a" / name) as repacked, zipfile.ZipFile(tmp_path / name) as original:
        assert sorted(repacked.namelist()) == sorted(original.namelist())
        same = [each for each in original.namelist() if not each.endswith("RECORD")]
        assert [repacked.read(each) for each in same] == [original.read(each) for each in same]
        assert (
            f"own_lib.py,sha256={command_wheels._digest(original.read('own_lib.py'))},"
            in repacked.read("own_lib-1.0.dist-info/RECORD").decode()
        )


# -- the whole command -------------------------------------------------------------------------------------------------


@pytest.fixture
def without_own_wheel(monkeypatch):
    """This package's wheel is made in a second of its own; the slow test makes it."""
    monkeypatch.setattr(command_wheels, "make_own_wheel", lambda python, folder: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("without_own_wheel")
def test_what_pip_cannot_find_is_told_in_its_words_and_nothing_is_written(tmp_path, capfd):
    (tmp_path / "requirements.txt").write_text("# --constraint none\nno-such-lib\n")
    target = tmp_path / "plugins.zip"
    code = cli.main(["mwaa-plugins", str(tmp_path / "requirements.txt"), "--to", str(target), "--python", HERE])
    said = capfd.readouterr()
    assert (code, said.out) == (1, "")
    assert "pip failed: ERROR: " in said.err
    assert "no-such-lib" in said.err
    assert "requirements.txt, line 1: '# --constraint none' does without constraints" in said.err
    assert said.err.endswith("nothing was written\n")
    assert not target.exists()


@pytest.mark.usefixtures("without_own_wheel")
def test_what_a_marker_leaves_out_is_said(tmp_path, capfd, monkeypatch):
    for name in ("lib", "airflow_nbjobs"):
        file, body = wheel(name, __version__) if name == "airflow_nbjobs" else wheel(name)
        (tmp_path / file).write_bytes(body)
    (tmp_path / "requirements.txt").write_text(
        f'# --constraint none\n-f .\nlib; python_version > "3"\nlib>9; python_version < "3"\nairflow-nbjobs=={__version__}\n'
    )
    target = tmp_path / "plugins.zip"
    code = cli.main(["mwaa-plugins", str(tmp_path / "requirements.txt"), "--to", str(target), "--python", HERE])
    said = capfd.readouterr()
    assert code == 0, said.err
    assert said.out.splitlines()[3:] == ['lib==1.0; python_version > "3"', f"airflow-nbjobs=={__version__}"]
    assert (
        f"""'lib>9; python_version < "3"' has no wheel in the archive: its marker leaves it out on Python {HERE}\n"""
        in said.err
    )


def test_ctrl_c_ends_pip_and_leaves_nothing(tmp_path):
    """Its own pip waits for an index that never answers."""
    import socket

    (tmp_path / "requirements.txt").write_text("# --constraint none\nno-such-lib\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            **os.environ,
            "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/",
            "PYTHONPATH": str(ROOT),
        }
        environment |= {"PIP_NO_BUILD_ISOLATION": "1", "PIP_CONFIG_FILE": os.devnull, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "airflow_nbjobs.cli",
                "mwaa-plugins",
                "requirements.txt",
                "--to",
                "p.zip",
                "--python",
                HERE,
            ],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(60)
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; nothing was written"
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["requirements.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("version", sorted({HERE, command_wheels.MWAA_PYTHON}))
def test_an_environment_without_a_network_installs_what_the_archive_holds(version, tmp_path, monkeypatch):
    """Made from a checkout and from an installed wheel; the constraints are this environment's own versions."""
    # pyenv's own are not on the path but by a shim, which runs the chosen version only.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, pyenv.glob(f"{version}.*/bin")), os.environ["PATH"]]))
    try:
        of_version = command_wheels.find_python(version)
    except NotebookJobConfigError as error:
        pytest.skip(str(error))
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable"], capture_output=True, text=True, check=True
    )
    lines = [line for line in frozen.stdout.splitlines() if "==" in line and not line.startswith("airflow")]
    (tmp_path / "constraints.txt").write_text("\n".join(lines))
    (tmp_path / "requirements.txt").write_text("--constraint constraints.txt\ntabulate\n")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text("")
    # The README's line, but for the file that it writes.
    arguments = shlex.split(mwaa_plugins.EXAMPLE.partition(" --to")[0])[1:]
    command = [sys.executable, "-m", "airflow_nbjobs.cli", *arguments, "--python", version]

    def make(name, **environ):
        done = subprocess.run(
            [*command, "--to", name, "--with", "plugins"],
            cwd=tmp_path,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    done = make("plugins.zip", PYTHONPATH=str(ROOT))
    with zipfile.ZipFile(tmp_path / "plugins.zip") as written:
        names = written.namelist()
        written.extractall(tmp_path / "unpacked")
    assert f"airflow_nbjobs-{__version__}-py3-none-any.whl" in names
    assert {"constraints.txt", "mine.py"} < set(names)
    assert re.search(r"plugins\.zip: \d+ wheels, [\d.]+ MB\n$", done.stderr)
    assert f"airflow-nbjobs[ui]=={__version__}\n" in done.stdout

    # As MWAA installs it, but for the folder, in an environment that has no way out.
    text = done.stdout.replace("/usr/local/airflow/plugins", str(tmp_path / "unpacked"))
    (tmp_path / "mwaa.txt").write_text(text)
    environment = tmp_path / "environment"
    subprocess.run([of_version, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    offline = {"PATH": os.defpath, "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    offline |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    install = [python, "-m", "pip", "install", "-q", "-r", "mwaa.txt"]
    installed = subprocess.run(install, cwd=tmp_path, env=offline, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr[-3000:]
    subprocess.run([python, "-m", "pip", "check", "-q"], env=offline, check=True)
    program = (
        "import airflow_nbjobs.operators, airflow_nbjobs.ui.plugin, airflow_nbjobs as package; print(package.__file__)"
    )
    home = offline | {"AIRFLOW_HOME": str(tmp_path / "home")}
    done = subprocess.run([python, "-c", program], cwd=tmp_path, env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith(str(environment))

    # The command of the installed package, outside the repository: the same archive again, but for how its own wheel is packed.
    command[0] = str(python)
    make("again.zip", PYTHONPATH="")
    contents = []
    for name in ("plugins.zip", "again.zip"):
        with zipfile.ZipFile(tmp_path / name) as written:
            files = {each: written.read(each) for each in written.namelist()}
        with zipfile.ZipFile(io.BytesIO(files.pop(f"airflow_nbjobs-{__version__}-py3-none-any.whl"))) as own:
            files |= {each: own.read(each) for each in own.namelist() if not each.endswith("/RECORD")}
        contents.append(files)
    assert contents[0].keys() == contents[1].keys()
    assert [name for name, body in contents[0].items() if contents[1][name] != body] == []
