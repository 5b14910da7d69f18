"""
An excerpt of a traceback keeps the author's own frames, whatever lies between them.

``tracebacks.json``, beside this file, is what a kernel with IPython 9.18 has sent for cells that fail, in each mode of ``%xmode``.
"""

import json
import re
import time
from pathlib import Path

import pytest
from nbformat import NotebookNode

from airflow_nbjobs.core.notebook import tracebacks
from airflow_nbjobs.core.notebook.failing_cell import failed_cell, find_failing_cell, strip_ansi
from airflow_nbjobs.core.notebook.tracebacks import Part, excerpt, parts_of, short, whose

SENT = json.loads(Path(__file__).with_name("tracebacks.json").read_text(encoding="utf-8"))
MODES = ("Context", "Plain", "Verbose")
LIBRARY = "/opt/conda/lib/python3.11/site-packages/{}/core/frame.py"


def sent(mode, name):
    error = SENT[f"{mode}:{name}"]
    return excerpt(strip_ansi("\n".join(error["traceback"])), ename=error["ename"])


def context_frame(header, *lines):
    return "\n".join([header, *lines, ""])


def deep(frames=60, *, between="pandas"):
    """Return a traceback of a cell that calls a module of the author's, which calls a library that is deep."""
    library = LIBRARY.format(between)
    return "\n".join(
        [
            "-" * 75,
            "KeyError                                  Traceback (most recent call last)",
            context_frame("Cell In[3], line 2", "      1 import helpers", "----> 2 helpers.load(df)"),
            context_frame(
                "File ~/project/helpers.py:7, in load(df)", "      6 def load(df):", "----> 7     return df['x']"
            ),
            *(
                context_frame(f"File {library}:{n}, in DataFrame.f{n}(self)", f"--> {n}     return g{n}()")
                for n in range(frames)
            ),
            "KeyError: 'x'",
        ]
    )


def test_of_sixty_frames_of_a_library_the_last_is_kept_and_the_authors_all():
    assert excerpt(deep()).split("\n") == [
        "KeyError                                  Traceback (most recent call last)",
        "Cell In[3], line 2",
        "----> 2 helpers.load(df)",
        "File ~/project/helpers.py:7, in load(df)",
        "----> 7     return df['x']",
        "  … 59 frames of pandas",
        f"File {LIBRARY.format('pandas')}:59, in DataFrame.f59(self)",
        "--> 59     return g59()",
        "KeyError: 'x'",
    ]


def test_a_frame_without_code_is_its_header():
    """IPython shows no line of a file that it cannot read."""
    told = excerpt(
        "\n".join(
            [
                context_frame("Cell In[3], line 2", "----> 2 helpers.load(df)"),
                context_frame("File ~/gone/helpers.py:7, in load(df)"),
                "KeyError: 'x'",
            ]
        )
    )
    assert told.split("\n") == [
        "Cell In[3], line 2",
        "----> 2 helpers.load(df)",
        "File ~/gone/helpers.py:7, in load(df)",
        "KeyError: 'x'",
    ]


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_of_ipython_keeps_the_authors_lines_and_counts_the_rest(mode):
    lines = sent(mode, "lib")
    assert ["load()" in lines, "helpers.h(json.loads, '{')" in lines, "return f(*a)" in lines] == [True] * 3
    assert "… 2 frames of json" in lines
    assert lines.endswith("line 1 column 2 (char 1)")


@pytest.mark.parametrize("mode", MODES)
def test_a_chain_shows_each_exception(mode):
    assert "The above exception was the direct cause" in sent(mode, "chain")
    assert sent(mode, "chain").endswith("ValueError: b\nc")
    shown = sent(mode, "during")
    assert shown.index("KeyError: 'a'") < shown.index("During handling") < shown.index("ZeroDivisionError: division")


