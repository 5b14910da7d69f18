"""The outputs of two cells as what can be compared: which is which, and what of each counts."""

import pytest
from rendered import data, stream

from airflow_nbjobs.core.notebook.comparison_matching import Effort
from airflow_nbjobs.ui.rendering.budget import Budget
from airflow_nbjobs.ui.rendering.compared_outputs import is_equal, paired_items, read_items

PNG = "iVBORw0KGgo="


def error(name, value, *traceback):
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": list(traceback)}


def result(count=1, **forms):
    return data(**forms) | {"output_type": "execute_result", "execution_count": count}


def read(*outputs):
    return read_items(outputs, Budget())


def one(*outputs):
    (item,) = read(*outputs)
    return item


@pytest.mark.parametrize(
    ("output", "kind", "name"),
    [
        (stream("a"), "text", "printed"),
        (stream("a", "stderr"), "text", "stderr"),
        (error("ValueError", "x"), "text", "error"),
        (data(text_plain="1"), "text", "result"),
        (data(), "text", "result"),
        ({"output_type": "display_data", "data": "no mapping"}, "text", "result"),
        (data(text_markdown="*a*", text_plain="a"), "text", "text"),
        (data(text_latex="$x$"), "text", "text"),
        (data(application_json={"a": 1}, text_plain="a"), "text", "JSON"),
        (data(image_png=PNG, text_plain="<Figure>"), "picture", "picture"),
        (data(image_jpeg=PNG), "picture", "picture"),
        (data(**{"image_svg+xml": "<svg/>"}), "picture", "picture"),
        (data(image_png=" "), "other", "output"),
        (data(text_html="<table><tr><td>1</td></tr></table>"), "table", "table"),
        (data(text_html="<TABLE><TR><TD>1</TABLE>", text_plain="1"), "table", "table"),
        (data(text_html="<b>a</b>"), "other", "output"),
        (data(text_html="<b>a</b>", image_png=PNG), "other", "output"),
        (data(text_html="<b>a</b>", text_markdown="a"), "other", "output"),
        (data(text_html="<b>a</b>", application_json={}), "other", "output"),
        (data(text_html=" ", text_plain="1"), "other", "output"),
        (data(text_html=" ", text_markdown="1"), "text", "text"),
        (data(**{"application_vnd.jupyter.widget-view+json": {}, "text_plain": "1"}), "other", "output"),
        (
            data(**{"application_vnd.jupyter.widget-view+json": {}, "text_html": "<table><tr><td>1</td></tr></table>"}),
            "other",
            "output",
        ),
        (data(application_x=1, text_plain="1"), "other", "output"),
    ],
)
def test_an_output_is_compared_as_what_a_reader_sees_of_it(output, kind, name):
    item = one(output)
    assert (item.kind, item.name) == (kind, name)
    # What is no text is shown as it looks, where its rows do not tell.
    assert (item.output is None) == (kind == "text")


def test_neighbouring_pieces_of_one_stream_are_one_text():
    found = read(stream("a"), stream("b\n"), stream("e", "stderr"), stream("c"), stream(["d", "\n"]))
    assert [(item.name, item.lines) for item in found] == [
        ("printed", ("ab",)),
        ("stderr", ("e",)),
        ("printed", ("cd",)),
    ]


def test_a_text_is_what_a_terminal_shows_in_the_end():
    assert one(stream("\x1b[31m 10%\r100%\x1b[0m\n\n")).lines == ("100%",)
    assert one(stream("\x1b[31mx\x1b[0m")).key == one(stream("x")).key


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (error("ValueError", "no", "Traceback", "ValueError: no"), ("Traceback", "ValueError: no")),
        (error("ValueError", "no", "line 1"), ("ValueError: no", "line 1")),
        (error("ValueError", "no"), ("ValueError: no",)),
        (error("V\x1b[31m", "no", "\x1b[31mV: no"), ("V: no",)),
    ],
)
def test_an_error_says_what_it_is_once(output, lines):
    assert one(output).lines == lines


def test_a_stream_and_a_result_of_one_text_are_two():
    assert one(stream("1")).key != one(data(text_plain="1")).key
    assert one(stream("1")).key != one(stream("1", "stderr")).key


@pytest.mark.parametrize(
    ("html", "rows"),
    [
        ("<table><tr><th>a</th><td> b\n c </td></tr><tr><td>1</td></tr></table>", (("a", "b c"), ("1",))),
        ("<table><tr><td>1</td></tr></table><p>2 rows\n</p>", (("1",), ("2 rows",))),
        ("<table><tr><td>1</td></tr></table><table><tr><td>2</td></tr></table>", (("1",), ("2",))),
        (
            "<style>x</style><script>y</script><template>z</template><noscript>n</noscript><table><tr><td>1</td></tr></table>",
            (("1",),),
        ),
        ("<table><tr><td><table><tr><td>in</td></tr></table></td></tr></table>", (("in",), ("in",))),
    ],
)
def test_a_tables_rows_are_its_texts_and_what_stands_beside_it(html, rows):
    assert one(data(text_html=html)).rows == rows


