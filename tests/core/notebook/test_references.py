"""What a notebook names of the world beside it, as far as literals show it."""

from collections import Counter

import pytest
from cells import notebook_of

from airflow_nbjobs.core.notebook.references import _Found, code_references, script_imports


def test_references_name_modules_and_files_that_literals_show():
    nb = notebook_of(
        "import toolbox, numpy as np\nfrom package.sub import f\nimport importlib\nimportlib.import_module('plugin.x')",
        "open('data/train.csv')\npd.read_csv('./test.csv')\nopen('/abs/x.csv'); open('s3://b/y.csv'); print('Done. ok')",
        "f'{x}.parquet'\nversion = '1.2.3'\n!pip install -r requirements.txt\n!aws s3 cp in.txt s3://b/in.txt",
        "def f():\n    import lazy\n    from . import relative",
    )
    found = code_references(nb)
    assert {name.partition(".")[0] for name in found.imports} == {
        "toolbox",
        "numpy",
        "package",
        "importlib",
        "plugin",
        "lazy",
    }
    assert found.file_names >= {"data/train.csv", "test.csv", "requirements.txt", "in.txt"}
    assert not {name for name in found.file_names if name.startswith(("/", "s3:", "1."))}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("run(source_dir='./scripts', entry_point='scripts/fit.py')", {"scripts", "scripts/fit.py"}),
        ("open('../shared/data.csv')", {"../shared/data.csv"}),
        ("os.listdir('data/')", {"data"}),
        ("os.listdir('data')", {"data"}),
        ("fit(source_dir='src')", {"src"}),
        ("glob('data/*.csv')", {"data"}),
        ("Path('data') / 'train.csv'", {"data/train.csv"}),
        ("DATA = Path('data')\nread(DATA / 'a' / 'b.csv')", {"data/a/b.csv"}),
        ("os.path.join('data', 'train.csv')", {"data/train.csv"}),
        ("DATA_DIR = 'data'\nread(os.path.join(DATA_DIR, 'a.csv'))", {"data/a.csv"}),
        ("DATA_DIR = 'data'\nread(DATA_DIR)", {"data"}),
        ("DATA_DIR = 'data'", {"data"}),
        ("name = 'data'", set()),
        ("read(f'data/{day}.csv')", {"data"}),
        ("FOLDER = 'data'\nread(f'{FOLDER}/a.csv')", {"data/a.csv"}),
        ("FOLDER = 'data'\nread(f'{FOLDER}/{day}.csv')", {"data"}),
        ("print(f'{a}/{b}')", set()),
        ("%pip install ./package", {"package"}),
        ("read('data/' + 'a.csv')", {"data/a.csv"}),
        ("%%bash\npython train.py --config conf.yaml --out=x", {"train.py", "conf.yaml"}),
        ("%%bash\n# python old.py\n./run.sh data/", {"run.sh", "data"}),
        ("%%sh\nbash lib/run.sh", {"lib/run.sh"}),
        ("!python train.py \\\n  --data in.csv", {"train.py", "in.csv"}),
        ("files = !cat names.txt", {"names.txt"}),
        ("%pip install -r requirements.txt", {"requirements.txt"}),
        ("%run a.py data.csv", {"a.py", "data.csv"}),
        ("sys.path.append('lib')", {"lib"}),
        ("sys.path.insert(0, os.path.abspath('./lib'))", {"lib"}),
        ("x = {'data': 1}['data']\nprint('see report.html')\n'data/x.csv'", set()),
        ("Image('logo.png')", {"logo.png"}),
    ],
)
def test_files_and_folders_are_named_where_a_literal_shows_them(source, names):
    assert code_references(notebook_of(source)).file_names == names


