"""What a notebook executes with ``%run``: found however it is written, and missed only where nothing can have made it."""

import pytest
from cells import notebook_of

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.run_targets import RunTarget, _steps, collect_run_targets, machine_paths


def run_targets(nb):
    return tuple(dict.fromkeys(step.shown for step in _steps(nb) if isinstance(step, RunTarget)))


def test_run_targets_are_found_as_ipython_reads_them():
    nb = notebook_of(
        "%run 'prepare test.ipynb'\n%run ./b.ipynb -n 5\nif True:\n    %run -i c.ipynb",
        "run d.ipynb\n%run e.py arg\n%run tools\n%run -t -N 3 f.ipynb # comment\n%run b.ipynb",
        "%%time\n%run ../shared/g.ipynb",
    )
    assert run_targets(nb) == (
        *("prepare test.ipynb", "b.ipynb", "c.ipynb", "d.ipynb", "e.py", "tools.py", "f.ipynb"),
        "../shared/g.ipynb",
    )


def test_what_is_not_literally_run_is_no_run_target():
    nb = notebook_of(
        "text = '''\n%run in-a-string.ipynb\n'''\n# %run comment.ipynb",
        "%run {name}.ipynb\n%run $name.ipynb\n%run -m module\n%run /opt/ml/x.ipynb\n%run ~/x.ipynb\n%run 's3://b/x.ipynb'\n%run",
        "%%writefile x.py\n%run written.ipynb",
        "%%bash\nrun y.ipynb",
        "%run 'unclosed.ipynb",
    )
    assert run_targets(nb) == ()


def test_run_targets_are_followed_from_notebook_to_notebook():
    files = {
        "a.ipynb": notebook_of("%run sub/b.ipynb\n%run x.py"),
        "sub/b.ipynb": notebook_of("%run c.ipynb"),
        "c.ipynb": notebook_of("1"),
    }
    found = collect_run_targets(
        "nb.ipynb", notebook_of("%run ./a.ipynb\n%run c.ipynb"), files.get, {"x.py"}.__contains__
    )
    assert found.notebooks == files
    assert found.files == ("x.py",)
    assert found.problems == ()


@pytest.mark.parametrize(
    ("line", "there", "meant"),
    [
        ("%run ./setup", "setup.ipynb", "setup.ipynb"),
        ("%run ./common/setup", "common/setup.ipynb", "common/setup.ipynb"),
        ("%run ../setup", "../setup.ipynb", "../setup.ipynb"),
        ("%cd common\n%run setup", "common/setup.ipynb", "setup.ipynb"),
        ("%run setup.py", "setup.ipynb", "setup.ipynb"),
    ],
)
def test_a_notebook_that_is_run_without_its_suffix_is_named(line, there, meant):
    """As Databricks writes it; IPython itself looks for a script of that name alone."""
    found = collect_run_targets("nb.ipynb", notebook_of(line), lambda _: None, {there}.__contains__)
    (said,) = (*found.problems, *found.warnings)
    assert said.endswith(f"'{meant}' is there: write %run {meant}")


def test_missing_run_targets_are_named_with_notebook_and_cell():
    def load(name):
        if name == "bad.ipynb":
            raise NotebookJobConfigError("'bad.ipynb' is empty")
        return {"a.ipynb": notebook_of("1", "%run gone.ipynb")}.get(name)

    nb = notebook_of("x", "%run a.ipynb\n%run gone.py\n%run bad.ipynb")
    problems = collect_run_targets("nb.ipynb", nb, load, lambda _: False).problems
    assert len(problems) == 3
    assert "'gone.ipynb' is missing: cell 2 of 'a.ipynb' runs it" in problems[0]
    assert "'gone.py' is missing: cell 2 of 'nb.ipynb' runs it" in problems[1]
    assert problems[2] == "'bad.ipynb' is empty (cell 2 of 'nb.ipynb' runs it)"


