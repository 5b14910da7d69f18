"""What a job installs is the job's own: importable in it, gone with it, and never in the environment that plays the image."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import uuid
import venv
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_jobs import CHANNEL, Jobs, notebook, stream_text
from wheels import wheel

from airflow_nbjobs.local.container.image import inspect_image, system_environment
from airflow_nbjobs.local.container.overlay import FOLDER, activated, make_overlay
from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.local

INSTALL = "pip install --no-index --disable-pip-version-check -q"
NAME = "nbjobs_test_tide"
WHEEL, WHEEL_BODY = wheel(NAME)


def content_of(prefix: Path) -> set[tuple[str, int]]:
    """Return the environment's commands, modules and distributions, each with its size."""
    folders = [prefix / "bin", *prefix.glob("lib/python*/site-packages")]
    return {
        (str(path), path.stat().st_size if path.is_file() else 0)
        for folder in folders
        for path in (*folder.iterdir(), *folder.glob("*.dist-info/*"))
        if path.name != "__pycache__"
    }


def run_cells(jobs: Jobs, *cells: str, files: dict[str, bytes] | None = None) -> tuple[str, str]:
    """Run them; returns the job's status with its reason, and what the cells printed."""
    done = jobs.wait(jobs.submit({"report.ipynb": notebook(*cells), WHEEL: WHEEL_BODY, **(files or {})}), seconds=300)
    status = f"{done['TrainingJobStatus']} {done.get('FailureReason', '')}".strip()
    return status, stream_text(jobs.executed(done["TrainingJobName"]))


@pytest.fixture
def unchanged() -> Iterator[None]:
    """Checks that the environment of this process is afterwards what it was before."""
    prefix = Path(sys.prefix)
    before = content_of(prefix)
    assert before
    yield
    assert content_of(prefix) == before


INSTALLS = {
    "magic": f"%{INSTALL} {{}}",
    "shell": f"!{INSTALL} {{}}",
    "pip3": f"!pip3 {INSTALL.removeprefix('pip ')} {{}}",
    "module": f"!python -m {INSTALL} {{}}",
    "executable": f"!{{{{sys.executable}}}} -m {INSTALL} {{}}",
    "subprocess": f"subprocess.check_call([sys.executable, '-m', *'{INSTALL} {{}}'.split()])",
    "run_line_magic": f"get_ipython().run_line_magic('pip', '{INSTALL.removeprefix('pip ')} {{}}')",
    "bash": f"%%bash\n{INSTALL} {{}}",
    "user": f"!{INSTALL} --user {{}}",
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "ways",
    [["magic", "user"], pytest.param(list(INSTALLS), marks=pytest.mark.slow)],
    ids=["common", "all"],
)
def test_a_package_that_a_cell_installs_is_the_jobs_own(jobs: Jobs, ways: list[str]) -> None:
    """In the kernel that installed it, and in its children; but what ``--user`` installs is seen by children only, as in a container."""
    wheels = {way: wheel(f"{NAME}_{way}") for way in ways}
    cells = [INSTALLS[way].format(wheels[way][0]) for way in ways]
    names = [f"{NAME}_{way}" for way in ways]
    status, printed = run_cells(
        jobs,
        "import sys, subprocess, importlib.util",
        *cells,
        f"for name in {names}:\n    found = importlib.util.find_spec(name)\n    print('kernel', name, found and found.origin)",
        "!" + "; ".join(f"{name}-cli" for name in names if not name.endswith("_user")),
        f"!python -c 'import {', '.join(names)}; print(*[m.__file__ for n, m in sys.modules.items() if n.startswith(\"{NAME}\")])'".replace(
            "import ", "import sys, ", 1
        ),
        files=dict(wheels.values()),
    )
    assert status == "Completed", printed
    for name in names:
        place = "/.local/lib/" if name.endswith("_user") else f"/{FOLDER}/lib/"
        assert re.search(rf"{re.escape(place)}\S+/{name}\.py", printed), printed
        in_kernel = rf"kernel {name} None" if name.endswith("_user") else rf"kernel {name} \S+{re.escape(place)}"
        assert re.search(in_kernel, printed), printed
    assert printed.count("command 1.0") == len(names) - 1