@pytest.mark.parametrize(
    "source",
    [
        *(
            "df.to_csv('x.csv')",
            "open('x.csv', 'w')",
            "%%writefile x.csv\n1",
            "plt.savefig('x.csv')",
            "Path('x.csv').write_text('')",
        ),
        *(
            "!echo 1 > x.csv",
            "!cp a x.csv",
            "!wget -O x.csv https://y",
            "!touch x.csv",
            "s3.download_file('b', 'k', 'x.csv')",
        ),
        *(
            "with Path('x.csv').open('w') as f:\n    pass",
            "np.save('x.csv', a)",
            "joblib.dump(model, 'x.csv')",
            "df.to_csv(path_or_buf='x.csv')",
        ),
        *(
            "OUT = 'x.csv'\ndf.to_csv(OUT)",
            "%%bash\nmake > x.csv",
            "logging.FileHandler('x.csv')",
            "df.to_csv(Path('.') / 'x.csv')",
        ),
        *(
            "if os.path.exists('x.csv'):\n    os.remove('x.csv')\ndf.to_csv('x.csv')",
            "shutil.copy('/a', 'x.csv')",
            "with open('x.csv', mode='w') as f:\n    f.write('')",
        ),
    ],
)
def test_what_the_notebook_writes_before_it_reads_it_is_no_reference(source):
    found = code_references(notebook_of(source, "pd.read_csv('x.csv')"))
    assert "x.csv" not in found.file_names
    assert "x.csv" in found.written


@pytest.mark.parametrize(
    "source", ["df = read('x.csv')\ndf.to_csv('x.csv')", "open('x.csv', 'r')", "!cp x.csv y.csv", "open('x.csv')"]
)
def test_what_it_reads_first_is_one(source):
    assert "x.csv" in code_references(notebook_of(source, "df.to_csv('x.csv')")).file_names


def test_modules_are_named_by_imports_extensions_and_m():
    found = code_references(
        notebook_of(
            "import src.text\nfrom lib import a as b\n%load_ext my_extension\n!python -m tool.main\n%run -m other",
            "%timeit __import__('timed')\nfrom .x import y",
        )
    )
    assert found.imports == {"src.text", "lib", "lib.a", "my_extension", "tool.main", "other", "timed"}
    assert {name.partition(".")[0] for name in found.imports} == {
        "src",
        "lib",
        "my_extension",
        "tool",
        "other",
        "timed",
    }


def test_folders_that_are_searched_for_modules_are_named():
    found = code_references(
        notebook_of("import sys, os\nsys.path.append('..')\nsys.path += ['x']\nsys.path.insert(0, './lib')")
    )
    assert found.search_folders == ("..", "lib")


def test_a_script_names_its_absolute_imports():
    assert script_imports("import a.b\nfrom . import c\nfrom d import e\nif x:\n    import f") == {
        "a.b",
        "d",
        "d.e",
        "f",
    }
    assert script_imports("no Python at all") == frozenset()


@pytest.mark.parametrize(
    "source",
    [
        "s3.download_file('bucket', 'a.csv', 'a.csv')\nread('a.csv')",
        "!aws s3 cp s3://bucket/a.csv .\nread('a.csv')",
        "!aws s3 cp s3://bucket/x/a.csv ./data/ --quiet\nread('data/a.csv')",
        "!aws s3 cp --recursive s3://bucket/x data\nread('data/a.csv')",
        "!aws s3 sync s3://bucket/data data/ --delete\nread('data/a.csv')",
        "!git clone --depth 1 https://example.com/team/repo.git\nread('repo/a.csv')",
        "!git clone https://example.com/team/repo.git mine && ls\nread('mine/a.csv')",
        "!unzip -q /tmp/x.zip -d data\nread('data/a.csv')",
        "!tar xzf /tmp/x.tgz -C data\nread('data/a.csv')",
    ],
)
def test_what_is_brought_from_elsewhere_need_not_be_shipped(source):
    """Such a file often lies beside the notebook as well, from the last run on its author's machine."""
    assert {name for name in code_references(notebook_of(source)).file_names if name.endswith("a.csv")} == set()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("!aws s3 sync data s3://bucket/data\nread('data/a.csv')", {"data/a.csv"}),
        ("!git clone https://example.com/repo.git\nread('repository/a.csv')", {"repository/a.csv"}),
        ("s3.upload_file('a.csv', 'bucket', 'b.csv')", {"a.csv"}),
        ("P = Path('data')\nfor name in P.glob('*.csv'):\n    read(name)", {"data"}),
        ("P = pathlib.Path('data') / 'raw'\nlist(P.iterdir())", {"data/raw"}),
        ("P = Path('data') / 'raw (final)'\nlist(P.iterdir())", {"data/raw (final)"}),
        ("P = Path('') / 'raw'\nlist(P.iterdir())", {"raw"}),
        ("list((Path('data') / 'raw (final)').iterdir())", {"data/raw (final)"}),
        ("%cd sub\nread('a.csv')", {"sub"}),
    ],
)
def test_what_is_only_here_is_named_all_the_same(source, names):
    assert code_references(notebook_of(source)).file_names >= names


