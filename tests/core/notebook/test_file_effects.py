"""What a cell may do to the files beside a notebook, and to its working directory."""

import pytest

from airflow_nbjobs.core.notebook.cell_syntax import split_cell
from airflow_nbjobs.core.notebook.file_effects import FileEffect, file_effects

ANY = "any file"


def effects(source):
    found = sorted(file_effects(split_cell(source)), key=lambda effect: effect.line)
    return [(effect.line, ANY if effect.makes is None else effect.makes) for effect in found]


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("%%writefile -a lib/prep.py\nx", [(1, {"prep.py"})]),
        ("%%file 'my prep.py'\nx", [(1, {"my prep.py"})]),
        ("%%writefile\nx", [(1, ANY)]),
        ("%%writefile $name\nx", [(1, ANY)]),
        ("%%bash\nls\nmake \\\n  all\necho", [(3, ANY)]),
        ("%%! make\nls", [(1, ANY)]),
        ("%%sx\nmake", [(2, ANY)]),
        ("%%perl\nx", [(1, ANY)]),
        ("%%sql\nx", []),
        ("a = 1\n!make", [(2, ANY)]),
        ("!!ls", []),
        ("%cd lib", [(1, ANY)]),
        ("%sx make", [(1, ANY)]),
        ("%system ls", []),
        ("%store -r x", []),
        ("%prun f()", []),
        ("%unknown x", [(1, ANY)]),
        ("open?", []),
        ("f(x,\n  y)\nopen('a.py', 'w')", [(3, ANY)]),
        ("open('a.csv', 'x')", [(1, {"a.csv"})]),
        ("open('a.csv', 'r+')", [(1, {"a.csv"})]),
        ("open('a.csv', mode)", [(1, {"a.csv"})]),
        ("open(path, mode=mode)", [(1, ANY)]),
        ("open(path, **options)", [(1, ANY)]),
        ("open('a.csv')", []),
        ("open('a.csv', encoding='utf-8')", []),
        ("io.open('a.csv', 'w')", [(1, {"a.csv"})]),
        ("codecs.open('a.csv', 'r')", []),
        ("Path('a.csv').open('w')", [(1, {"a.csv"})]),
        ("Path('a.csv').open()", []),
        ("subprocess.run(['ls'])", [(1, ANY)]),
        ("subprocess.call('ls')", [(1, ANY)]),
        ("model.run(x)", []),
        ("self.subprocess.run(x)", []),
        ("os.replace('a.csv', 'b.csv')", [(1, {"a.csv", "b.csv"})]),
        ("text.replace('a.csv', 'b.csv')", []),
        ("nbformat.write(nb, 'a.csv')", [(1, {"a.csv"})]),
        ("f.write(x)", []),
        ("shutil.copy('x/a.csv', 'lib/b.csv')", [(1, {"a.csv", "b.csv"})]),
        ("shutil.copy(a, b)", [(1, ANY)]),
        ("df.save_to(name + '.py')", [(1, ANY)]),
        ("download()", [(1, ANY)]),
        ("prefetch_all('a.csv')", [(1, ANY)]),
        ("zip.extractall('a')", [(1, ANY)]),
        ("fs.get('s3://b/x.py', 'lib/x.py')", [(1, {"x.py"})]),
        ("fs.get('x.py')", []),
        ("fs.get('x.py', 'y.csv')", []),
        ("os.path.exists('a', 'x.py')", []),
        ("%timeit open('a.csv', 'w')", [(1, {"a.csv"})]),
        ("get_ipython().run_line_magic('cd', 'lib')", [(1, ANY)]),
        ("get_ipython().run_line_magic('matplotlib', 'inline')", []),
        ("get_ipython().magic('%cd lib')", [(1, ANY)]),
        ("get_ipython().getoutput('ls')", []),
        ("get_ipython().getoutput('make')", [(1, ANY)]),
        ("get_ipython().run_line_magic(name, 'x')", [(1, ANY)]),
        ("shell.system('ls')", [(1, ANY)]),
    ],
)
def test_what_may_make_a_file_is_found_with_its_line_and_the_names_that_are_literal(source, made):
    assert effects(source) == made


@pytest.mark.parametrize(
    ("command", "may_make"),
    [
        ("ls -l", False),
        ("sudo ls", False),
        ("sudo time A=b ls", False),
        ("exec ls", False),
        ("ls | grep x || true", False),
        ("ls; make", True),
        ("ls & make", True),
        ("ls | tee x", True),
        ("echo x > a.txt", True),
        ("echo x >> a.txt", True),
        ("echo x 2>&1", False),
        ("echo x > /dev/null 2>&1", False),
        ("echo x &> /dev/null", False),
        ("echo `make`", True),
        ("echo $(make)", True),
        ("pip install 'a>=2' \"b>1\"", False),
        ("python -m pip install x", False),
        ("python3.11 -m venv x", False),
        ("python -V", False),
        ("python a.py", True),
        ("git status", False),
        ("git pull", True),
        ("aws s3 ls", False),
        ("aws s3 cp a b", True),
        ("uv pip install x", False),
        ("jupyter kernelspec list", False),
        ("node --version", False),
        ("node --version x", True),
        ("# make", False),
        ("", False),
        ("lsx", True),
    ],
)
def test_a_command_makes_a_file_unless_it_is_known_not_to(command, may_make):
    assert bool(effects(f"%%bash\n{command}")) is may_make
    assert bool(effects(f"x = 1\n!{command}")) is may_make


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("%cd lib/x", "lib/x"),
        ("%cd 'my lib'", "my lib"),
        ("%pushd ..", ".."),
        ("%cd $x", None),
        ("%cd {x}", None),
        ("os.chdir('lib')", "lib"),
        ("os.chdir(path)", None),
        ("os.chdir(os.path.join('a', 'b'))", None),
        ("get_ipython().run_line_magic('cd', 'lib')", "lib"),
        ("os.system('lib')", None),
    ],
)
def test_the_folder_that_is_entered_is_known_where_it_is_literal(source, folder):
    (effect,) = file_effects(split_cell(source))
    assert (effect.enters, effect.makes) == (folder, None)


def test_an_effect_is_shown_on_one_line_of_sixty_characters():
    (effect,) = file_effects(
        split_cell("open('a.csv',\n    'w', encoding='utf-8', errors='surrogateescape', newline='')")
    )
    assert effect.shown == "open('a.csv', 'w', encoding='utf-8', errors='surrogateescape…"
    (effect,) = file_effects(split_cell("%%bash\n  make   all  "))
    assert effect.shown == "%%bash: make all"


def test_a_file_is_meant_by_its_name_in_whatever_folder():
    named = FileEffect(1, "x", frozenset({"prep.py"}))
    assert [named.may_make(name) for name in ("prep.py", "lib/prep.py", "../prep.py", "other.py")] == [True] * 3 + [
        False
    ]
    assert FileEffect(1, "x", None).may_make("other.py")
