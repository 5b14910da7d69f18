"""What HTML, pictures and styles of a notebook may be on the page, piece by piece."""

import base64
import re

import pytest
from bs4 import BeautifulSoup

from airflow_nbjobs.ui.rendering.clean import Cleaned, clean
from airflow_nbjobs.ui.rendering.markdown import markdown_html
from airflow_nbjobs.ui.rendering.pictures import inline_svg, picture_address, svg_address
from airflow_nbjobs.ui.rendering.styles import Styles, asks_outside


def html(text, **how):
    return clean(text, **how).html


def svg(text):
    """Return a picture's XML without its root's namespace."""
    address = svg_address(text)
    assert address
    return base64.b64decode(address.partition(",")[2]).decode().replace(' xmlns="http://www.w3.org/2000/svg"', "")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a<!-- b -->c", "ac"),
        ("<b onclick='x'>a</b>", "<b>a</b>"),
        ("<blink>a</blink>", "a"),
        ("<script>x</script>a<SCRIPT>y</SCRIPT>", "a"),
        ("<template>x</template><noscript>y</noscript><title>z</title>a", "a"),
        ("<textarea>x</textarea><select><option>y</option></select><xmp>z</xmp>a", "a"),
        ("<style>b { color: red }</style>a", "a"),
        ("<a href='#cell'>a</a>", '<a href="#cell">a</a>'),
        ("<a>a</a>", "<a>a</a>"),
        ("<a href=''>a</a>", '<a title="" class="nb-address">a</a>'),
        ("<input type=radio><input type=text><input>", '<input type="radio">'),
        ("<p id='cell-1'>a</p><p id='cell-x'>b</p>", '<p>a</p><p id="cell-x">b</p>'),
        ("<p id='failed'>a</p><p id='failed2'>b</p>", '<p>a</p><p id="failed2">b</p>'),
        ("<div class='sk-global'>a</div>", '<div class="sk-global light">a</div>'),
        ("<div class='sk-global dark'>a</div>", '<div class="sk-global dark">a</div>'),
        ("<div class='nb-x b'>a</div>", '<div class="b">a</div>'),
    ],
)
def test_of_html_that_stays_which_shows_something_and_does_nothing(given, kept):
    assert html(given) == kept


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("<iframe src='https://e.com/a'>x</iframe>", "A page at https://e.com/a is not shown here."),
        ("<iframe>x</iframe>", "A page of the notebook itself is not shown here."),
        ("<object data='https://e.com/a'></object>", "An object at https://e.com/a is not shown here."),
        ("<embed src='data:text/plain,x'>", "An object of the notebook itself is not shown here."),
        ("<audio><source src='https://e.com/a'></audio>", "A sound at https://e.com/a is not shown here."),
        ("<video src='https://e.com/a'></video>", "A film at https://e.com/a is not shown here."),
        (f"<video src='https://e.com/{'a' * 600}'></video>", f"A film at https://e.com/{'a' * 486} is not shown here."),
        ("<img src='https://e.com/a' alt=' A '>", "A (a picture at https://e.com/a, not fetched)"),
        ("<img src='https://e.com/a'>", "(a picture at https://e.com/a, not fetched)"),
        ("<img>", "(a picture without a readable address, not fetched)"),
        ("<img src='data:text/html,x'>", "(a picture without a readable address, not fetched)"),
    ],
)
def test_what_is_not_shown_is_said_in_its_place(given, words):
    assert (
        html(f"<p>before</p>{given}<p>after</p>")
        == f'<p>before</p><span class="nb-left-out">{words}</span><p>after</p>'
    )


@pytest.mark.parametrize(
    ("given", "is_blank"),
    [
        ("", True),
        (" <p>\n</p> ", True),
        ("<p>a</p>", False),
        ("<hr>", False),
        ("<img src='data:image/png;base64,AA'>", False),
        ("<div></div><br>", True),
    ],
)
def test_what_shows_nothing_is_blank(given, is_blank):
    assert clean(given).is_blank == is_blank
    assert Cleaned("<progress></progress>").is_blank is False


@pytest.mark.parametrize(
    ("given", "has_colours"),
    [
        ("<b>a</b>", False),
        ("<font color='red'>a</font>", True),
        ("<table bgcolor='red'></table>", True),
        ("<b style='color: red'>a</b>", True),
        ("<b style='color: inherit; background: transparent'>a</b>", False),
        ("<b style='width: 3px'>a</b>", False),
        ("<svg></svg>", True),
    ],
)
def test_what_brings_colours_of_its_own_is_known(given, has_colours):
    assert clean(given).has_colours == has_colours


