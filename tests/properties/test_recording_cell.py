"""The recording cell never fails a notebook that would have succeeded, whatever the notebook does to its kernel."""

import pytest
from building import notebook_of

from airflow_nbjobs.core.notebook.failing_cell import find_failing_cell
from airflow_nbjobs.core.values.outputs import declare_outputs, read_outputs

# Each of these succeeds by itself, as the last cell of a notebook; what follows it must, too.
HOSTILE = {
    "names of builtins assigned": (
        "str = int = float = list = dict = tuple = type = object = len = isinstance = print = exec = getattr = None\n"
        "Exception = BaseException = KeyError = repr = super = property = __import__ = __name__ = None"
    ),
    "names of the recorder assigned": "sys = copyreg = namespace = names = name = record = send = limit = STR = TYPE = None",
    "builtins emptied": "__builtins__ = {}",
    "builtins patched": (
        "import builtins\n"
        "builtins.hex = builtins.bin = builtins.divmod = None\n"
        "_import = builtins.__import__\n"
        "def _refuse_some(name, *args, **kwargs):\n"
        "    if name in {'copyreg', 'json', 'uuid'}:\n        raise ImportError('not this one')\n"
        "    return _import(name, *args, **kwargs)\n"
        "builtins.__import__ = _refuse_some"
    ),
    # A sys.stdout that is a closed file, None or deleted is not among these: ipykernel flushes it after each cell and
    # IPython asks for its `write` before each, so that the kernel hangs without us, too.
    "stdout redirected": "import sys, io\nsys.stdout = sys.stderr = io.StringIO()",
    "stdout refuses to write": (
        "import sys\n"
        "def _refuse(*args, **kwargs):\n    raise ValueError('I/O operation on closed file')\n"
        "sys.stdout = sys.stderr = sys.__stdout__ = type('Closed', (), {'write': _refuse, 'flush': lambda self: None})()"
    ),
    "stdout of the kernel closed": "import sys\nsys.stdout.close()\nsys.stderr.close()",
    "display patched": (
        "import IPython, IPython.display\n"
        "def _refuse(*args, **kwargs):\n    raise RuntimeError('no display')\n"
        "get_ipython().display_pub.publish = IPython.display.display = IPython.display.publish_display_data = _refuse\n"
        "IPython.get_ipython = _refuse\n"
        "display = get_ipython = None"
    ),
    "file descriptors closed": "import os\nos.close(1)\nos.close(2)",
    "json patched": (
        "import json\n_dumps = json.dumps\n"
        "json.dumps = lambda *args, **kwargs: _dumps(*args, **{**kwargs, 'sort_keys': True})\n"
        "json.load = json.JSONDecoder = json.detect_encoding = None"
    ),
    "modules removed": (
        "import sys\n"
        "for _name in ('copyreg', 'builtins', 'IPython', 'IPython.display', 'json', 'numpy', 'datetime', 'decimal'):\n"
        "    sys.modules.pop(_name, None)"
    ),
    "warnings are errors": "import warnings\nwarnings.simplefilter('error')",
    "future of the language": "from __future__ import barry_as_FLUFL, annotations",
    "ast transformers": (
        "import ast\n"
        "class _Numbers(ast.NodeTransformer):\n"
        "    def visit_Constant(self, node):\n"
        "        if isinstance(node.value, int) and not isinstance(node.value, bool):\n"
        "            return ast.Call(func=ast.Name(id='_number', ctx=ast.Load()), args=[node], keywords=[])\n"
        "        return node\n"
        "_number = lambda n: n\n"
        "get_ipython().ast_transformers.append(_Numbers())"
    ),
    "every expression shown": "get_ipython().ast_node_interactivity = 'all'",
    "many threads": (
        "import threading\n"
        "_stop = threading.Event()\n"
        "def _churn():\n    while not _stop.wait(0.001):\n        globals()['churned'] = globals().get('churned', 0) + 1\n"
        "for _ in range(8):\n    threading.Thread(target=_churn, daemon=True).start()"
    ),
    # Hooks that raise *after* a cell fail the cell that registers them.
    "event hooks that raise": (
        "def _hook(*args):\n    raise RuntimeError('hook')\n"
        "for _event in ('pre_execute', 'pre_run_cell'):\n"
        "    get_ipython().events.register(_event, _hook)"
    ),
    "recursion limit": "import sys\nsys.setrecursionlimit(170)",
}

