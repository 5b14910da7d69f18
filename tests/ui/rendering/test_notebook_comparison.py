"""What a reader sees of two notebooks: what changed in each cell, and nothing that the notebooks could do with the page."""

import json
import random
import re
from html.parser import HTMLParser

import pytest
from hostile import NOTEBOOKS
from rendered import code, data, markdown, stream

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook import comparison_matching
from airflow_nbjobs.core.notebook.comparison_matching import Effort
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.ui.notebook import executed
from airflow_nbjobs.ui.rendering import LINK_MARK, POLICY, comparison, worker
from airflow_nbjobs.ui.rendering.comparison import Side, build_comparison
from airflow_nbjobs.ui.rendering.differences import table_difference, text_difference

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
OTHER_PNG = PNG[:-8] + "AAAAAA=="


def side(*cells, has_failed=False, is_cut=False):
    raw = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": list(cells)}
    return Side(notebook=parse_executed(json.dumps(raw), source="n")[0], has_failed=has_failed, is_cut=is_cut)


def compared(left, right, **how):
    left = left if isinstance(left, Side) else side(*left)
    right = right if isinstance(right, Side) else side(*right)
    return build_comparison(left, right, title="two jobs", **how)


def body(found):
    return re.sub(r"<style>.*?</style>", "", found.html, flags=re.DOTALL)


def kinds(found):
    return {kind: count for kind, count in found.counts.items() if count}


def table(*rows, more=""):
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return data(text_html=f"<style>#T_{len(more)}a1b2c {{}}</style><table id=T_{len(more)}a1b2c>{cells}</table>{more}")


def error(name, value, *lines):
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": list(lines)}


def test_equal_notebooks_are_said_to_be_the_same():
    cells = [markdown("# Title"), code("x = 1", stream("one\n"), data(image_png=PNG), table((1, 2)))]
    found = compared(cells, cells)
    assert (kinds(found), found.uncompared, found.first) == ({"same": 2}, (), None)
    assert "The notebooks are the same: 2 cells" in body(found)


def test_what_is_made_up_anew_each_time_is_no_difference():
    """Counts of executions, places in memory, ids of styles, states of a progress bar that it has gone past."""
    left = [
        code("f", stream("<Figure at 0x7f0123456789>\n10%\r100%\n"), count=3),
        code("t", table((1, 2)), count=4),
    ]
    right = [
        code("f", stream("<Figure at 0x7fabcdef0123>\n50%\r100%\n"), count=7),
        code("t", table((1, 2)), count=9),
    ]
    right[1]["outputs"][0]["data"]["text/html"] = right[1]["outputs"][0]["data"]["text/html"].replace("a1b2c", "f9e8d")
    assert kinds(compared(left, right)) == {"same": 2}


def test_code_is_compared_line_by_line_and_within_a_line():
    found = body(compared([code("a = 1\nb = fit(depth=3)\nc = 3")], [code("a = 1\nb = fit(depth=5)\nc = 3")]))
    assert "<del>b = fit(depth=<mark>3</mark>)\n</del><ins>b = fit(depth=<mark>5</mark>)\n</ins>" in found
    assert "<span>a = 1\n</span>" in found


def test_printed_output_is_compared_and_long_equal_parts_are_folded():
    lines = [f"line {number}\n" for number in range(100)]
    found = body(compared([code("x", stream("".join(lines)))], [code("x", stream("".join([*lines, "new\n"])))]))
    assert "<summary>97 equal lines</summary>" in found
    assert "<ins>new\n</ins>" in found
    assert "<h4>printed</h4>" in found


