"""The files of a job: what it runs and reads beside its notebook and above it, what is missing, and what a person should list."""

import json
import posixpath
import re

import pytest
from fakes import ACCOUNT_ID, REGION, FakeClients, notebook

from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)
ARGUMENTS = {
    "input_notebook": "nb.ipynb",
    "image_uri": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
    "role": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
    "s3_root_uri": "s3://bucket/nbjobs",
}


@pytest.fixture
def clients():
    return FakeClients()


@pytest.fixture
def dags(tmp_path):
    """The DAG's folder; files are written there by ``write``."""
    (tmp_path / "dags").mkdir()
    return tmp_path / "dags"


@pytest.fixture
def write(dags):
    def run(contents):
        for name, content in contents.items():
            path = dags / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return run


@pytest.fixture
def prepare(dags, clients):
    def run(**arguments):
        where = Surroundings(folders=[dags], region=REGION, has_credentials=True, clients=clients)
        return examine_job(
            JobArguments(**ARGUMENTS | arguments), run=Run(label="d.t", readable="d-t", key=KEY), where=where
        ).required()

    return run


def advised(*warnings):
    """What the warnings tell the user to list."""
    lists = [re.search(r"; list (.*) in additional_dependencies", warning)[1] for warning in warnings]
    return re.findall(r"'([^']*)'", " ".join(lists))


def names(job):
    return sorted(file.name for file in job.files)


# -- %run --------------------------------------------------------------------------------------------------------------


def test_a_target_that_an_earlier_cell_writes_is_no_error(prepare, write):
    write({"nb.ipynb": notebook("%%writefile prep.py\nanswer = 42", "%run prep.py", "print(answer)")})
    job = prepare()
    assert names(job) == ["nb.ipynb"]
    (warning,) = job.warnings
    assert warning == (
        "'prep.py' is not there: cell 2 of 'nb.ipynb' runs it with %run; cell 1 of 'nb.ipynb' may make it "
        "(%%writefile prep.py), else the notebook fails there"
    )


def test_a_missing_target_may_be_a_warning(prepare, refused, write):
    write({"nb.ipynb": notebook("%run prep.py")})
    assert "'prep.py' is missing" in refused()[0]
    assert "'prep.py' is missing" in prepare(missing_dependencies="warn").warnings[0]


def test_an_initialization_script_may_make_a_target(prepare, write):
    write({"nb.ipynb": notebook("%run prep.py"), "setup.sh": "git clone https://x/y ."})
    (warning,) = prepare(initialization_script="setup.sh").warnings
    assert "the initialization script may make it" in warning


def test_a_path_of_a_persons_machine_is_a_warning(prepare, write):
    write({"nb.ipynb": notebook("x = 1", "%run /home/me/prep.py")})
    (warning,) = prepare().warnings
    assert warning.startswith("'nb.ipynb' runs '/home/me/prep.py' (cell 2): a job has no such path")


# -- above the notebook's folder ---------------------------------------------------------------------------------------


def test_code_above_the_notebook_is_shipped_to_the_same_place(prepare, write):
    """The driver runs a notebook in the folder that it lies in: what the notebook sees above it is as on the author's machine."""
    write(
        {
            "team/notebooks/main.ipynb": notebook("%run ../common/setup.ipynb", "%run local.py\nimport helpers"),
            "team/notebooks/local.py": "",
            "team/notebooks/helpers.py": "",
            "team/common/setup.ipynb": notebook("%run ../common/more.py"),
            "team/common/more.py": "",
        }
    )
    job = prepare(input_notebook="team/notebooks/main.ipynb", additional_dependencies=["team/notebooks/helpers.py"])
    assert names(job) == [
        *("common/more.py", "common/setup.ipynb"),
        *("notebooks/helpers.py", "notebooks/local.py", "notebooks/main.ipynb"),
    ]
    environment = job.request(0)["Environment"]
    assert environment["SM_EXECUTION_INPUT_PATH"].endswith("_pipelinestep/notebooks")
    assert environment["SM_INPUT_NOTEBOOK_NAME"] == "main.ipynb"
    assert job.warnings == ()