@pytest.mark.usefixtures("unchanged")
def test_the_next_job_has_nothing_of_it(jobs: Jobs) -> None:
    folder = f"/opt/ml/input/data/{CHANNEL}"
    shell = jobs.algorithm("/bin/bash", "-e", f"{folder}/script.sh")
    for install, found in ((f"{INSTALL} {folder}/{WHEEL}", "True"), ("true", "False")):
        code = f"import importlib.util; print(importlib.util.find_spec('{NAME}') is not None)"
        script = f'{install}; python -c "{code}" > /opt/ml/output/data/found'
        done = jobs.run({WHEEL: WHEEL_BODY, "script.sh": script.encode()}, AlgorithmSpecification=shell)
        assert done["TrainingJobStatus"] == "Completed", done["FailureReason"]
        assert jobs.archive(done["TrainingJobName"])["found"].decode().strip() == found


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
def test_an_initialization_script_and_an_entrypoint_in_a_login_shell_install_there_too(jobs: Jobs) -> None:
    """``install_driver`` runs ``bash -l -c 'pip install … && exec amazon_sagemaker_scheduler'``."""
    environment = {**jobs.environment("x"), "SM_INIT_SCRIPT": "init.sh", "SM_OUTPUT_NOTEBOOK_NAME": "out.ipynb"}
    files = {
        "report.ipynb": notebook(f"import {NAME}, nbjobs_test_ebb\nprint({NAME}.VERSION, nbjobs_test_ebb.VERSION)"),
        "init.sh": f"{INSTALL} ./{WHEEL}\n".encode(),
        WHEEL: WHEEL_BODY,
    }
    other, body = wheel("nbjobs_test_ebb", "2.0")
    command = f'{INSTALL} "$SM_EXECUTION_INPUT_PATH/{other}" && exec amazon_sagemaker_scheduler'
    done = jobs.run(
        {**files, other: body},
        Environment=environment,
        AlgorithmSpecification=jobs.algorithm("/bin/bash", "-l", "-c", command),
    )
    assert done["TrainingJobStatus"] == "Completed", done["FailureReason"]
    executed = json.loads(jobs.archive(done["TrainingJobName"])["out.ipynb"])
    assert executed["cells"][0]["outputs"][0]["text"] in ("1.0 2.0\n", ["1.0 2.0\n"])