def test_what_is_read_before_it_is_brought_is_needed():
    found = code_references(notebook_of("read('data/a.csv')", "!aws s3 sync s3://bucket/data data"))
    assert "data/a.csv" in found.file_names


def test_changing_back_names_no_folder():
    assert code_references(notebook_of("%cd ..", "%cd -", "%cd", "%cd /tmp")).file_names == frozenset()


def test_a_long_sum_is_read_in_no_time(monkeypatch):
    """900 names in one sum took 1.6 million looks."""
    looks = Counter()
    constant = _Found._constant

    def counting(self, node):
        looks["all"] += 1
        return constant(self, node)

    monkeypatch.setattr(_Found, "_constant", counting)
    code_references(notebook_of("total = " + " + ".join(f"a{n}" for n in range(300))))
    assert 0 < looks["all"] < 3000


@pytest.mark.parametrize(
    ("source", "read", "written"),
    [
        ("%%file out.py\nx = 1", set(), {"out.py"}),
        ("%%writefile 'out.py'\nx = 1", set(), {"out.py"}),
        ("%%bash\ncat a.txt \\\n  b.txt\ntouch c.txt", {"a.txt", "b.txt"}, {"c.txt"}),
        ("!!cat a.txt", {"a.txt"}, set()),
        ("%reload_ext my_ext", set(), set()),
        ("%cd 'my folder'", {"my folder"}, set()),
        ("%pushd -q sub", set() | {"sub"}, set()),
        ("%timeit open('a.txt')", {"a.txt"}, set()),
        ("%load a.py", {"a.py"}, set()),
        ("'''\na.txt\n'''\n'b/c.txt'", set(), set()),
        ("x = 'a.txt'\nx = 'b.txt'", {"b.txt"}, set()),
        ("x = 'a.txt'\nfor x in y:\n    pass\nread(x)", {"a.txt"}, set()),
        ("x = 'a'\nread(x + '.txt')", {"a.txt"}, set()),
        ("x = 'data'\nread(x)", set(), set()),
        ("data_dirs = 'data'", {"data"}, set()),
        ("ROOT = 'data'\nto_csv(ROOT + '/a.csv')", set(), {"data/a.csv"}),
        ("P = Path('data')\nP = 'x'\nread(P)", set(), set()),
        ("P = Path('data')\nP.mkdir()", set(), {"data"}),
        ("P = Path('data')\nP.exists()", set(), set()),
        ("Path('data').mkdir()", set(), {"data"}),
        ("Path('a.txt').open()", {"a.txt"}, set()),
        ("Path('a.txt').open('a')", set(), {"a.txt"}),
        ("Path('a.txt').open(mode='x')", set(), {"a.txt"}),
        ("Path('a.txt').unlink()", set(), set()),
        ("Path('a.txt').read_text()", {"a.txt"}, set()),
        ("Path('a', 'b.txt').touch()", set(), {"a/b.txt"}),
        ("','.join(['a', 'b.csv'])", {"b.csv"}, set()),
        ("open('a.txt', mode)", {"a.txt"}, set()),
        ("open('a.txt', 'rb+')", {"a.txt"}, set()),
        ("open('a.txt', 'ab')", set(), {"a.txt"}),
        ("shutil.copytree('src', 'out/x')", {"src", "out/x"}, set()),
        ("shutil.move('a.txt', 'b.txt')", {"a.txt"}, {"b.txt"}),
        ("os.rename('a.txt', 'b.txt')", {"a.txt"}, {"b.txt"}),
        ("download('a.txt')", {"a.txt"}, set()),
        ("urlretrieve('u/x', 'a.txt')", {"u/x"}, {"a.txt"}),
        ("fs.download('bucket/a.txt', 'a.txt')", set(), {"a.txt"}),
        ("text.replace('a.txt', 'b.txt')", {"a.txt"}, {"b.txt"}),
        ("Markdown('a.txt')", set(), set()),
        ("os.path.isfile('a.txt')", set(), set()),
        ("df.to_parquet(path='a.parquet')", set(), {"a.parquet"}),
        ("plt.imsave('a.png', x)", set(), {"a.png"}),
        ("pd.ExcelWriter('a.xlsx')", set(), {"a.xlsx"}),
        ("load(image_dir='img', text='img2')", {"img"}, set()),
        ("load(file='a.txt')", {"a.txt"}, set()),
        ("save(a, file='a.txt')", set(), {"a.txt"}),
        ("print(file='a.txt')", set(), set()),
        ("os.chdir('sub')", {"sub"}, set()),
        ("datasets.ImageFolder('img')", {"img"}, set()),
        ("site.addsitedir('lib')", {"lib"}, set()),
        ("x = [read('a.txt') for y in z]", {"a.txt"}, set()),
        ("read(f'a.txt')", {"a.txt"}, set()),
        ("N = 'a'\nread(f'{N}.txt')", {"a.txt"}, set()),
        ("N = 'a'\nread(f'{N:>5}/x')", set(), set()),
        ("read(f'data/raw/{x}')", {"data/raw"}, set()),
        ("read(f'{x}/a.txt')", set(), set()),
        ("read('data' / x)", set(), set()),
        ("read(Path('data', x))", set(), set()),
        ("read(os.path.join('a', x, 'b.csv'))", {"b.csv"}, set()),
        ("read('a' + x + 'b.csv')", {"b.csv"}, set()),
        ("read('a.csv' * 2)", {"a.csv"}, set()),
        ("read(Path('data') / x / 'a.txt')", {"data", "a.txt"}, set()),
    ],
)
def test_how_a_file_is_used_decides_whether_it_is_needed(source, read, written):
    found = code_references(notebook_of(source))
    assert (found.file_names, found.written) == (read, written)