# What the notebook holds before it turns hostile: values whose classes fight back.
VALUES = """\
def refuse(self, *args, **kwargs):
    raise SystemExit('hostile')
class Meta(type):
    __eq__ = __hash__ = __repr__ = __instancecheck__ = __subclasscheck__ = __getattribute__ = __call__ = refuse
METHODS = dict.fromkeys(
    '__repr__ __str__ __eq__ __ne__ __iter__ __len__ __getattribute__ __getattr__ __contains__ __getitem__ items keys '
    'values __format__ __bool__ __int__ __float__ __index__ __reduce_ex__ encode isascii __class_getitem__'.split(), refuse)
evil = type.__new__(Meta, 'Evil', (), dict(METHODS, __module__='__main__', __hash__=refuse))
evil = object.__new__(evil)
text = type.__new__(type, 'Text', (str,), METHODS).__new__(str) if False else str.__new__(type('Text', (str,), dict(METHODS, __hash__=str.__hash__)), 'tëxt')
number = int.__new__(type('Number', (int,), METHODS), 7)
real = float.__new__(type('Real', (float,), METHODS), 0.5)
items = type('Items', (list,), METHODS)
items_ = items
items = list.__new__(items_); list.extend(items, [1, 2])
mapping = type('Mapping', (dict,), METHODS)
mapping = dict.__new__(mapping); dict.update(mapping, a=1)
cyclic = []; cyclic.append(cyclic)
twice = [[[[[['x' * 100] * 9] * 9] * 9] * 9] * 9] * 9
large = 'x' * 10_000_000
long_int = 10 ** 100_000
nan = float('nan')
good = {'a': [1, 2.5, None, True, 'é\\U0001f600"\\\\\\n\\x01']}
deleted = 1
del deleted
"""
NAMES = [
    *("evil", "text", "number", "real", "items", "mapping", "cyclic", "twice", "large", "long_int", "nan", "good"),
    "deleted",
]
RIGHT = {
    "text": "tëxt",
    "number": 7,
    "real": 0.5,
    "items": [1, 2],
    "mapping": {"a": 1},
    "nan": "NaN",
    "good": {"a": [1, 2.5, None, True, 'é\U0001f600"\\\n\x01']},
}


def assert_all_recorded(run):
    assert run.exit_code == 0, run.log[-3000:]
    assert find_failing_cell(run.executed) is None
    record = read_outputs(run.executed, declare_outputs(NAMES, None))
    assert record.was_recorded
    assert record.values == RIGHT
    assert {name: type(value) for name, value in record.values.items()} == {n: type(v) for n, v in RIGHT.items()}
    assert len(record.problems) == len(NAMES) - len(RIGHT)
    recording = run.executed.cells[-1]
    assert [output.output_type for output in recording.outputs] == ["display_data"]


@pytest.mark.slow  # the same values, and more against them, in the next one
def test_hostile_values_are_recorded_as_what_they_are(run_by_driver):
    assert_all_recorded(run_by_driver(notebook_of(VALUES), outputs=NAMES))


# These take away what the others are built from, or fail any cell of the author's that follows.
ALONE = {"builtins emptied", "recursion limit", "ast transformers", "event hooks that raise"}
# What takes names away comes after what needs them.
LAST = ("builtins patched", "stdout refuses to write", "display patched", "names of builtins assigned")


@pytest.mark.local
def test_hostile_constructions_together_change_no_output(run_by_driver):
    first = [source for title, source in HOSTILE.items() if title not in ALONE and title not in LAST]
    assert_all_recorded(run_by_driver(notebook_of(VALUES, *first, *(HOSTILE[t] for t in LAST)), outputs=NAMES))


@pytest.mark.slow
@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_construction_changes_no_output(run_by_driver, title):
    assert_all_recorded(run_by_driver(notebook_of(VALUES, HOSTILE[title]), outputs=NAMES))