def test_a_run_cycle_is_named_with_its_path():
    files = {"a.ipynb": notebook_of("%run b.ipynb"), "b.ipynb": notebook_of("%run nb.ipynb\n%run b.ipynb")}
    problems = collect_run_targets("nb.ipynb", notebook_of("%run a.ipynb"), files.get, lambda _: False).problems
    assert problems == (
        "%run goes in a circle: 'nb.ipynb' → 'a.ipynb' → 'b.ipynb' → 'nb.ipynb' (cell 1 of 'b.ipynb')",
        "%run goes in a circle: 'b.ipynb' → 'b.ipynb' (cell 1 of 'b.ipynb')",
    )


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("%time %run x.ipynb", "x.ipynb"),
        ("%timeit -n 1 %run x.py", "x.py"),
        ("%%timeit\n%run x.py", "x.py"),
        ("%%capture out\n%run x.ipynb", "x.ipynb"),
        ("%%time\n  %run x.ipynb\n  y = 1", "x.ipynb"),
        ("%prun %run x.py", "x.py"),
        ("result = %run x.py", "x.py"),
        ("get_ipython().run_line_magic('run', 'x.ipynb')", "x.ipynb"),
        ("get_ipython().magic('run x.ipynb')", "x.ipynb"),
        ("get_ipython().magic('%run -i x.py')", "x.py"),
        ('%run "my file.ipynb"', "my file.ipynb"),
        ("%run x.py arg 'an other' # don't", "x.py"),
        ("%run \\\n  x.py", "x.py"),
        ("run x", "x.py"),
        ("    %run x.ipynb", "x.ipynb"),
    ],
)
def test_a_run_target_is_found_however_it_is_written(source, target):
    assert run_targets(notebook_of(source)) == (target,)


@pytest.mark.parametrize(
    "source", ["x = ('a'\n%run % 2)", "print('%run x.ipynb')", "# get_ipython().magic('run x.py')", "%run?"]
)
def test_what_only_looks_like_a_run_target_is_none(source):
    assert run_targets(notebook_of(source)) == ()


def missing(*sources, **arguments):
    return collect_run_targets("nb.ipynb", notebook_of(*sources), lambda _: None, lambda _: False, **arguments)


MAKERS = [
    *("%%writefile prep.py\nx = 1", "%%file prep.py\nx = 1", "%%writefile {name}.py", "!git clone https://x/y"),
    *("!wget -q https://x/prep.py", "!curl -O https://x/prep.py", "!aws s3 cp s3://b/prep.py .", "!unzip -o code.zip"),
    *(
        "!tar xf code.tar",
        "!cp /opt/prep.py .",
        "!mv a.py prep.py",
        "!touch prep.py",
        "!echo 'x = 1' > prep.py",
        "!!make",
    ),
    *("x = !git clone https://x/y", "%cd sub", "%cd $folder", "import os\nos.chdir('sub')", "%sx make", "%time !make"),
    *("open('prep.py', 'w').write('x = 1')", "open(name, mode='w')", "Path('prep.py').write_text('')", "exec(code)"),
    *(
        "!pip list && make",
        "subprocess.run(['make'])",
        "os.system('make')",
        "shutil.copy('a/prep.py', '.')",
        "%%time\n!make",
    ),
    *(
        "s3.download_file('b', 'prep.py', 'prep.py')",
        "zipfile.ZipFile('c.zip').extractall()",
        "%%bash\nmake",
        "%%perl\n1",
    ),
    *(
        "%%sh\npip list\ncp a b",
        "%%script bash\nmake",
        "%run {other}\n!make",
        "urllib.request.urlretrieve(url, 'prep.py')",
    ),
    *(
        "%download prep.py",
        "nbformat.write(nb, 'prep.py')",
        "get_ipython().system('make')",
        "Repo.clone_from(url, 'x')",
    ),
    *("if a:\n    !make", "def f():\n    os.system('make')", "x = (\n  1\n)\n!make"),
]


@pytest.mark.parametrize("before", MAKERS)
def test_a_missing_target_is_a_warning_where_something_before_it_may_make_it(before):
    found = missing(before, "%run prep.py")
    assert found.problems == ()
    (warning,) = found.warnings
    assert warning.startswith(
        "'prep.py' is not there: cell 2 of 'nb.ipynb' runs it with %run; cell 1 of 'nb.ipynb' may make it ("
    )
    after = missing("%run prep.py", before)
    assert len(after.problems) == 1, "what comes after cannot have made it"


