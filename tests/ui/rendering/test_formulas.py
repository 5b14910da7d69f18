"""Which formulas are set, which stay as they were typed, and how many."""

import re
from xml.etree import ElementTree as ET

import pytest
from defusedxml.ElementTree import fromstring

from airflow_nbjobs.ui.rendering import formulas as formulas_module
from airflow_nbjobs.ui.rendering.formulas import Formulas, mathml


def kinds(text):
    """Return what stands where: texts, and formulas by how they stand."""
    found = []
    for piece in Formulas().pieces(text):
        if isinstance(piece, str):
            found.append(piece)
        else:
            found.append((piece.find("math").get("display") if piece.tag == "span" else piece.tag, piece.get("title")))
    return [piece for piece in found if piece]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a $x$ b", ["a ", ("inline", "$x$"), " b"]),
        ("$x$", [("block", "$x$")]),
        (" $x$\n", [" ", ("block", "$x$"), "\n"]),
        ("a $$x$$", ["a ", ("block", "$$x$$")]),
        (r"a \[x\] b", ["a ", ("block", r"\[x\]"), " b"]),
        (r"a \(x\) b", ["a ", ("inline", r"\(x\)"), " b"]),
        (r"a \begin{align}x\end{align}", ["a ", ("block", r"\begin{align}x\end{align}")]),
        ("$5 and $6", ["$5 and $6"]),
        (r"\$x\$", [r"\$x\$"]),
        ("no formula", ["no formula"]),
        (r"$\nosuch$", [("code", r"$\nosuch$")]),
        ("$x$ and $y$", [("inline", "$x$"), " and ", ("inline", "$y$")]),
    ],
)
def test_formulas_in_a_text_are_found(text, pieces):
    assert kinds(text) == pieces


def element(tex, formulas=None, *, is_block=False):
    return (formulas or Formulas()).element(tex, f"${tex}$", is_block=is_block)


def test_a_formula_stands_within_the_text_or_for_itself():
    assert (element("x").get("class"), element("x", is_block=True).get("class")) == (
        "nb-formula",
        "nb-formula nb-block",
    )
    assert element("x" * 2000).get("title") == "$" + "x" * 999


def test_a_formula_that_is_too_long_stays_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(formulas_module, "_MOST_CHARACTERS", 5)
    assert element("x+y+z").tag == "span"
    long = element("x+y+z+")
    assert (long.tag, long.text, long.get("class"), long.get("title")) == ("code", "$x+y+z+$", "nb-tex", "$x+y+z+$")


def test_of_all_formulas_so_many_are_set_and_a_short_one_still_has_room(monkeypatch):
    monkeypatch.setattr(formulas_module, "_ALL_CHARACTERS", 7)
    formulas = Formulas()
    assert [element(tex, formulas).tag for tex in ("x+y", "a+b+c", "x+yz", "a", "b")] == [
        "span",
        "code",
        "span",
        "code",
        "code",
    ]


@pytest.mark.parametrize(
    "tex",
    [
        r"\begin{aligned}x&=1\end{aligned}",
        r"\begin{split}x&=1\end{split}",
        r"\begin{gathered}x\end{gathered}",
        r"\begin{eqnarray}x&=&1\end{eqnarray}",
        r"\begin{eqnarray*}x&=&1\end{eqnarray*}",
        r"\begin{align}x\label{eq:1}\end{align}",
        r"\begin{align}x\nonumber\end{align}",
        r"\begin{align}x\notag\end{align}",
        r"\require{cancel}x",
    ],
)
def test_what_latex_has_other_words_for_is_set(tex):
    found = element(tex)
    assert found.tag == "span", tex
    assert not re.search(r"label|notag|nonumber|require", "".join(found.itertext()))


def test_a_tree_that_is_no_formula_is_none():
    assert mathml(fromstring("<p/>")) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<math><mi>a</mi>b</math>", "<math><mi>a</mi>b</math>"),
        ("<math><script>x</script><mi>a</mi></math>", "<math><mi>a</mi></math>"),
        ("<math><mtext>a<b>c</b>d</mtext></math>", "<math><mtext>acd</mtext></math>"),
        ("<math><mrow>a<b>c</b>d</mrow></math>", "<math><mrow>a</mrow></math>"),
        (
            "<math><mi href='x' onclick='y' mathvariant='bold'>a</mi></math>",
            '<math><mi mathvariant="bold">a</mi></math>',
        ),
        ("<math><mspace width='-9em'/><mspace width='9em'/></math>", '<math><mspace /><mspace width="9em" /></math>'),
        ("<math><mrow><math><mi>a</mi></math></mrow></math>", "<math><mrow /></math>"),
    ],
)
def test_of_a_tree_that_stays_which_shows_a_formula(given, kept):
    assert ET.tostring(mathml(fromstring(given)), encoding="unicode") == kept