def test_a_notebook_that_looks_only_beside_it_lies_at_the_root(prepare, write):
    write({"team/notebooks/main.ipynb": notebook("%run a.ipynb"), "team/notebooks/a.ipynb": notebook("1")})
    job = prepare(input_notebook="team/notebooks/main.ipynb")
    assert names(job) == ["a.ipynb", "main.ipynb"]
    assert job.request(0)["Environment"]["SM_INPUT_NOTEBOOK_NAME"] == "main.ipynb"


def test_two_folders_up_are_kept_too(prepare, write):
    write({"a/b/main.ipynb": notebook("%run ../../lib/x.py\n%run ../y.py"), "lib/x.py": "", "a/y.py": ""})
    assert names(prepare(input_notebook="a/b/main.ipynb")) == ["a/b/main.ipynb", "a/y.py", "lib/x.py"]


@pytest.mark.parametrize("folder", ["notebooks", "my notebooks"])
def test_a_script_that_sets_the_job_up_runs_beside_the_notebook_all_the_same(prepare, write, folder):
    """The driver goes into the notebook's folder, unless its `cd` without quotes cannot."""
    write(
        {
            f"{folder}/main.ipynb": notebook("%run ../setup.py"),
            "setup.py": "",
            "init.sh": "pip install -r requirements.txt",
            "requirements.txt": "",
        }
    )
    job = prepare(
        input_notebook=f"{folder}/main.ipynb",
        initialization_script="init.sh",
        additional_dependencies=["requirements.txt"],
    )
    environment = job.request(0)["Environment"]
    beside = [f"{folder}/main.ipynb", f"{folder}/requirements.txt"]
    if folder == "notebooks":
        assert names(job) == [f"{folder}/init.sh", *beside, "setup.py"]
        assert environment["SM_INIT_SCRIPT"] == "init.sh"
        return
    assert names(job) == ["init.sh", *beside, "nbjobs-init.sh", "setup.py"]
    assert environment["SM_INPUT_NOTEBOOK_NAME"] == f"{folder}/main.ipynb"
    (script,) = [file.body.decode() for file in job.files if file.name == "nbjobs-init.sh"]
    assert 'cd "$SM_EXECUTION_INPUT_PATH"/\'my notebooks\'\n\n. "$SM_EXECUTION_INPUT_PATH"/init.sh' in script


def test_the_operators_own_script_lies_beside_the_notebook_too(prepare, write):
    write({"notebooks/main.ipynb": notebook("%run ../setup.py"), "setup.py": "", "init.sh": "true"})
    job = prepare(input_notebook="notebooks/main.ipynb", initialization_script="init.sh", live_notebook=True)
    assert names(job) == ["notebooks/init.sh", "notebooks/main.ipynb", "notebooks/nbjobs-init.sh", "setup.py"]
    assert job.request(0)["Environment"]["SM_INIT_SCRIPT"] == "nbjobs-init.sh"


def test_nothing_above_the_dags_folder_is_read(refused, write, dags):
    """A notebook from somewhere must not make the worker upload the worker's own files."""
    (dags.parent / "secret.ipynb").write_bytes(notebook("1"))
    (dags.parent / "secret.py").write_text("")
    write({"nb.ipynb": notebook(f"%run ../secret.ipynb\n%run {dags.parent}/secret.ipynb\n%run ../secret.py")})
    problems = refused()
    assert len(problems) == 2
    assert all("secret" in problem and "list it in additional_dependencies" in problem for problem in problems)


def test_only_code_is_read_above_the_notebook_without_being_listed(refused, write):
    write({"notebooks/nb.ipynb": notebook("%run ../.env\n%run ../secrets.yaml"), ".env": "", "secrets.yaml": ""})
    assert len(refused(input_notebook="notebooks/nb.ipynb")) == 2