def test_tables_are_read_row_by_row():
    left = [code("t", table(("name", "score"), ("a", 1), ("b", 2), ("c", 3), more="<p>3 rows</p>"))]
    right = [code("t", table(("name", "score"), ("a", 1), ("b", 5), ("d", 4), ("c", 3), more="<p>4 rows</p>"))]
    found = body(compared(left, right))
    assert '<tr class="nb-row-same"><th scope="row"></th><td>name</td><td>score</td></tr>' in found
    assert '<tr class="nb-row-del"><th scope="row">\u2212</th><td>b</td><td>2</td></tr>' in found
    assert '<tr class="nb-row-ins"><th scope="row">+</th><td>d</td><td>4</td></tr>' in found
    assert "<mark>3 rows</mark>" in found
    one = [code("t", table(("a", 1)))]
    assert "<td>a</td><td><mark>2</mark></td>" in body(compared(one, [code("t", table(("a", 2)))]))


def test_pictures_stand_side_by_side():
    found = compared([code("p", data(image_png=PNG))], [code("p", data(image_png=OTHER_PNG))])
    shown = re.findall(r'<div class="nb-(left|right)"><img[^>]*src="data:image/png;base64,([^"]*)"', body(found))
    assert shown == [("left", PNG), ("right", OTHER_PNG)]
    # base64 may be broken into lines anywhere.
    lines = [f"{PNG[:20]}\n{PNG[20:]}"]
    assert kinds(compared([code("p", data(image_png=PNG))], [code("p", data(image_png=lines))])) == {"same": 1}


def test_an_output_that_one_side_alone_has_says_so():
    found = body(compared([code("x", stream("gone\n"))], [code("x", data(image_png=PNG))]))
    assert "<h4>printed, only on the left</h4>" in found
    assert "<h4>picture, only on the right</h4>" in found
    assert "<del>gone\n</del>" in found


def test_a_cell_that_failed_on_one_side_is_a_difference_with_its_error_and_state():
    papermill = {"papermill": {"exception": True, "status": "failed", "duration": 1.5}}
    left = [code("1 / parts", stream("25\n"), papermill={"status": "completed", "duration": 0.5})]
    right = [code("1 / parts", error("ZeroDivisionError", "division by zero", "\x1b[31mline 1\x1b[0m"), **papermill)]
    found = compared(left, right)
    assert kinds(found) == {"changed": 1}
    assert "ran → failed" in body(found)
    assert "500 ms → 1.5 s" in body(found)
    assert "<ins>ZeroDivisionError: division by zero\n</ins><ins>line 1\n</ins>" in body(found)
    assert found.right["failed"]["ename"] == "ZeroDivisionError"
    assert found.left["failed"] is None


def test_cells_lead_to_their_places_in_both_tabs():
    found = body(compared([markdown("a"), code("x")], [code("x")]))
    assert f'href="{LINK_MARK}#nbjobs:left:cell-2"' in found
    assert f'href="{LINK_MARK}#nbjobs:right:cell-1"' in found


def test_facts_of_both_notebooks_are_told():
    injected = code("parts = 4", tags=["injected-parameters"])
    found = compared([injected, code("x")], [code("parts = 0", tags=["injected-parameters"]), code("x")])
    assert found.left["parameters"] == [{"name": "parts", "type": "int", "text": "4"}]
    assert found.right["parameters"] == [{"name": "parts", "type": "int", "text": "0"}]
    assert kinds(found) == {"same": 1, "changed": 1}  # the cells that hold them correspond


def test_what_was_not_compared_is_said_and_never_called_the_same(monkeypatch):
    cells = [code("x", stream("a"))]
    cut = compared(side(*cells, is_cut=True), side(*cells))
    assert "Nothing differs in what was compared" in body(cut)
    assert cut.uncompared
    late = compared(cells, [code("x", stream("b"))], seconds=0)
    assert kinds(late) == {"unknown": 1}
    assert "1 cell(s) were not compared" in body(late)
    monkeypatch.setattr(comparison_matching, "_MOST_DIFFERENCES", 50)
    chance = random.Random(1)
    sides = [[code("x", stream("".join(f"{chance.randrange(2)}\n" for _ in range(1500))))] for _ in range(2)]
    assert "So much differs that not all of it was compared line by line" in body(compared(*sides))