def test_style_sheets_stay_where_they_have_a_scope():
    given = "<style>b { width: 1px }</style><p>a</p><style>i { color: red }</style>"
    assert clean(given).sheet == ""
    assert clean(given, scope="s").sheet == "#s b { width: 1px; }\n#s i { color: red; }"
    assert clean(given, scope="s").has_colours
    assert clean("<svg><style>b { color: red }</style></svg>", scope="s").sheet == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("# A b", '<h1 id="A-b">A b</h1>'),
        ("# A b\n\n# C", '<h1 id="A-b">A b</h1>\n<h1 id="C">C</h1>'),
        ('<h2 id="own">A</h2>', '<h2 id="own">A</h2>'),
        ("# cell-3", "<h1>cell-3</h1>"),
        ("<h1>A<h2>B</h2></h1>", None),
        ("<h1></h1>", "<h1></h1>"),
    ],
)
def test_headings_have_the_ids_that_others_link_to(given, kept):
    found = str(markdown_html(given)).strip()
    assert found == kept if kept else 'id="A"' in found and 'id="B"' in found


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("data:image/png;base64,AAAA", True),
        ("data:image/jpg;base64,AA\nAA=", True),
        ("data:image/avif;base64,AAAA", True),
        ("data:image/png,AAAA", False),
        ("data:image/tiff;base64,AAAA", False),
        ("data:image/png;base64,AA!A", False),
        (" data:image/svg+xml,<svg/> ", True),
        ("data:image/SVG+XML;base64,PHN2Zy8+", True),
        ("data:image/svg+xml;base64,A", False),
        ("data:image/svg+xml,<p/>", False),
        ("https://e.com/a.png", False),
        ("", False),
    ],
)
def test_only_a_picture_itself_is_one(address, is_one):
    assert (picture_address(address) is not None) == is_one


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<svg><path onload='x()' d='M0'/></svg>", '<svg><path d="M0" /></svg>'),
        ("<svg><script>x</script><g/></svg>", "<svg><g /></svg>"),
        ("<svg><foreignObject><p/></foreignObject><audio/><canvas/></svg>", "<svg />"),
        ("<svg><use href='#a'/><use href='https://e.com#a'/></svg>", '<svg><use href="#a" /><use /></svg>'),
        ("<svg><image href='data:image/png;base64,AA'/></svg>", '<svg><image href="data:image/png;base64,AA" /></svg>'),
        ("<svg><image src=' https://e.com/a'/></svg>", "<svg><image /></svg>"),
        ("<svg><a base='https://e.com'/></svg>", "<svg><a /></svg>"),
        ("<svg><g fill='url(#a)'/><g fill='url(https://e.com)'/></svg>", '<svg><g fill="url(#a)" /><g /></svg>'),
        ("<svg><style>a { color: red }</style></svg>", "<svg><style>a { color: red }</style></svg>"),
        (
            "<svg><style>@media print { a { x: y } }</style></svg>",
            "<svg><style>@media print { a { x: y } }</style></svg>",
        ),
        ("<svg><style>@import 'x'</style></svg>", "<svg />"),
        ("<svg><style>a<b/></style></svg>", "<svg />"),
        ("<svg><animate attributeName='x'/></svg>", '<svg><animate attributeName="x" /></svg>'),
        ("<svg><animate attributeName='xlink:href'/><set attributeName=' onclick'/></svg>", "<svg />"),
        ("<svg><p xmlns='http://www.w3.org/1999/xhtml'/></svg>", "<svg />"),
        ("<svg>a\x01b</svg>", "<svg>a\ufffdb</svg>"),
    ],
)
def test_of_a_picture_that_stays_which_reaches_nothing(given, kept):
    assert svg(given) == kept


@pytest.mark.parametrize("text", ["", "no picture", "<p/>", "<html><svgs/></html>"])
def test_a_text_without_a_picture_is_none(text):
    assert svg_address(text) is None


def test_entities_of_a_picture_are_not_expanded():
    bomb = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">]><svg><text>&a;&a;</text></svg>'
    assert "aaaaaaaaaa" not in svg(bomb)


def drawn(text):
    return inline_svg(BeautifulSoup(text, "html.parser").find("svg"))