def test_what_lies_elsewhere_is_shipped_to_its_place_once_it_is_listed(prepare, write, dags):
    """The advice of the error above, followed."""
    (dags.parent / "common").mkdir()
    (dags.parent / "common" / "setup.ipynb").write_bytes(notebook("1"))
    (dags.parent / "common" / "table.csv").write_text("1")
    write({"nb.ipynb": notebook("%run ../common/setup.ipynb", "open('../common/table.csv')")})
    job = prepare(additional_dependencies=[str(dags.parent / "common")])
    assert {"common/setup.ipynb", "common/table.csv", "dags/nb.ipynb"} <= set(names(job))
    assert job.warnings == ()


def test_data_above_the_notebook_is_named_and_arrives_in_its_place_once_it_is_listed(prepare, write):
    write(
        {
            "notebooks/main.ipynb": notebook("open('../common/table.csv')", "list(Path('../more').glob('*'))"),
            "common/table.csv": "1",
            "more/a.csv": "2",
            "more/sub/b.csv": "3",
        }
    )
    (warning,) = prepare(input_notebook="notebooks/main.ipynb").warnings
    assert "'../common/table.csv', '../more'; list 'common/table.csv', 'more' in additional_dependencies" in warning
    job = prepare(input_notebook="notebooks/main.ipynb", additional_dependencies=["common/table.csv", "more"])
    assert job.warnings == ()
    assert {"common/table.csv", "more/a.csv", "more/sub/b.csv", "notebooks/main.ipynb"} <= set(names(job))


def test_a_notebook_that_knows_the_jobs_folder_finds_everything_at_its_root(prepare, write):
    folder = "/opt/ml/input/data/sagemaker_headless_execution"
    write(
        {"notebooks/main.ipynb": notebook(f"open('{folder}/a.csv' if in_job else '../data/a.csv')"), "data/a.csv": "1"}
    )
    job = prepare(input_notebook="notebooks/main.ipynb", additional_dependencies=["data/a.csv"])
    assert names(job) == ["a.csv", "main.ipynb"]
    assert job.warnings == ()


def test_a_notebook_in_s3_takes_from_above_it_what_is_listed(prepare, refused, clients):
    clients.objects.bodies |= {
        "s3://code/nb/main.ipynb": notebook("%run ../common/setup.ipynb"),
        "s3://code/common/setup.ipynb": notebook("1"),
    }
    (problem,) = refused(input_notebook="s3://code/nb/main.ipynb")
    assert "'../common/setup.ipynb' is missing" in problem
    job = prepare(input_notebook="s3://code/nb/main.ipynb", additional_dependencies=["s3://code/common/setup.ipynb"])
    assert {"common/setup.ipynb", "nb/main.ipynb"} <= set(names(job))


# -- what is named and not shipped -------------------------------------------------------------------------------------


def test_what_lies_beside_and_is_not_shipped_is_named_in_one_line(prepare, write):
    write(
        {
            "nb.ipynb": notebook("import helpers\nimport os\nopen('data.csv')\nopen('none.csv')"),
            "helpers.py": "",
            "data.csv": "",
        }
    )
    (warning,) = prepare().warnings
    assert warning == (
        "'nb.ipynb' mentions what lies beside the notebook but is not shipped: 'data.csv', 'helpers.py'; "
        "list 'data.csv', 'helpers.py' in additional_dependencies if the job needs it"
    )
    assert prepare(additional_dependencies=["helpers.py", "data.csv"]).warnings == ()


def test_each_way_to_name_a_dependency_is_seen(prepare, write):
    write(
        {
            "notebooks/nb.ipynb": notebook(
                "%%bash\npython train.py --config conf.yaml",
                "import src.text\nfrom estimator import run",
                'run(source_dir="./scripts", entry_point="scripts/fit.py", data="../shared/data.csv")',
                "%load_ext my_extension",
            ),
            **dict.fromkeys(
                (
                    *("notebooks/train.py", "notebooks/conf.yaml", "notebooks/src/text.py", "notebooks/scripts/fit.py"),
                    *("notebooks/estimator/run.py", "notebooks/my_extension.py", "shared/data.csv"),
                ),
                "",
            ),
        }
    )
    beside, above = prepare(input_notebook="notebooks/nb.ipynb").warnings
    assert prepare(input_notebook="notebooks/nb.ipynb", additional_dependencies=advised(beside, above)).warnings == ()
    assert "'conf.yaml', 'estimator', 'my_extension.py', 'scripts', 'src', 'train.py';" in beside
    assert "'../shared/data.csv'; list 'shared/data.csv' in additional_dependencies" in above