# -- on an environment that may be broken -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip, a package 1.0, a file of paths, and a kernel that names its interpreter."""
    prefix = tmp_path_factory.mktemp("image") / "environment"
    venv.create(prefix, with_pip=True, symlinks=True)
    site_packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(prefix), "platbase": str(prefix)}))
    with zipfile.ZipFile(BytesIO(WHEEL_BODY)) as archive:
        archive.extractall(site_packages)
    beside = prefix.parent / "editable"
    beside.mkdir()
    (beside / "nbjobs_test_editable.py").write_text("")
    (site_packages / "editable.pth").write_text(f"{beside}\n")
    kernel = prefix / "share" / "jupyter" / "kernels" / "mine"
    kernel.mkdir(parents=True)
    argv = [str(prefix / "bin" / "python3"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Mine", "language": "python"}))
    return prefix


@pytest.fixture(scope="module")
def own_jobs(image: Path) -> Iterator[Jobs]:
    with EmbeddedSageMaker(image_prefix=image) as server:
        yield Jobs(server)


def run_script(jobs: Jobs, script: str) -> list[str]:
    """Run it as the container, in the input's folder; returns the lines that it wrote to the file ``lines``."""
    name = f"job-{uuid.uuid4().hex[:12]}"
    newer, body = wheel(NAME, "2.0")
    folder = f"/opt/ml/input/data/{CHANNEL}"
    full = f"set -e; exec 2>&1; lines=/opt/ml/output/data/lines; cd {folder}\n{script}"
    entrypoint = jobs.algorithm("/bin/sh", f"{folder}/script.sh")
    files = {newer: body, "script.sh": full.encode()}
    done = jobs.wait(jobs.submit(files, name=name, AlgorithmSpecification=entrypoint))
    assert done["TrainingJobStatus"] == "Completed", jobs.log(name)
    return jobs.archive(name)["lines"].decode().splitlines()


@pytest.mark.slow
def test_an_upgrade_shadows_the_images_package_and_leaves_it_there(own_jobs: Jobs, image: Path) -> None:
    before = content_of(image)
    show = f"python -c 'import {NAME} as m, importlib.metadata as i; print(m.VERSION, i.version(\"{NAME}\"))' >> $lines"
    upgrade = f"{INSTALL} -U {NAME}-2.0-py3-none-any.whl"
    uninstall = f"pip uninstall -y {NAME}"
    assert run_script(own_jobs, f"{show}; {upgrade}; {show}; {uninstall}; {show}") == ["1.0 1.0", "2.0 2.0", "1.0 1.0"]
    assert content_of(image) == before


@pytest.mark.slow
def test_an_uninstall_of_the_images_package_leaves_it_there(own_jobs: Jobs, image: Path) -> None:
    before = content_of(image)
    assert run_script(own_jobs, f"pip uninstall -y {NAME} || true; python -c 'import {NAME}; print(1)' > $lines") == [
        "1"
    ]
    assert content_of(image) == before


@pytest.mark.slow
def test_the_images_files_of_paths_are_read_and_the_base_interpreters_packages_are_not(own_jobs: Jobs) -> None:
    code = "import nbjobs_test_editable, sys; print(*[p for p in sys.path if p.endswith('-packages')], sep='\\n')"
    paths = run_script(own_jobs, f'python -c "{code}" > $lines')
    base = sysconfig.get_path("purelib", "posix_prefix", {"base": sys.base_prefix})
    assert len(paths) == 2
    assert FOLDER in paths[0]
    assert base not in paths


@pytest.mark.slow
def test_an_environment_without_pip_installs_with_the_interpreters_own(tmp_path: Path) -> None:
    """``uv venv`` leaves pip out; images have it."""
    venv.create(tmp_path / "image", with_pip=False, symlinks=True)
    image = inspect_image(tmp_path / "image")
    home = tmp_path / "home"
    home.mkdir()
    make_overlay(image, home)
    (tmp_path / WHEEL).write_bytes(WHEEL_BODY)
    environment = activated(system_environment(image.prefix, str(home)), image, str(home))
    script = f"{INSTALL} ./{WHEEL} && {NAME}-cli && python -c 'import {NAME}; print({NAME}.__file__)'"
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[0] == "command 1.0", done.stderr
    assert FOLDER in done.stdout.splitlines()[1]


@pytest.mark.slow
def test_a_kernel_that_names_the_images_interpreter_runs_in_the_jobs_own(own_jobs: Jobs) -> None:
    (found,) = run_script(own_jobs, "cat ~/.job-environment/share/jupyter/kernels/mine/kernel.json > $lines")
    assert json.loads(found)["argv"][0] == "python"


def test_it_is_a_handful_of_files(tmp_path: Path) -> None:
    """``python -m venv`` takes seconds, for each job."""
    image = inspect_image(Path(sys.prefix))
    make_overlay(image, tmp_path)
    assert len([path for path in tmp_path.rglob("*") if not path.is_dir()]) < 20


def test_a_job_that_asks_for_a_path_of_its_own_keeps_it(tmp_path: Path) -> None:
    image = inspect_image(Path(sys.prefix))
    job = f"/h/{FOLDER}/bin"
    assert activated({"PATH": f"/mine:{image.prefix}/bin:/bin"}, image, "/h")["PATH"] == (
        f"/mine:{job}:{image.prefix}/bin:/bin"
    )
    assert activated({"PATH": "/other/bin:/bin"}, image, "/h")["PATH"] == f"/other/bin:/bin:{job}"
    assert activated({"PATH": "", "JUPYTER_PATH": "/k"}, image, "/h")["JUPYTER_PATH"].split(":")[0] == "/k"