@pytest.mark.parametrize(
    "before",
    [
        *(
            "%%writefile other.py\nx = 1",
            "!pip install 'pandas>=2' \"numpy>1\"",
            "!ls -l 2>&1",
            "!nvidia-smi > /dev/null",
        ),
        *("%pip install x", "x = !ls", "open('prep.py').read()", "open('data.csv', 'w').write('')", "open(path, 'rb')"),
        *("df.to_csv('x.csv')", "text.replace('a', 'b')", "%matplotlib inline", "%load_ext autoreload\n%autoreload 2"),
        *("model.run(x)", "%%bash\npip list\necho done", "!python -m pip install -U pip", "%%html\n<b>", "%time f()"),
        *(
            "%env A=b",
            "joblib.dump(model, 'm.joblib')",
            "plt.savefig('x.png')",
            "!sudo apt-get install -y x",
            "f(x) # !make",
        ),
        *(
            "Path('x.csv').write_text('')",
            "text = '''\n!make\n'''",
            "!aws s3 ls",
            "!git status",
            "?open",
            "json.dump(x, f)",
        ),
        *(
            "!AWS_REGION=x aws sts get-caller-identity",
            "%%latex\nx",
            "import make",
            "get_ipython().system('ls')",
            "get_ipython().run_line_magic('matplotlib', 'inline')",
            "x = 7 \\\n% make",
        ),
    ],
)
def test_a_missing_target_is_an_error_where_nothing_before_it_can_make_it(before):
    found = missing(before, "%run prep.py")
    assert found.warnings == ()
    assert found.problems == (
        "'prep.py' is missing: cell 2 of 'nb.ipynb' runs it with %run; put it beside the notebook or list it in additional_dependencies",
    )


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    %run prep.py\nexcept Exception:\n    pass",
        "if False:\n    %run prep.py",
        "if x:\n    pass\nelse:\n    %run prep.py",
        "for x in y:\n    %run prep.py",
        "def f():\n    %run prep.py",
        "while x:\n    get_ipython().run_line_magic('run', 'prep.py')",
    ],
)
def test_a_missing_target_is_a_warning_where_it_may_not_be_run(source):
    found = missing(source)
    assert found.problems == ()
    assert "that line may be skipped, or its failure be caught" in found.warnings[0]


def test_a_missing_target_is_a_warning_where_its_cell_may_raise():
    nb = notebook_of("%run prep.py")
    nb.cells[0].metadata["tags"] = ["raises-exception"]
    found = collect_run_targets("nb.ipynb", nb, lambda _: None, lambda _: False)
    assert (found.problems, len(found.warnings)) == ((), 1)


@pytest.mark.parametrize("source", ["with a as b:\n    %run prep.py", "if a:\n    b = 1\n%run prep.py"])
def test_a_missing_target_is_an_error_where_nothing_keeps_it_from_being_run(source):
    assert len(missing(source).problems) == 1


def test_what_a_notebook_or_script_that_is_run_before_does_counts():
    files = {"a.ipynb": notebook_of("!make"), "b.ipynb": notebook_of("1")}
    made = collect_run_targets("nb.ipynb", notebook_of("%run a.ipynb\n%run prep.py"), files.get, lambda _: False)
    assert "cell 1 of 'a.ipynb' may make it (!make)" in made.warnings[0]
    plain = collect_run_targets("nb.ipynb", notebook_of("%run b.ipynb\n%run prep.py"), files.get, lambda _: False)
    assert len(plain.problems) == 1
    scripts = {"c.py": "open('prep.py', 'w')"}
    script = collect_run_targets(
        "nb.ipynb", notebook_of("%run c\n%run prep"), files.get, scripts.__contains__, read_text=scripts.get
    )
    assert script.files == ("c.py",)
    assert "may make it (open('prep.py', 'w'))" in script.warnings[0]


def test_a_target_is_found_in_the_folder_that_the_notebook_enters():
    files = {"lib/a.ipynb": notebook_of("1"), "b.ipynb": notebook_of("2")}
    nb = notebook_of("%cd lib\n%run a.ipynb\n%cd ..\n%run b.ipynb")
    found = collect_run_targets("nb.ipynb", nb, files.get, lambda _: False)
    assert (list(found.notebooks), found.problems, found.warnings) == (["lib/a.ipynb", "b.ipynb"], (), ())