@pytest.mark.parametrize(
    "source",
    [
        "import data, test, yaml.nodes\nfrom json import tool",
        "x = {'data': 1}['data']",
        "df.to_csv('out.csv')\nread('out.csv')",
        "%%writefile out.csv\n1",
        "print('data')",
        "import pandas.io",
    ],
)
def test_no_false_alarm_for_what_only_shares_a_name(prepare, write, source):
    """A folder counts for an import only if it has the module: Python takes an installed package before a folder without ``__init__.py``."""
    write(
        {
            "nb.ipynb": notebook(source),
            **dict.fromkeys(("data/a.csv", "test/a.py", "json/x.py", "out.csv", "yaml/mine.py", "pandas/x.csv"), ""),
        }
    )
    assert prepare().warnings == ()


def test_what_shipped_code_imports_in_turn_is_named(prepare, write):
    write(
        {
            "nb.ipynb": notebook("%run prep.py", "import lib.a"),
            "prep.py": "import helpers\nimport os",
            "helpers.py": "",
            "lib/a.py": "from lib import b\nimport other",
            "lib/b.py": "",
            "other/x.py": "",
        }
    )
    warnings = prepare(additional_dependencies=["lib"]).warnings
    assert sorted(warning.split(";")[0] for warning in warnings) == [
        "'lib/a.py' mentions what lies beside the notebook but is not shipped: 'other'",
        "'prep.py' mentions what lies beside the notebook but is not shipped: 'helpers.py'",
    ]


def test_modules_in_a_folder_that_the_notebook_searches_are_named(prepare, write):
    write(
        {
            "notebooks/nb.ipynb": notebook(
                "import sys\nsys.path.append('..')\nsys.path.append('lib')\nimport tools, utils"
            ),
            "utils.py": "",
            "notebooks/lib/tools.py": "",
        }
    )
    beside, above = prepare(input_notebook="notebooks/nb.ipynb").warnings
    assert "not shipped: 'lib';" in beside
    assert "'../utils.py'; list 'utils.py'" in above
    assert prepare(input_notebook="notebooks/nb.ipynb", additional_dependencies=advised(beside, above)).warnings == ()


@pytest.mark.parametrize(
    ("source", "read_as"),
    [
        ("read('data/in/a.csv')", "data/in/a.csv"),
        ("import package.module", "package/module.py"),
        ("import helpers", "helpers.py"),
        ("!bash scripts/run.sh", "scripts/run.sh"),
        ("Path('../data') / 'a.csv'", "../data/a.csv"),
        ("sys.path.append('../lib')\nimport deep", "../lib/deep.py"),
        ("open('../../top.csv')", "../../top.csv"),
    ],
)
def test_the_advice_puts_a_dependency_where_the_notebook_looks_for_it(prepare, write, source, read_as):
    files = (
        "data/in/a.csv",
        "package/module.py",
        "helpers.py",
        "scripts/run.sh",
        "../data/a.csv",
        "../lib/deep.py",
        "../../top.csv",
    )
    write({f"a/b/{name}": "" for name in files} | {"a/b/nb.ipynb": notebook(source)})
    (warning,) = prepare(input_notebook="a/b/nb.ipynb").warnings
    job = prepare(input_notebook="a/b/nb.ipynb", additional_dependencies=advised(warning))
    assert job.warnings == ()
    folder = job.request(0)["Environment"]["SM_EXECUTION_INPUT_PATH"].partition("_pipelinestep")[2].lstrip("/")
    assert posixpath.normpath(posixpath.join(folder, read_as)) in names(job)