@pytest.mark.parametrize("mode", MODES)
def test_a_recursion_is_its_beginning_and_its_end(mode):
    shown = sent(mode, "recursion")
    assert re.search(r"… 2\d frames", shown)
    assert len(shown.split("\n")) <= 30
    assert shown.endswith("RecursionError: maximum recursion depth exceeded")


@pytest.mark.parametrize("mode", [*MODES, "Minimal"])
def test_a_syntax_error_keeps_its_line_and_the_place_in_it(mode):
    assert sent(mode, "syntax").split("\n")[1:] == ["    x = = 1", "        ^", "SyntaxError: invalid syntax"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "line"), [("runnb", "return 1/0"), ("runpy", "raise KeyError('in script')")])
def test_the_frames_of_what_was_run_are_the_authors(mode, name, line):
    assert line in sent(mode, name)


@pytest.mark.parametrize("mode", [*MODES, "Minimal"])
def test_a_long_text_is_three_lines(mode):
    shown = sent(mode, "long")
    assert shown.endswith("ValueError: line 0\nline 1\nline 2\n… 397 more lines")


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Cell In[3], line 2, in f(x)", "author"),
        ("Cell In [3], line 2", "author"),
        ("Input In [3], in <cell line: 1>()", "author"),
        ("<ipython-input-3-0123456789ab> in <module>", "author"),
        ("/tmp/ipykernel_12/34567.py in <module>", "author"),
        ("File /tmp/ipykernel_12/34567.py:3", "author"),
        ("~/project/helpers.py in h(f)", "author"),
        ('  File "/opt/ml/input/data/x/helpers.py", line 3, in h', "author"),
        ('  | File "/home/me/x.py", line 3, in h', "author"),
        ('  File "<stdin>", line 1, in <module>', "author"),
        ("/opt/conda/lib/python3.7/site-packages/pandas/core/frame.py in __getitem__(self, key)", "library"),
        ("File ~/.local/lib/python3.9/site-packages/a/b.py:3, in f()", "library"),
        ("File /opt/conda/lib/python3.11/asyncio/runners.py:190, in run(main)", "library"),
        ("File /usr/lib/python3/dist-packages/six.py:1, in f()", "library"),
        (r"File C:\me\env\Lib\site-packages\numpy\core.py:1, in f()", "library"),
        ("File pandas/_libs/index.pyx:153, in pandas._libs.index.IndexEngine.get_loc()", "library"),
        ("File <frozen importlib._bootstrap>:241, in _call_with_frames_removed(f)", "library"),
        ("File <string>:1, in f()", "library"),
        ("ValueError: x", "message"),
        ("KeyError                 Traceback (most recent call last)", "link"),
        ("[... skipping similar frames: r at line 2 (975 times)]", "link"),
    ],
)
def test_it_is_known_whose_frame_it_is(header, kind):
    assert next(part.kind for part in parts_of([header, "      1 x"])) == kind


def test_other_kernels_tracebacks_keep_their_last_lines():
    text = "\n".join(["Error in f(): no", "Traceback:", *(f"{n}. g()" for n in range(30))])
    assert excerpt(text, ename="ERROR").split("\n") == [f"{n}. g()" for n in range(20, 30)]


def test_what_is_just_short_enough_is_read_whole(monkeypatch):
    monkeypatch.setattr(tracebacks, "_READ_CHARACTERS", 20)
    lines = ["a" * 9, "b" * 9, "c" * 10]
    assert excerpt("\n".join(lines)) == "\n".join(lines)
    assert "…" in excerpt("\n".join([*lines[:2], "c" * 11])).split("\n")