def test_what_is_too_long_to_be_shown_still_counts_as_different():
    lines = "x" * 600_000
    found = compared([code("x", stream(f"{lines}a"))], [code("x", stream(f"{lines}b"))])
    assert kinds(found) == {"changed": 1}
    assert "They differ in what is too long to be shown here" in body(found)
    assert kinds(compared([code("x", stream(lines))], [code("x", stream(lines))])) == {"same": 1}
    wide = "y" * 400
    assert kinds(compared([code("t", table((f"{wide}1",)))], [code("t", table((f"{wide}2",)))])) == {"changed": 1}


def test_of_very_many_cells_it_is_said_how_many_were_not_compared(monkeypatch):
    monkeypatch.setattr(comparison, "_MOST_PAIRS", 30)
    found = compared([code(f"x{n}") for n in range(40)], [code(f"x{n}") for n in range(40)])
    assert sum(found.counts.values()) == 30
    assert found.uncompared == ("10 cells beyond the first 30 were not compared.",)


def test_what_is_unseen_is_marked():
    found = body(compared([code("x = 1\u202e")], [code("x = 2", stream("a\u2066b"))]))
    assert "\u202e" not in found
    assert "\u2066" not in found
    assert "⟦U+202E⟧" in found


RUNS = {
    "script",
    "iframe",
    "object",
    "embed",
    "link",
    "base",
    "form",
    "svg",
    "video",
    "audio",
    "frame",
    "frameset",
    "applet",
}


class Elements(HTMLParser):
    """Collects what could run or ask for something elsewhere, of the elements that a page has."""

    def __init__(self):
        super().__init__()
        self.dangerous = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            is_address = name in (
                "src",
                "href",
                "srcset",
                "action",
                "formaction",
                "poster",
                "data",
                "background",
                "ping",
            )
            if name.startswith("on") or (is_address and not (value or "").startswith(("data:image/", "#", LINK_MARK))):
                self.dangerous.append((tag, name, value))
        if tag in RUNS or (tag == "meta" and ("http-equiv", "refresh") in attrs):
            self.dangerous.append((tag, attrs))


def dangerous(text):
    elements = Elements()
    elements.feed(text)
    return elements.dangerous


def test_what_is_dangerous_would_be_found():
    found = dangerous(
        "<p onclick=x><a href='javascript:x'>y</a><ScRipt>z</script><img src=//a><meta http-equiv=refresh>"
    )
    assert len(found) == 5


BENIGN = [markdown("# Title"), code("x = 1", stream("one\n"), data(image_png=PNG), table((1, 2)))]
NOT_QUICK = {name for name in NOTEBOOKS if name.startswith(("giant", "many", "pathological", "html-deep", "nested"))}


@pytest.mark.parametrize("place", ["left", "right"])
def test_no_hostile_notebook_leaves_anything_that_runs_or_asks(place):
    """Beside one that is none, so that all of it is shown. A browser looks at the same in ``test_hostile.py``, the long ones too."""
    looked_at = 0
    for name in sorted(set(NOTEBOOKS) - NOT_QUICK)[place == "left" :: 4]:
        try:
            hostile = Side(notebook=parse_executed(NOTEBOOKS[name], source=name)[0])
        except NotebookJobConfigError:
            continue
        sides = (hostile, side(*BENIGN)) if place == "left" else (side(*BENIGN), hostile)
        found = build_comparison(*sides, title=name)
        assert dangerous(body(found)) == [], name
        json.dumps(found.summary()).encode()
        looked_at += 1
    assert looked_at >= 25


def test_the_documents_own_policy_is_that_of_a_notebook():
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', compared(BENIGN, BENIGN).html)[1]
    assert policy.replace("&#39;", "'") == POLICY