def test_pictures_in_a_table_are_told_apart():
    def row(address):
        return one(data(text_html=f"<table><tr><td><img src='{address}'></td></tr></table>")).rows[0][0]

    assert row("data:a") == row("data:a") != row("data:b")
    assert row("data:a").startswith("(picture ")


@pytest.mark.parametrize(("length", "is_cut"), [(300, False), (301, True)])
def test_a_long_cell_is_cut_and_told_from_others(length, is_cut):
    def cell(end):
        return one(data(text_html=f"<table><tr><td>{'x' * (length - 1)}{end}</td></tr></table>")).rows[0][0]

    assert cell("a") != cell("b")
    assert cell("a").startswith("x" * (length - 1))
    assert ("… (301 characters, " in cell("a")) == is_cut


@pytest.mark.parametrize(("length", "is_cut"), [(20_000, False), (20_001, True)])
def test_a_long_line_is_cut_and_told_from_others(length, is_cut):
    (line,) = one(stream("x" * length)).lines
    assert (line == "x" * length) != is_cut
    assert line.startswith("x" * 20_000)


def test_a_table_that_is_too_large_to_be_read_is_compared_as_a_whole():
    def item(count, cell="<td>1</td>"):
        return one(data(text_html=f"<table>{f'<tr>{cell}</tr>' * count}</table>"))

    assert item(3_000).kind == "table"
    assert item(4_000).kind == "other"
    assert item(1, f"<td>{'x' * 530_000}</td>").kind == "other"
    assert item(4_000).key == item(4_000).key != item(4_001).key


def test_broken_lines_of_base64_and_sizes_of_pictures_are_no_difference_and_formats_are():
    assert one(data(image_png=PNG)).key == one(data(image_png=f"{PNG[:4]}\n{PNG[4:]}\n")).key
    assert one(data(image_png=PNG)).key != one(data(image_jpeg=PNG)).key
    assert one(data(**{"image_svg+xml": "<svg>a b</svg>"})).key != one(data(**{"image_svg+xml": "<svg>ab</svg>"})).key


def test_json_is_the_same_in_any_order_of_its_names():
    left, right = one(data(application_json={"a": 1, "é": 2})), one(data(application_json={"é": 2, "a": 1}))
    assert left.key == right.key
    assert left.lines == ("{", ' "a": 1,', ' "é": 2', "}")


def test_a_text_that_is_cut_says_by_how_much_and_counts_as_a_large_output():
    budget = Budget()
    (item,) = read_items([stream("line\n" * 200_000)], budget)
    assert item.lines[-1] == f"… {200_000 * 5 - 1 - 512 * 1024:,} more characters are in the .ipynb"
    assert budget.refused == 1
    (whole,) = read_items([stream("x" * 1000)], budget)
    assert whole.lines == ("x" * 1000,)
    assert budget.refused == 1


def test_what_is_left_out_of_a_text_counts():
    end = "x" * 600_000
    assert one(stream(f"{end}a")).key != one(stream(f"{end}b")).key
    assert one(stream(f"{end}a")).key == one(stream(f"{end}a")).key


def test_outputs_are_equal_but_for_their_count_and_metadata():
    assert is_equal([result(1, text_plain="1")], [result(2, text_plain="1")])
    assert is_equal([data(text_plain="1")], [data(text_plain="1") | {"metadata": {"a": 1}}])
    assert not is_equal([data(text_plain="1")], [data(text_plain="2")])
    assert not is_equal([data(text_plain="1")], [data(text_plain="1")] * 2)
    assert not is_equal([stream("1")], [stream("1", "stderr")])
    assert is_equal([], [])


def pairs(left, right):
    found = paired_items(read(*left), read(*right), Effort())
    return [
        tuple(None if item is None else item.lines[0] if item.lines else item.name for item in pair) for pair in found
    ]


def test_equal_outputs_correspond_and_between_them_those_of_one_name_in_their_order():
    left = [stream("a"), data(text_plain="1"), stream("same"), data(text_plain="end")]
    right = [stream("b"), data(text_plain="2"), stream("same")]
    assert pairs(left, right) == [("a", "b"), ("1", "2"), ("same", "same"), ("end", None)]


def test_what_one_side_alone_has_stands_in_its_place():
    picture = data(image_png=PNG)
    assert pairs([data(text_plain="1")], [picture, data(text_plain="2")]) == [(None, "picture"), ("1", "2")]
    assert pairs([picture, data(text_plain="1")], [data(text_plain="2")]) == [("picture", None), ("1", "2")]
    assert pairs([], [stream("a"), picture]) == [(None, "a"), (None, "picture")]
    assert pairs([stream("a")], [stream("a", "stderr")]) == [("a", None), (None, "a")]
    # A piece that was gone past is not taken for a later one.
    assert pairs([data(text_plain="1"), stream("x")], [stream("y"), data(text_plain="2")]) == [
        (None, "y"),
        ("1", "2"),
        ("x", None),
    ]