def test_a_group_of_exceptions_that_is_only_printed_is_named():
    """IPython prints it to stderr and leaves no error in the notebook."""
    lines = [
        "Traceback (most recent call last):",
        '  File "/tmp/ipykernel_1/2.py", line 4, in <module>',
        "    f()",
        "ZeroDivisionError: division by zero",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "  + Exception Group Traceback (most recent call last):",
        '  |   File "/opt/x/lib/python3.11/site-packages/IPython/core/interactiveshell.py", line 3823, in run_code',
        "  |     exec(code_obj, self.user_global_ns, self.user_ns)",
        '  |   File "/tmp/ipykernel_1/2.py", line 6, in <module>',
        "  |     raise ExceptionGroup('many', [e, ValueError('x')])",
        "  | ExceptionGroup: many (2 sub-exceptions)",
        "  +-+---------------- 1 ----------------",
        "    | ZeroDivisionError: division by zero",
        "    +---------------- 2 ----------------",
        "    | ValueError: x",
        "    +------------------------------------",
    ]
    for printed in (lines, lines[7:]):
        cell = NotebookNode(
            cell_type="code",
            source="x",
            metadata={"papermill": {"exception": True, "start_time": "x"}},
            outputs=[{"output_type": "stream", "name": "stderr", "text": "\n".join(printed) + "\n"}],
        )
        found = find_failing_cell(NotebookNode(cells=[cell], metadata={}))
        assert (found.ename, found.evalue) == ("ExceptionGroup", "many (2 sub-exceptions)")
        assert "raise ExceptionGroup('many'" in found.traceback
        assert "| ValueError: x" in found.traceback


def test_a_text_of_any_size_and_shape_takes_little_time():
    started = time.process_time()
    message = "ValueError: " + "z" * 20_000_000
    error = {"ename": "ValueError", "evalue": message, "traceback": [deep(2), message]}
    found = failed_cell(1, NotebookNode(source="x"), error)
    assert "helpers.load(df)" in found.traceback
    assert len(found.traceback) < 5000
    for text in (
        "File :1" * 100_000,
        "||||" * 100_000,
        "\n".join(["File " + "a.pyx" * 200 + ":1"] * 5000),
        "\n".join(["-" * 900] * 5000),
        deep(10_000),
    ):
        assert len(excerpt(text)) < 20_000
    assert time.process_time() - started < 10


def test_a_short_text_stays_as_it_is():
    assert short("a\nb\nc") == "a\nb\nc"
    assert short("a\nb\nc\nd") == "a\nb\nc\n… 1 more line"
    assert len(short("x" * 20_000_000)) < 1100


@pytest.mark.parametrize("number", [1, 9_999, 16_192, 123_456, 1_234_567])
def test_a_frame_is_one_whatever_its_line(number):
    """IPython's arrow has seven columns for itself and the number; pandas has frames beyond line 9,999."""
    arrow = "-" * max(5 - len(str(number)), 0) + ("> " if len(str(number)) < 6 else ">"[: 7 - len(str(number))])
    lines = [
        "KeyError                                  Traceback (most recent call last)",
        context_frame("Cell In[1], line 1", "----> 1 df.merge(other)"),
        context_frame(
            f"File {LIBRARY.format('pandas')}:{number}, in merge(self)",
            f"{number - 1:>7} # before",
            f"{arrow}{number} return merge(",
        ),
        context_frame(f"File {LIBRARY.format('pandas')}:5, in check()", "----> 5 raise KeyError(key)"),
        "KeyError: 'a'",
    ]
    assert excerpt("\n".join(lines), ename="KeyError").split("\n")[1:4] == [
        "Cell In[1], line 1",
        "----> 1 df.merge(other)",
        "  … 1 frame of pandas",
    ]


@pytest.mark.parametrize(
    ("header", "library"),
    [
        ("/opt/conda/lib/python3.7/site-packages/pandas/core/frame.py in f(self)", "pandas"),
        ("File /opt/conda/lib/python3.11/asyncio/runners.py:190, in run(main)", "asyncio"),
        ("File /usr/lib/python3/dist-packages/six.py:1, in f()", "six"),
        ("File pandas/_libs/index.pyx:153, in f()", "pandas"),
        ("File <frozen importlib._bootstrap>:241, in f()", "importlib"),
        ("File <string>:1, in f()", ""),
        ("File <__array_function__ internals>:1, in f()", ""),
    ],
)
def test_it_is_known_which_library_a_frame_is_of(header, library):
    (part,) = parts_of([header, "      1 x"])
    assert (part.kind, part.library, part.start, part.end) == ("library", library, 0, 2)


