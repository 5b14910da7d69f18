"""What only looks as if it were made up anew each time is a difference; what is, is none, and it is said that it was left out."""

import time

import pytest
from rendered import code, data, markdown, stream
from test_notebook_comparison import OTHER_PNG, PNG, body, compared, kinds, table

from airflow_nbjobs.ui.rendering import compared_outputs
from airflow_nbjobs.ui.rendering.budget import Budget
from airflow_nbjobs.ui.rendering.made_up import without_made_up

UUID, OTHER = "123e4567-e89b-12d3-a456-426614174000", "99999999-e89b-12d3-a456-426614174000"


def result(text):
    return data(text_plain=text)


def html(text):
    return data(text_html=text)


def svg(text):
    return data(**{"image_svg+xml": f"<svg>{text}</svg>"})


DIFFERENT = [
    (stream("checksum 0x9a0b3c11\n"), stream("checksum 0x1234abcd\n")),
    (stream("stopped at 0x9a0b3c11, again\n"), stream("stopped at 0x1234abcd, again\n")),
    (result("<0x9a0b3c11>"), result("<0x1234abcd>")),
    (stream(f"run {UUID}\n"), stream(f"run {OTHER}\n")),
    (html(f"<b>model {UUID}</b>"), html(f"<b>model {OTHER}</b>")),
    (html("<b>p0123456789 order</b>"), html("<b>p9999999999 order</b>")),
    (html("<b>T_abcdef</b>"), html("<b>T_fedcba</b>")),
    (html(f'<b>id="{UUID}"</b>'), html(f'<b>id="{OTHER}"</b>')),
    (html(f'<a href="https://e.com/{UUID}">x</a>'), html(f'<a href="https://e.com/{OTHER}">x</a>')),
    (html(f'<b id=a></b><script>title = "{UUID}"</script>'), html(f'<b id=a></b><script>title = "{OTHER}"</script>')),
    (svg("<text>p0123456789</text>"), svg("<text>p9999999999</text>")),
    (table(("0x9a0b3c11",)), table(("0x1234abcd",))),
    (table((UUID,)), table((OTHER,))),
    (data(application_json={"key": UUID}), data(application_json={"key": OTHER})),
    *(
        tuple(html(f"<table>{part}<tr><td>1</td></tr></table>") for part in parts)
        for parts in [
            ("<caption>of May</caption>", "<caption>of June</caption>"),
            ("<tr><td><a href='https://e.com/1'>x</a></td></tr>", "<tr><td><a href='https://e.com/2'>x</a></td></tr>"),
            ("<tr><td style='background: red'>x</td></tr>", "<tr><td style='background: green'>x</td></tr>"),
            ("<tr><td><input type=checkbox checked></td></tr>", "<tr><td><input type=checkbox></td></tr>"),
            ("beside a cell", "beside another"),
        ]
    ),
]


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_what_a_reader_sees_counts_whatever_it_looks_like(left, right):
    found = compared([code("x", left)], [code("x", right)])
    assert kinds(found) == {"changed": 1}
    assert "too long to be shown" not in body(found)


def figure(name, date):
    drawn = f'<metadata><dc:date>{date}</dc:date></metadata><clipPath id="{name}"/><use xlink:href="#{name}" clip-path="url(#{name})"/>'
    return svg(f"<style>.{name} {{}}</style>{drawn}<text>label</text>")