@pytest.mark.parametrize(
    ("given", "attributes"),
    [
        ("<svg width='9' height='8' class='a b'/>", {"alt": "", "class": "a b", "width": "9", "height": "8"}),
        ("<svg style='width: 3px'/>", {"alt": "", "style": "width: 3px"}),
        ("<svg style='color: red'/>", {"alt": "", "style": "width: 100%; color: red"}),
        ("<svg height='8'/>", {"alt": "", "height": "8", "style": "width: 100%; "}),
        ("<svg width='1'><title>a</title><g><title>b</title></g></svg>", {"alt": "a b", "width": "1"}),
        ("<svg width='1' aria-label='said'><title>a</title></svg>", {"alt": "said", "width": "1"}),
        (f"<svg width='1'><title>{'a' * 300}</title></svg>", {"alt": "a" * 200, "width": "1"}),
    ],
)
def test_a_picture_in_html_has_the_place_and_the_words_that_it_had(given, attributes):
    found = drawn(given)
    del found["src"]
    assert found == attributes


def test_a_picture_that_stands_alone_has_its_size():
    picture = base64.b64decode(drawn("<svg width='9' height='8' viewbox='0 0 9 8'/>")["src"].partition(",")[2]).decode()
    assert 'width="9"' in picture
    assert 'height="8"' in picture
    assert 'viewBox="0 0 9 8"' in picture


def test_comments_names_and_texts_of_a_picture_in_html():
    found = drawn(
        "<svg xlink:href='#a' xml:space='preserve' xmlns:x='y' b:c='d'>a<!-- c --><g>b</g>d<h:i>e</h:i>f</svg>"
    )
    picture = base64.b64decode(found["src"].partition(",")[2]).decode()
    assert (
        re.sub(r' xmlns(:\w+)?="[^"]*"', "", picture) == '<svg xlink:href="#a" xml:space="preserve">a<g>b</g>df</svg>'
    )


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("red", False),
        ("url(#a)", False),
        ("url(a)", True),
        ("url('#a')", False),
        ("url('a')", True),
        ("src('#a')", False),
        ("image('a')", True),
        ("image-set('a')", True),
        ("expression(1)", True),
        ("URL( 'https://e.com' )", True),
        ("calc(1px + url(a))", True),
        ("translate(1px)", False),
        ("@x", True),
        ("url(", True),
        ("a\\62", False),
    ],
)
def test_a_text_of_css_that_names_something_else_is_known(text, asks):
    assert asks_outside(text) == asks


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a:visited { color: red }", ""),
        ("a:hover { color: red }", "#s a:hover { color: red; }"),
        ("a > b { color: red }", "#s a > b { color: red; }"),
        ("* { color: red }", "#s * { color: red; }"),
        ("a:not(.b) { color: red }", "#s a:not(.b) { color: red; }"),
        ("a:nth-child(2) { color: red }", "#s a:nth-child(2) { color: red; }"),
        (", a { color: red }", "#s a { color: red; }"),
        ("html { --a: 1 } body { color: red }", "#s { --a: 1; }"),
        (":root, a { --a: 1; color: red }", "#s { --a: 1; }\n#s a { --a: 1; color: red; }"),
        ("a { }", ""),
        ("a { position: sticky }", None),
        ("a { width: calc(1px + 2px) }", "#s a { width: calc(1px + 2px); }"),
    ],
)
def test_a_rule_stays_within_its_output(given, kept):
    found = Styles().sheet(given, "s")
    assert found == kept if kept is not None else "fixed" not in found


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("    a | b\n    - | -\n", "<code>a | b\n- | -</code>"),
        ("    a | b\n- | -\n", "<code>a | b</code>"),
        ("text\n\ta | b\n\t- | -\n", "a | b\n- | -"),
        ("  a | b\n   - | -\n 1 | 2 | 3\n", "<td>2</td>"),
        ("~~~\na | b\n- | -\n1 | 2 | 3\n~~~", "1 | 2 | 3"),
        ("```\nx\n```\n\na | b\n- | -\n1 | 2 | 3\n", "<td>2</td>"),
        ("a \\| b | c\n- | -\n1 | 2 | 3\n", "<th>a | b</th>"),
        ("a | b\n- | - | -\n1 | 2 | 3\n", "1 | 2 | 3"),
        ("| a |\n|:-:|\n| 1 | 2 |\n", '<td style="text-align: center;">1</td>'),
    ],
)
def test_rows_of_a_table_are_made_even_and_nothing_else_is(source, shown):
    assert shown in str(markdown_html(source))


def test_an_attachment_is_shown_by_its_name_and_a_missing_one_is_said():
    attachments = {"my plot.png": {"image/png": "AAAA"}, "empty.png": {}}
    assert 'src="data:image/png;base64,AAAA"' in str(markdown_html("![a](attachment:my%20plot.png)", attachments))
    for missing in ("empty.png", "none.png"):
        assert "(a picture without a readable address, not fetched)" in str(
            markdown_html(f"![a](attachment:{missing})", attachments)
        )