def test_the_parts_are_all_lines_in_their_order():
    for error in SENT.values():
        lines = strip_ansi("\n".join(error["traceback"])).split("\n")
        parts = parts_of(lines)
        assert [number for part in parts for number in range(part.start, part.end)] == list(range(len(lines)))


@pytest.mark.parametrize(
    ("libraries", "said"),
    [
        ([""], "1 frame"),
        (["", ""], "2 frames"),
        (["a", "a"], "2 frames of a"),
        (["a", "", "b"], "3 frames of a, b"),
        (list("abcd"), "4 frames of a, b, c, d"),
        (list("abcde"), "5 frames of a, b, c, d …"),
        (["a"] * 1234, "1,234 frames of a"),
    ],
)
def test_frames_are_counted_with_their_libraries(libraries, said):
    assert whose([Part("library", 0, 1, library) for library in libraries]) == said


@pytest.mark.parametrize(("length", "is_whole"), [(1000, True), (1001, False)])
def test_a_text_of_one_line_is_cut_in_its_middle_beyond_a_thousand_characters(length, is_whole):
    text = "a" * 600 + "b" * (length - 600)
    assert (short(text) == text) is is_whole
    assert short(text).startswith("a" * 500)
    assert short(text).endswith("b" * 400)
    assert (" … " in short(text)) is not is_whole


def test_blank_lines_around_a_text_do_not_count():
    assert short("\n\na\nb\nc\n\n") == "a\nb\nc"
    assert short("a\nb\nc\nd\ne") == "a\nb\nc\n… 2 more lines"
    assert short("\n".join(["a"] * 1500)) == "a\na\na\n… 1,497 more lines"


def chain(count):
    links = "\nDuring handling of the above exception, another exception occurred:\n\n"
    return links.join(
        "\n".join(
            [f"E{n}      Traceback (most recent call last)", f"Cell In[{n}], line 1", f"----> 1 f{n}()", "", f"E{n}: x"]
        )
        for n in range(count)
    )


@pytest.mark.parametrize(
    ("count", "left_out"),
    [(6, None), (7, "… 1 more exception of the chain"), (9, "… 3 more exceptions of the chain")],
)
def test_of_a_long_chain_the_first_exception_and_the_last_ones_are_shown(count, left_out):
    shown = excerpt(chain(count)).split("\n")
    texts = [line for line in shown if re.fullmatch(r"E\d: x", line)]
    assert texts == [f"E{n}: x" for n in (0, *range(count - 5, count))]
    assert [line for line in shown if "of the chain" in line] == ([left_out] if left_out else [])


def own_frames(count):
    frames = [context_frame(f"File ~/project/helpers.py:{n}, in f{n}()", f"----> {n} g{n}()") for n in range(count)]
    return "\n".join(["KeyError      Traceback (most recent call last)", *frames, "KeyError: 'x'"])


@pytest.mark.parametrize(("count", "folded"), [(12, []), (13, ["  … 1 frame"]), (20, ["  … 8 frames"])])
def test_of_very_many_frames_of_the_authors_the_first_four_and_the_last_eight_are_shown(count, folded):
    shown = excerpt(own_frames(count)).split("\n")
    assert [line for line in shown if line.startswith("  … ")] == folded
    numbers = [int(line.split(" in f")[1].split("(")[0]) for line in shown if line.startswith("File")]
    assert numbers == [*range(4), *range(count - 8, count)]