def test_a_thousand_lines_in_place_of_others_are_folded():
    left, right = [f"a{n}" for n in range(1000)], [f"b{n}" for n in range(1000)]
    found = text_difference(left, right, Effort())
    assert found.count("<summary>600 more lines</summary>") == 2
    rows = table_difference([(each,) for each in left], [(each,) for each in right], Effort())
    assert "1,200 more rows that differ are in the notebooks" in rows


@pytest.mark.parametrize("which", ["left", "right"])
@pytest.mark.parametrize(("text", "said"), [("no notebook", "is no Jupyter notebook"), ("[" * 100_000, ""), ("{}", "")])
def test_a_refusal_says_which_of_the_two(tmp_path, which, text, said):
    good = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": []})
    request = {"folder": str(tmp_path), "title": "two jobs"}
    for name in ("left", "right"):
        (tmp_path / name).write_text(text if name == which else good)
        request[name] = {"source": str(tmp_path / name), "title": name, "member": None, "has_failed": False}
    assert worker._compare(request) == 11
    assert (tmp_path / "reason.txt").read_text().startswith(f"the {which} one: ")


def test_a_comparison_leaves_what_the_cache_looks_for(tmp_path):
    source = tmp_path / "source"
    source.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": []}))
    one = {"source": str(source), "title": "x", "member": None, "has_failed": False}
    assert worker._compare({"folder": str(tmp_path), "title": "two jobs", "left": one, "right": one}) == 0
    assert {each.name for each in tmp_path.iterdir()} - {"source"} == set(executed._LEFT_BY_COMPARING)


def test_the_head_of_a_pair_says_what_became_of_it_and_where_it_is():
    left = [markdown("# A"), code("x = 1", papermill={"status": "completed", "duration": 0.5}), code("gone")]
    right = [markdown("# B"), code("x = 1", papermill={"status": "running"}), code("y = 2")]
    found = body(compared(left, right))
    labels = re.findall(r'aria-label="([^"]*)"', found)
    assert labels == [
        "changed: cell 1, cell 1",
        "changed: cell 2, cell 2",
        "only on the left: cell 3, \N{EN DASH}",
        "only on the right: \N{EN DASH}, cell 3",
    ]
    heads = [re.sub(r"<[^>]+>", "|", each) for each in re.findall(r"<header[^>]*>(.*?)</header>", found)]
    heads = [re.sub(r"\|+", "|", each).strip("|") for each in heads]
    assert heads[0] == "changed|cell 1|→|cell 1"
    assert heads[1] == "changed|cell 2|→|cell 2|ran → running|500 ms → \N{EN DASH}"
    assert heads[2:] == ["only on the left|cell 3|ran", "only on the right|cell 3|ran"]
    assert "nb-error-tag" not in found
    assert re.findall(r"<summary>(\w+), the same on both sides", found) == ["Code"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"status": "completed"}, "ran"),
        ({"status": "pending"}, "not run"),
        ({"status": "running"}, "running"),
        ({"status": "later", "start_time": "2026-01-01T00:00:00"}, "ran"),
        ({"status": ["x"]}, "not run"),
        ({"start_time": "2026-01-01T00:00:00"}, "ran"),
        ({}, "not run"),
    ],
)
def test_the_state_of_a_cell_is_in_words(said, words):
    other = code("x", papermill={"status": "failed"})
    found = body(compared([code("x", papermill=said)], [other]))
    assert f">{words} → failed</span>" in found
    assert "nb-error-tag" in found


def test_the_last_cell_that_ran_of_a_job_that_was_stopped_is_said():
    ran = [
        code("a", papermill={"status": "completed", "start_time": "2026-01-01T00:00:00"}),
        code("b", count=None, papermill={"status": "pending"}),
    ]
    found = body(compared(side(*ran, has_failed=True), side(*ran)))
    assert ">last cell that ran → ran</span>" in found
    assert kinds(compared(side(*ran, has_failed=True), side(*ran))) == {"same": 1, "changed": 1}