@pytest.mark.parametrize(
    ("source", "imports", "folders"),
    [
        ("%reload_ext my.ext", {"my.ext"}, ()),
        ("%run -t -m tool.main", {"tool.main"}, ()),
        ("runpy.run_module('tool')", {"tool"}, ()),
        ("import_module('.x', 'y')", set(), ()),
        ("importlib.import_module(name)", set(), ()),
        ("from a import *", {"a"}, ()),
        ("from . import a", set(), ()),
        ("sys.path.extend(['lib', './src/'])", set(), ("lib", "src")),
        ("sys.path.append(str(Path('lib', 'x')))", set(), ("lib/x",)),
        ("sys.path.append('/opt/lib')", set(), ()),
        ("sys.path.append('~/lib')", set(), ()),
        ("names.append('lib')", set(), ()),
        ("LIB = 'lib'\nsys.path.insert(0, LIB)", set(), ("lib",)),
    ],
)
def test_modules_and_the_folders_that_are_searched_for_them(source, imports, folders):
    found = code_references(notebook_of(source))
    assert (found.imports, found.search_folders) == (imports, folders)


@pytest.mark.parametrize(
    ("folder", "name", "is_needed"),
    [(".", "a.csv", False), ("data", "data/a.csv", False), ("data", "data", False), ("data", "database/a.csv", True)],
)
def test_what_lies_in_a_folder_that_a_command_has_filled_is_not_needed(folder, name, is_needed):
    found = code_references(notebook_of(f"!aws s3 sync s3://b/x {folder}", f"open('{name}'); os.listdir('{name}')"))
    assert (name in found.file_names) is is_needed