def test_what_the_notebook_writes_itself_is_no_dependency_though_an_old_copy_lies_there(prepare, write):
    write(
        {
            "nb.ipynb": notebook(
                "%%writefile tools.py\nx = 1", "import tools", "df.to_csv('out.csv')", "read('out.csv')",
                "%%writefile lib/a.py\nx = 1", "import lib.a",
            ),
            **dict.fromkeys(("tools.py", "out.csv", "lib/a.py"), ""),
        }
    )  # fmt: skip
    assert prepare().warnings == ()


def test_a_name_that_no_file_system_can_hold_is_no_file(prepare, write):
    write({"nb.ipynb": notebook("open('" + "x/" * 120 + "a.csv')", "%run " + "y" * 300 + ".py\n")})
    with pytest.raises(NotebookJobConfigError, match="is missing"):
        prepare()


def test_the_authors_notebook_above_which_something_lies_is_not_changed(prepare, write, dags):
    body = notebook("%run ../x.py")
    write({"notebooks/nb.ipynb": body, "x.py": ""})
    job = prepare(input_notebook="notebooks/nb.ipynb")
    assert (dags / "notebooks" / "nb.ipynb").read_bytes() == body
    assert [json.loads(file.body) for file in job.files if file.name.endswith(".ipynb")] == [json.loads(body)]


# -- the notebook and the script themselves ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a{b.ipynb", "a}b.ipynb"])
def test_a_brace_in_the_name_is_refused_since_papermill_formats_it(refused, write, name):
    write({name: notebook("1")})
    (problem,) = refused(input_notebook=name)
    assert f"input_notebook: '{name}' has a brace in its name" in problem


@pytest.mark.parametrize(
    ("given", "why"), [("", ""), (None, ""), ("None", ": it is 'None', as a template writes it"), (" ", ": it is ' '")]
)
def test_a_notebook_that_is_not_named_says_why_it_may_be(refused, given, why):
    (problem,) = refused(input_notebook=given)
    assert problem.startswith(f"input_notebook is not set{why}")
    assert "give the path of a notebook" in problem


def test_what_is_no_notebook_by_its_name_is_refused(refused, write):
    write({"nb.py": "1"})
    (problem,) = refused(input_notebook="nb.py")
    assert problem == "input_notebook: 'nb.py' is no Jupyter notebook (.ipynb)"


def test_the_text_of_a_script_in_place_of_its_path_is_told(refused, write):
    write({"nb.ipynb": notebook("1")})
    (problem,) = refused(initialization_script=f"pip install {'x' * 200}\necho done\n")
    assert "must be the path of a script, not its text ('pip install xxx" in problem
    assert len(problem) < 300


def test_a_scripts_name_is_told_to_the_driver(prepare, write):
    write({"nb.ipynb": notebook("1"), "sub/setup.sh": "true"})
    job = prepare(initialization_script="sub/setup.sh")
    assert job.request(0)["Environment"]["SM_INIT_SCRIPT"] == "setup.sh"
    assert names(job) == ["nb.ipynb", "setup.sh"]


def test_a_script_with_the_line_endings_of_windows_is_a_warning(prepare, write):
    write({"nb.ipynb": notebook("1"), "dos.sh": "true\r\n", "unix.sh": "true\n"})
    (warning,) = prepare(initialization_script="dos.sh").warnings
    assert "dos.sh' has Windows line endings" in warning
    assert prepare(initialization_script="unix.sh").warnings == ()


def test_everything_that_cannot_be_found_is_told_at_once(refused):
    problems = refused(additional_dependencies=["a.csv", "b.csv"], initialization_script="c.sh")
    assert [re.search(r"there is no '([^']*)'", problem)[1] for problem in problems] == [
        "nb.ipynb",
        "a.csv",
        "b.csv",
        "c.sh",
    ]


def test_dependencies_that_are_no_paths_are_told(refused, write):
    write({"nb.ipynb": notebook("1")})
    (problem,) = refused(additional_dependencies=5)
    assert problem.startswith("additional_dependencies: ")