def test_a_cell_that_stands_elsewhere_has_moved():
    texts = [code(f"value_{name} = load('{name}')") for name in "abcdef"]
    found = compared(texts, [*texts[1:], texts[0]])
    assert kinds(found) == {"same": 5, "moved": 1}
    assert 'aria-label="moved: cell 1, cell 6"' in body(found)
    assert found.first == "pair-5"


def test_the_parameters_of_both_runs_correspond_and_are_named():
    # The author's parameters and papermill's own cell beside them.
    def cells(value):
        return [
            code("parts = 1", tags=["parameters"]),
            code(f"# Parameters\nparts = {value}", tags=["injected-parameters"]),
            code("x"),
        ]

    found = compared(cells(2), cells("[1, 2, 3, 'quite another thing']"))
    assert kinds(found) == {"same": 2, "changed": 1}
    assert 'aria-label="changed: parameters of this run, parameters of this run"' in body(found)
    assert (found.left["cells"], found.right["cells"]) == (3, 3)


def test_equal_cells_are_closed_and_gathered():
    same = [code(f"x{number}") for number in range(3)]
    found = body(compared([same[0], code("a"), *same[1:]], [same[0], code("b"), *same[1:]]))
    assert re.findall(r'<p class="nb-hidden">([^<]*)</p>', found) == [
        "1 cell that is the same",
        "2 cells that are the same",
    ]
    assert found.count('<details class="nb-unchanged">') == 3
    assert "nb-verdict" not in found


@pytest.mark.parametrize(("lines", "is_open"), [(12, True), (13, False)])
def test_the_code_of_changed_outputs_is_open_unless_it_is_long(lines, is_open):
    source = "\n".join(f"x{number}" for number in range(lines))
    found = body(compared([code(source, stream("a"))], [code(source, stream("b"))]))
    assert ('<details class="nb-unchanged" open>' in found) == is_open


def test_of_a_long_source_the_beginning_is_compared_line_by_line():
    source = "\n".join(f"line_{number}" for number in range(5_010))
    found = body(compared([code(f"a\n{source}")], [code(f"b\n{source}")]))
    assert "line_4998" in found
    assert "line_4999" not in found
    left_out = "".join(f"\nline_{number}" for number in range(4_999, 5_010))
    assert f"… {len(left_out)} more characters are in the .ipynb" in found
    wide = body(compared([code("a" + "x" * 99_999)], [code("b" + "x" * 100_000)]))
    assert "… 1 more characters are in the .ipynb" in wide
    assert "… 0 more" not in wide


def test_line_ends_and_empty_lines_around_are_no_difference_of_code():
    assert kinds(compared([code("a\r\nb\n")], [code("\na\nb")])) == {"same": 1}


def test_what_could_not_be_rendered_is_not_called_the_same(monkeypatch):
    """The two differ in their outputs alone, which is what fails."""

    def fails(*_):
        raise ValueError("by chance")

    monkeypatch.setattr(comparison, "paired_items", fails)
    found = compared([code("x", stream("first"))], [code("x", stream("second"))])
    assert kinds(found) == {"unknown": 1}
    assert "by chance" in body(found)
    assert "first\nsecond" in body(found)
    assert found.unrendered
    assert found.uncompared == ("1 cell(s) were not compared; each says why, in its place.",)


def test_times_and_progress_of_each_side_are_told():
    def timed(*seconds):
        return [
            code(f"x{place}", papermill={"status": "completed", "duration": each}) for place, each in enumerate(seconds)
        ]

    found = compared(timed(0.25, 1.5), [code("x0", count=None)])
    assert (found.left["seconds"], found.right["seconds"]) == (1.75, None)
    assert (found.left["progress"]["done"], found.right["progress"]["done"]) == (2, 0)


def test_the_notices_of_the_pages_around_come_first():
    found = compared(side(code("x"), is_cut=True), [code("x")], notices=("said\u202e before",))
    assert found.notices[0] == "said⟦U+202E⟧ before"
    assert found.notices[1].startswith("Long outputs were left out")