def test_a_frame_keeps_its_current_line_or_else_the_lines_that_it_has():
    def frame(*lines):
        return excerpt("\n".join(["Cell In[1], line 2", *lines, "", "KeyError: 'x'"])).split("\n")[1:-1]

    assert frame("      1 a", "----> 2 b", "      3 c") == ["----> 2 b"]
    assert frame("    x = = 1", "        ^") == ["    x = = 1", "        ^"]
    assert frame("    a", "    b") == ["    a"]
    assert frame() == []


@pytest.mark.parametrize(("length", "is_whole"), [(300, True), (301, False)])
def test_a_line_is_cut_beyond_three_hundred_characters(length, is_whole):
    line = "----> 1 " + "x" * (length - 8)
    shown = excerpt(f"Cell In[1], line 1\n{line}  \n\nKeyError: 'x'").split("\n")[1]
    assert shown == (line if is_whole else line[:300] + "…")
    assert excerpt(f"Error\n{line}").split("\n")[1] == (line if is_whole else line[:300] + "…")


def test_a_text_that_is_the_exceptions_own_is_shown_in_three_lines():
    text = "\n".join(["MyError: no", *(f"line {n}" for n in range(20))])
    assert excerpt(text, ename="MyError").split("\n") == ["MyError: no", "line 0", "line 1", "… 18 more lines"]
    assert excerpt(text).split("\n") == [f"line {n}" for n in range(10, 20)]
    assert excerpt(text, ename="Other").split("\n") == [f"line {n}" for n in range(10, 20)]


def test_what_is_still_long_loses_its_middle():
    groups = "\n".join(f"  +---------------- {n} ----------------" for n in range(200))
    text = f"Cell In[1], line 1\n----> 1 f()\n\n{groups}\nE: x"
    shown = excerpt(text).split("\n")
    assert len(shown) == 81
    assert shown[30] == f"… {203 - 80} more lines"
    assert shown[-1] == "E: x"


@pytest.mark.parametrize(
    "header",
    [
        "Cell In[1], line 1",
        "File <string>:1, in f()",
        "File a/b.pyx:1, in f()",
        "File /x/site-packages/a/b.py:1, in f()",
    ],
)
def test_a_frame_without_a_line_is_a_part_of_its_own(header):
    spans = [(part.kind == "message", part.start, part.end) for part in parts_of([header, header, "E: x", "y"])]
    assert spans == [(False, 0, 1), (False, 1, 2), (True, 2, 4)]


@pytest.mark.parametrize(
    ("line", "is_body"),
    [
        ("", True),
        ("  x", True),
        ("\tx", True),
        ("5 x", True),
        ("--> 5 x", True),
        ("> 12345 x", True),
        ("E: x", False),
        ("5x", False),
    ],
)
def test_what_follows_a_frame_is_its_code_or_something_else(line, is_body):
    assert len(parts_of(["Cell In[1], line 1", line])) == (1 if is_body else 2)


@pytest.mark.parametrize(
    "line",
    [
        "During handling of the above exception, another exception occurred:",
        "The above exception was the direct cause of the following exception:",
        "  [Previous line repeated 975 more times]",
        "[... skipping similar frames: f at line 1 (975 times)]",
        "  +---------------- 1 ----------------",
        "ValueError    Traceback (most recent call last)",
    ],
)
def test_what_links_frames_is_no_exceptions_text(line):
    parts = parts_of(["Cell In[1], line 1", line, "Cell In[2], line 1", "E: x"])
    assert [part.kind for part in parts] == ["author", "link", "author", "message"]


def test_a_rule_is_a_link_where_a_traceback_begins_below_it():
    lines = ["-" * 75, "E     Traceback (most recent call last)", "Cell In[1], line 1", "E: x"]
    assert [(part.kind, part.end) for part in parts_of(lines)] == [("link", 2), ("author", 3), ("message", 4)]
    assert [part.kind for part in parts_of(["-" * 75, "text"])] == ["message"]
    assert excerpt("\n".join(lines)).split("\n")[0].startswith("E   ")