@pytest.mark.parametrize(("size", "is_read"), [(1024**2, True), (1024**2 + 1, False)])
def test_a_script_is_looked_through_up_to_a_mebibyte(prepare, write, size, is_read):
    """A longer one was not written by hand."""
    source = "import helpers\n"
    write({"nb.ipynb": notebook("%run prep.py"), "prep.py": source + "#" * (size - len(source)), "helpers.py": ""})
    assert bool(prepare().warnings) is is_read


@pytest.mark.parametrize("word", ["sagemaker_headless_execution", "SM_EXECUTION_INPUT_PATH", "/home/sagemaker-user"])
def test_a_notebook_that_names_a_place_of_jobs_finds_what_is_listed_beside_it(prepare, write, word):
    write({"notebooks/main.ipynb": notebook(f"open('../data/a.csv' if here else '{word}')"), "data/a.csv": "1"})
    job = prepare(input_notebook="notebooks/main.ipynb", additional_dependencies=["data/a.csv"])
    assert names(job) == ["a.csv", "main.ipynb"]


def test_of_a_listed_folder_only_what_the_notebook_names_is_put_above_it(prepare, write):
    write(
        {
            "notebooks/main.ipynb": notebook("open('../data/a.csv')"),
            "data/a.csv": "1",
            "data/a.csv.bak": "2",
            "data/b.csv": "3",
        }
    )
    job = prepare(input_notebook="notebooks/main.ipynb", additional_dependencies=["data"])
    assert names(job) == [
        *("data/a.csv", "notebooks/data/a.csv", "notebooks/data/a.csv.bak", "notebooks/data/b.csv"),
        "notebooks/main.ipynb",
    ]


def test_a_notebook_of_another_language_gets_no_cell_of_ours(prepare, write):
    body = notebook("x <- 1", kernel="ir", language="R")
    write({"nb.ipynb": body})
    job = prepare()
    assert [file.read() for file in job.files] == [body]
    assert job.added_cells == ()


def test_a_notebook_that_needs_no_cell_of_ours_is_staged_as_it_is(prepare, write):
    body = notebook("x = 1")
    write({"nb.ipynb": body})
    assert [file.read() for file in prepare().files] == [body]
    assert [file.read() == body for file in prepare(outputs=["x"]).files] == [False]


def test_what_is_run_by_an_absolute_path_is_not_staged_though_it_exists(prepare, write, dags):
    """A job has no such path, unless its image has."""
    write({"nb.ipynb": notebook(f"%run {dags}/prep.ipynb"), "prep.ipynb": notebook("1")})
    job = prepare()
    assert names(job) == ["nb.ipynb"]


def test_a_notebook_that_is_run_twice_is_staged_once(prepare, write):
    write(
        {
            "nb.ipynb": notebook("%run a.ipynb\n%run a.ipynb", "%run b.ipynb"),
            "a.ipynb": notebook("1"),
            "b.ipynb": notebook("%run a.ipynb"),
        }
    )
    assert names(prepare()) == ["a.ipynb", "b.ipynb", "nb.ipynb"]
    assert names(prepare(additional_dependencies=["a.ipynb"])) == ["a.ipynb", "b.ipynb", "nb.ipynb"]


# -- the words of warnings -----------------------------------------------------------------------------------------------


def test_each_path_of_a_machine_is_named_once_with_its_cell(prepare, write):
    write({"nb.ipynb": notebook("%run /home/me/a.py\n%run /home/me/a.py", "x = 1", "%run /home/me/b.py")})
    (warning,) = prepare().warnings
    assert warning == (
        "'nb.ipynb' runs '/home/me/a.py' (cell 1), '/home/me/b.py' (cell 3): a job has no such path, unless its image has; "
        "put the file beside the notebook and run it by its name"
    )


