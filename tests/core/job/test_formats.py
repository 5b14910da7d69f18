"""Which further format was not written, and why, from the end of a container's log."""

import pytest
from fakes import code, notebook

from airflow_nbjobs.core.job.formats import FailedFormat, failed_format, format_warnings, formats_variable
from airflow_nbjobs.core.job.late_failures import late_failures
from airflow_nbjobs.core.notebook.document import parse_notebook

TRACEBACK = ["Traceback (most recent call last):", '  File "x.py", line 1, in main', "    app.start()"]
JINJA = ["Traceback (most recent call last):", '  File "null.j2", line 48, in block', "    {%- block x %}", "    ^"]


def log(*parts):
    return [line for part in parts for line in ([part] if isinstance(part, str) else part)]


@pytest.mark.parametrize(
    ("lines", "asked", "name", "cause", "untried"),
    [
        (
            log("Converting output notebook to pdf", TRACEBACK, "OSError: xelatex not found on PATH, if"),
            ["pdf"],
            "pdf",
            "OSError: xelatex not found on PATH, if",
            (),
        ),
        (
            log(
                "Converting output notebook to html",
                "[NbConvertApp] Writing 5 bytes",
                "Converting output notebook to foo",
                TRACEBACK,
                'nbconvert.exporters.base.ExporterNameError: Unknown exporter "foo", did',
            ),
            ["html", "foo", "markdown"],
            "foo",
            'ExporterNameError: Unknown exporter "foo", did',
            ("markdown",),
        ),
        (
            log("Converting output notebook to html", JINJA, "KeyError: 'state'", "Note: over"),
            ["html"],
            "html",
            "KeyError: 'state'",
            (),
        ),
        (
            log("Converting output notebook to html", TRACEBACK, "KeyError: 1", "", "During", "", TRACEBACK, "Stop"),
            ["html"],
            "html",
            "Stop",
            (),
        ),
        (
            log("Converting output notebook to html", "x.sh: line 77: jupyter: command not found"),
            ["html"],
            "html",
            "jupyter: command not found",
            (),
        ),
        (log("Converting output notebook to html", "Killed"), ["html"], "html", "", ()),
        (log("boom"), ["html"], "html", "", ()),
        (log('ExporterNameError: Unknown exporter "x"'), [], "x", 'Unknown exporter "x"', ()),
    ],
)
def test_the_format_that_failed_is_named_with_its_exception(lines, asked, name, cause, untried):
    found = failed_format(lines, asked)
    assert (found.name, found.cause, found.untried) == (name, cause, untried)
    assert found.advice


def test_the_format_that_studio_needs_blames_none_that_was_asked_for():
    """The driver converts to it first; where nbconvert is missing, the log names it and the others were not tried."""
    lines = ["Converting output notebook to ipynb", "script.sh: line 77: jupyter: command not found"]
    found = failed_format(lines, ["ipynb", "html"])
    assert (found.name, found.untried) == ("ipynb", ("html",))
    assert "leave output_formats out" in found.advice
    assert failed_format(["boom"], ["ipynb", "html"]).name == "html"


@pytest.mark.parametrize(
    ("name", "cause", "words"),
    [
        ("pdf", "OSError: xelatex not found on PATH", "lacks TeX"),
        ("html", "KeyError: 'state'", "leave the format out, or convert the executed notebook yourself"),
        ("html", "", "leave the format out"),
        ("ipynb", "OSError: xelatex not found on PATH", "leave output_formats out"),
    ],
)
def test_the_advice_is_of_the_cause(name, cause, words):
    assert words in FailedFormat(name, cause, ()).advice


def test_the_variable_has_the_format_that_studio_needs_first_and_each_once():
    assert formats_variable([]) is None
    assert formats_variable(["html", "ipynb", "html"]) == "ipynb,html"


@pytest.mark.parametrize("asked", [[], ["html", "pdf"], ["ipynb", "html", "pdf"]])
def test_a_log_that_says_nothing_of_a_format_blames_none(asked):
    assert failed_format(["boom"], asked) is None


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        (["html", "markdown", "slides", "script", "python", "HTML", "mypackage.MyExporter"], []),
        (["pdf"], ["'pdf' needs TeX (xelatex)"]),
        (["webpdf", "html"], ["'webpdf' needs playwright"]),
        (["docx"], ["'docx' is none of nbconvert's own formats"]),
    ],
)
def test_formats_that_most_images_cannot_write_are_warned_of(formats, said):
    warnings = format_warnings(formats)
    assert len(warnings) == len(said)
    assert all(text in warning for text, warning in zip(said, warnings, strict=True))


def test_cells_whose_exception_the_driver_does_not_let_pass_are_warned_of_by_their_positions():
    def warned(*cells):
        return late_failures(parse_notebook(notebook(*cells), source="nb"), [])

    tagged = code("1 / 0", "raises-exception")
    assert warned("x = 1", "1 / 0") == ()
    assert warned("x = 1", tagged)[0].startswith("cell 2 is tagged 'raises-exception'")
    assert warned(tagged, "x = 1", tagged)[0].startswith("cells 1, 3 are tagged 'raises-exception'")