MADE_UP = [
    (stream("<Figure at 0x7f0123456789>\n"), stream("<Figure at 0x7fabcdef0123>\n")),
    (
        result("<bound method A.f of <A object at 0x7f0123456789>>"),
        result("<bound method A.f of <A object at 0x7fabcdef0123>>"),
    ),
    (result('<code object f at 0x7f0123456789, file "a">'), result('<code object f at 0x7fabcdef0123, file "a">')),
    (html("<i>&lt;A object at 0x7f0123456789&gt;</i>"), html("<i>&lt;A object at 0x7fabcdef0123&gt;</i>")),
    (table(("&lt;A object at 0x7f0123456789&gt;",)), table(("&lt;A object at 0x7fabcdef0123&gt;",))),
    (figure("p0123456789", "2026-01-01"), figure("p9999999999", "2026-01-02")),
    (
        html(f'<div id="{UUID}"></div><script>draw("{UUID}")</script>'),
        html(f'<div id="{OTHER}"></div><script>draw("{OTHER}")</script>'),
    ),
    (html(f"<label for='{UUID}'>a</label>"), html(f"<label for='{OTHER}'>a</label>")),
    (html(f'<a href="#{UUID}">a</a>'), html(f'<a href="#{OTHER}">a</a>')),
]


@pytest.mark.parametrize(("left", "right"), MADE_UP)
def test_what_is_made_up_anew_is_no_difference_and_it_is_said(left, right):
    found = compared([code("x", left)], [code("x", right)])
    assert kinds(found) == {"same": 1}
    assert "made up anew each time are not compared" in " ".join(found.notices)


def test_a_table_whose_rows_are_the_same_is_shown_as_it_looks():
    left, right = (html(f"<table><tr><td style='color: {name}'>x</td></tr></table>") for name in ("red", "green"))
    found = body(compared([code("x", left)], [code("x", right)]))
    assert found.count('<div class="nb-both">') == 1
    assert found.count('<td style="color: ') == 2


def test_a_picture_that_is_attached_to_a_text_counts():
    texts = [
        markdown("![](attachment:a.png)") | {"attachments": {"a.png": {"image/png": png}}} for png in (PNG, OTHER_PNG)
    ]
    found = compared(texts[:1], texts[1:])
    assert kinds(found) == {"changed": 1}
    assert body(found).count("<img") == 2
    assert kinds(compared(texts, texts)) == {"same": 2}
    both = {"a.png": {"image/png": PNG}, "b.png": {"image/png": OTHER_PNG}}
    orders = [[markdown("x") | {"attachments": dict(each)}] for each in (both.items(), reversed(both.items()))]
    assert kinds(compared(*orders)) == {"same": 1}


def test_nothing_is_said_where_nothing_was_left_out():
    assert compared([code("x", stream("a"))], [code("x", stream("b"))]).notices == ()


def test_of_code_every_number_counts():
    found = compared([code("x = 0x9a0b3c11\ny = '<a at 0x123456>'")], [code("x = 0x1234abcd\ny = '<a at 0x123457>'")])
    assert kinds(found) == {"changed": 1}
    assert "0x<mark>9a0b3c11</mark>" in body(found)
    assert "0x12345<mark>6</mark>" in body(found)


def test_a_line_that_is_cut_says_so_and_is_told_from_others():
    long = "a" * 20_001
    found = body(compared([code("x", stream(f"{long}LEFT!\nsame"))], [code("x", stream(f"{long}RIGHT\nsame"))]))
    assert found.count("… (20,006 characters, ") == 2
    assert "<span>same" in found


def test_a_text_that_is_too_long_is_charged_as_far_as_it_is_shown(monkeypatch):
    monkeypatch.setattr(compared_outputs, "_TEXT_CHARACTERS", 5_000)
    budget = Budget()
    budget.left["text"] = 12_000
    for _ in range(4):
        compared_outputs.read_items([stream("line\n" * 10_000)], budget)
    assert (budget.left["text"], budget.refused) == (0, 4)
    (item,) = compared_outputs.read_items([stream("line\n" * 10_000)], budget)
    assert "48,000 more characters" not in item.lines[0]
    assert item.lines[-1] == "… 47,999 more characters are in the .ipynb"


@pytest.mark.parametrize(
    "text", ["<", "<a", "<a ", '<a id="', "<style>", "<script>", "url(#", "<a id='x' ", "</style>"]
)
def test_markup_is_read_in_a_time_that_grows_with_it_and_no_faster(text):
    started = time.process_time()
    without_made_up(text * 100_000)
    assert time.process_time() - started < 3