def test_a_file_that_two_notebooks_read_is_named_once(prepare, write):
    write(
        {
            "nb.ipynb": notebook("%run a.ipynb", "open('data.csv')"),
            "a.ipynb": notebook("open('data.csv')", "open('more.csv')"),
            "data.csv": "",
            "more.csv": "",
        }
    )
    first, second = prepare().warnings
    assert first.startswith("'nb.ipynb' mentions what lies beside the notebook but is not shipped: 'data.csv';")
    assert second.startswith("'a.ipynb' mentions what lies beside the notebook but is not shipped: 'more.csv';")


def test_of_a_folder_and_a_file_in_it_the_folder_is_named(prepare, write):
    write({"nb.ipynb": notebook("open('data/a.csv')", "list(Path('data').glob('*'))"), "data/a.csv": ""})
    (warning,) = prepare().warnings
    assert "not shipped: 'data'; list 'data' in" in warning


def test_what_lies_outside_of_the_dags_folder_is_listed_by_its_whole_path(prepare, dags):
    (dags.parent / "elsewhere").mkdir()
    (dags.parent / "elsewhere" / "nb.ipynb").write_bytes(notebook("open('data.csv')"))
    (dags.parent / "elsewhere" / "data.csv").write_text("1")
    path = dags.parent / "elsewhere"
    (warning,) = prepare(input_notebook=str(path / "nb.ipynb")).warnings
    assert advised(warning) == [str(path / "data.csv")]
    assert prepare(input_notebook=str(path / "nb.ipynb"), additional_dependencies=advised(warning)).warnings == ()


@pytest.mark.parametrize("source", ["exec('x = 1')", "from helpers import *", "%%capture x\n1"])
def test_an_output_that_may_be_assigned_unseen_is_not_warned_of(prepare, write, source):
    write({"nb.ipynb": notebook(source)})
    assert not any("is assigned by no cell" in warning for warning in prepare(outputs=["x"]).warnings)


def test_each_output_that_no_cell_assigns_is_named(prepare, write):
    write({"nb.ipynb": notebook("accuracy = 1")})
    first, second = prepare(outputs=["accuracy", "acuracy", "zzz"]).warnings
    assert first.startswith("output 'acuracy' is assigned by no cell")
    assert first.endswith("; did you mean 'accuracy'?")
    assert second.startswith("output 'zzz' is assigned by no cell")


def test_a_package_is_named_by_its_folder_and_a_module_of_the_standard_library_never(prepare, write):
    write(
        {
            "nb.ipynb": notebook("import pkg, space.part, json, other"),
            **dict.fromkeys(("pkg/__init__.py", "space/part.py", "json/__init__.py", "other/data.csv"), ""),
        }
    )
    (warning,) = prepare().warnings
    assert "not shipped: 'json', 'pkg', 'space';" in warning


def test_what_a_listed_script_imports_is_looked_for_in_its_own_folder_too(prepare, write):
    write({"nb.ipynb": notebook("1"), "lib/a.py": "import b", "lib/b.py": "", "b.py": ""})
    assert prepare(additional_dependencies=["lib"]).warnings == ()


def test_scripts_from_s3_are_not_read_for_their_imports(prepare, write, clients):
    write({"nb.ipynb": notebook("1"), "helpers.py": ""})
    clients.objects.bodies["s3://code/prep.py"] = b"import helpers"
    assert prepare(additional_dependencies=["s3://code/prep.py"]).warnings == ()


def test_a_listed_script_that_is_no_utf_8_is_read_as_far_as_it_is(prepare, write):
    write({"nb.ipynb": notebook("1"), "prep.py": b"# \xe4\nimport helpers\n", "helpers.py": ""})
    (warning,) = prepare(additional_dependencies=["prep.py"]).warnings
    assert warning.startswith("'prep.py' mentions what lies beside the notebook but is not shipped: 'helpers.py'")


def test_a_module_deep_in_folders_without_a_package_is_named_by_the_outermost(prepare, write):
    write({"nb.ipynb": notebook("import space.part.deep"), "space/part/deep.py": ""})
    (warning,) = prepare().warnings
    assert "not shipped: 'space';" in warning