def test_a_name_without_suffix_is_looked_for_as_ipython_does():
    for there, expected in (({"tools", "tools.py"}, "tools"), ({"tools.py"}, "tools.py"), ({"a.b.py"}, "a.b.py")):
        nb = notebook_of("%run a.b" if "a.b.py" in there else "%run tools")
        assert collect_run_targets("nb.ipynb", nb, lambda _: None, there.__contains__).files == (expected,)


def test_missing_targets_are_warnings_when_asked_for_or_when_a_script_runs_before_the_notebook():
    assert missing("%run prep.py", missing="warn").problems == ()
    assert "'prep.py' is missing" in missing("%run prep.py", missing="warn").warnings[0]
    assert "the script may make it" in missing("%run prep.py", maker="the script may make it").warnings[0]


def test_paths_of_a_persons_machine_are_told_from_those_of_a_job():
    nb = notebook_of(
        "%run /home/me/x.ipynb\n%run ~/y.py\n%run x.ipynb\n%run /opt/ml/code/z.py",
        r"%run 'C:\me\x.py'",
        "%run /home/{me}.py",
    )
    assert list(machine_paths(nb)) == [(1, "/home/me/x.ipynb"), (1, "~/y.py"), (2, r"C:\me\x.py")]


def test_whatever_is_given_the_name_of_the_target_may_make_it():
    """Each store has functions of its own that fetch a file; only where it is fetched to is common to all."""
    found = missing("fs.get('s3://bucket/code/prep.py', 'prep.py')", "%run prep.py")
    assert found.problems == ()
    assert "may make it (fs.get('s3://bucket/code/prep.py', 'prep.py'))" in found.warnings[0]
    assert missing("print('next is', 'prep.py')", "%run prep.py").problems != ()


def collected(source, *there, notebooks=(), **arguments):
    files = dict.fromkeys(notebooks, notebook_of("1"))
    return collect_run_targets("nb.ipynb", notebook_of(source), files.get, set(there).__contains__, **arguments)


@pytest.mark.parametrize(
    ("line", "there", "files"),
    [
        ("%run a", {"a.py"}, ("a.py",)),
        ("%run a", {"a"}, ("a",)),
        ("%run a.py", {"a.py"}, ("a.py",)),
        ("%run lib/../a.py", {"a.py"}, ("a.py",)),
        ("%cd lib\n%run a.py", {"a.py", "lib/a.py"}, ("lib/a.py",)),  # the folder that it has entered comes first
        ("%cd lib\n%run a.py", {"a.py"}, ("a.py",)),
        ("%cd lib\n%cd x\n%run a.py", {"lib/x/a.py"}, ("lib/x/a.py",)),
        ("%cd lib\n%run ../a.py", {"a.py"}, ("a.py",)),
        ("%run a.py\n%run ./a.py", {"a.py"}, ("a.py",)),
        ("%run -t -N 3 -i a.py x y", {"a.py"}, ("a.py",)),
        ("%run -p -s cumulative -l 5 a.py", {"a.py"}, ("a.py",)),
        ("%run -d -b 3 a.py", {"a.py"}, ("a.py",)),
        ("%run a.py 2", {"a.py"}, ("a.py",)),
    ],
)
def test_a_script_is_found_where_ipython_looks_for_it(line, there, files):
    found = collected(line, *there)
    assert (found.files, found.problems, found.warnings) == (files, (), ())


@pytest.mark.parametrize(
    "line", ["%run -m a", "%run -m", "%run # a.py", "%run -i", "%run C:/a.py", "%run ?", "%run a*.py", "%run ~me/a.py"]
)
def test_what_names_no_file_beside_the_notebook_is_left_to_the_kernel(line):
    found = collected(line)
    assert (found.files, found.problems, found.warnings) == ((), (), ())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "%run a",
            "'a.py' is missing: cell 1 of 'nb.ipynb' runs it with %run; put it beside the notebook or list it in",
        ),
        ("%run a.b", "'a.b' is missing: cell 1"),
        ("%run ./lib/a.py", "'lib/a.py' is missing: cell 1"),
        (
            "%run ../a.py",
            "'../a.py' is missing: cell 1 of 'nb.ipynb' runs it with %run; above the notebook's folder, a job has",
        ),
    ],
)
def test_a_file_that_is_missing_is_named_with_what_to_do(line, said):
    (problem,) = collected(line).problems
    assert problem.startswith(said)


def test_a_file_that_is_missing_is_said_once_a_cell():
    nb = notebook_of("%run a.py\n%run a.py", "%run a.py")
    found = collect_run_targets("nb.ipynb", nb, lambda _: None, lambda _: False)
    assert [problem.split(" runs")[0] for problem in found.problems] == [
        "'a.py' is missing: cell 1 of 'nb.ipynb'",
        "'a.py' is missing: cell 2 of 'nb.ipynb'",
    ]


def test_a_notebook_meant_is_named_beside_what_may_make_the_script():
    (warning,) = collected("!make\n%run setup", "setup.ipynb").warnings
    assert warning.endswith("(!make), else the notebook fails there; 'setup.ipynb' is there: write %run setup.ipynb")
    (warning,) = collected("!make\n%run setup").warnings
    assert warning.endswith("(!make), else the notebook fails there")
    (problem,) = collected("%run setup.ipynb", "setup.ipynb.ipynb").problems
    assert "write %run" not in problem


def test_a_circle_is_no_problem_where_the_line_may_not_run():
    for source, count in (("%run nb.ipynb", 1), ("if x:\n    %run nb.ipynb", 0), ("%run ../x/nb.ipynb", 1)):
        found = collect_run_targets("./nb.ipynb", notebook_of(source), lambda _: None, lambda _: False)
        assert len(found.problems) == count
        assert found.notebooks == {}


def test_a_notebook_that_cannot_be_read_is_a_problem_of_the_cell_that_runs_it():
    def load(name):
        raise NotebookJobConfigError(f"'{name}' is empty")

    found = collect_run_targets("nb.ipynb", notebook_of("1", "%run a.ipynb\n%run a.ipynb"), load, lambda _: False)
    assert found.problems == ("'a.ipynb' is empty (cell 2 of 'nb.ipynb' runs it)",)


def test_what_is_run_more_than_once_is_loaded_once():
    loaded = []

    def load(name):
        loaded.append(name)
        return notebook_of("%run b.ipynb") if name != "b.ipynb" else notebook_of("1")

    nb = notebook_of("%run a.ipynb\n%run a.ipynb\n%run b.ipynb")
    assert list(collect_run_targets("nb.ipynb", nb, load, lambda _: False).notebooks) == ["a.ipynb", "b.ipynb"]
    assert loaded == ["a.ipynb", "b.ipynb"]


def test_what_a_script_makes_counts_for_the_files_after_it():
    scripts = {"c.py": "open('prep.py', 'w')"}
    nb = notebook_of("%run prep.py\n%run c.py")
    before = collect_run_targets("nb.ipynb", nb, lambda _: None, scripts.__contains__, read_text=scripts.get)
    assert (len(before.problems), before.warnings) == (1, ())
    unread = collect_run_targets(
        "nb.ipynb", notebook_of("%run c.py\n%run prep.py"), lambda _: None, scripts.__contains__
    )
    assert len(unread.problems) == 1


@pytest.mark.parametrize(
    ("source", "may_fail"),
    [
        ("async for x in y:\n    %run a.py", True),
        ("try:\n    pass\nexcept* E:\n    %run a.py", True),
        ("match x:\n    case 1:\n        %run a.py", True),
        ("async def f():\n    %run a.py", True),
        ("class A:\n    %run a.py", False),
        ("if x:\n    pass\n%run a.py\nif y:\n    pass", False),
        ("for x in y: pass\n%run a.py", False),
    ],
)
def test_a_line_within_a_block_may_not_be_run(source, may_fail):
    found = collected(source)
    assert (len(found.problems), len(found.warnings)) == ((0, 1) if may_fail else (1, 0))


@pytest.mark.parametrize(
    ("line", "is_machines"),
    [
        ("%run /home/me/x.py", True),
        ("%run C:/me/x.py", True),
        ("%run ~/x.py", True),
        ("%run /tmp/x.py", False),
        ("%run /usr/x.py", False),
        ("%run /home/sagemaker-user/x.py", False),
        ("%run {home}/x.py", False),
        ("%run x.py", False),
        ("%run -m /x", False),
        ("%timeit %run /home/me/x.py", True),
    ],
)
def test_an_absolute_path_is_a_machines_where_no_job_has_it(line, is_machines):
    assert bool(list(machine_paths(notebook_of(line)))) is is_machines
