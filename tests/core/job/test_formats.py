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


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        *(
            (f"OSError: {tool} not found", "the image lacks TeX")
            for tool in ("xelatex", "LuaLaTeX", "pdflatex", "bibtex")
        ),
        ("PandocMissing: Pandoc wasn't found", "the image lacks pandoc"),
        ("ModuleNotFoundError: No module named 'playwright'", "the image lacks a browser"),
        ("RuntimeError: no suitable Chromium executable", "the image lacks a browser"),
        ("RuntimeError: PyQtWebEngine is not installed", "the image lacks Qt"),
        ('ExporterNameError: Unknown exporter "foo"', "leave out the format, which the image's nbconvert lacks"),
    ],
)
def test_what_the_image_lacks_is_said_with_a_way_out(cause, words):
    assert words in FailedFormat("pdf", cause, ()).advice


def test_of_several_conversions_the_one_that_was_begun_last_has_failed():
    lines = log(
        *("Converting output notebook to html", TRACEBACK, "KeyError: 'state'"),
        *("Converting output notebook to pdf", "Killed"),
    )
    found = failed_format(lines, ["html", "pdf", "rst", "latex"])
    assert (found.name, found.cause, found.untried) == ("pdf", "", ("rst", "latex"))


def test_a_format_that_nobody_asked_for_leaves_none_untried():
    assert failed_format(["Converting output notebook to foo"], ["html", "pdf"]).untried == ()


def test_only_the_line_after_a_traceback_is_its_cause():
    lines = log(
        "Converting output notebook to html", "ValueError: of the notebook", TRACEBACK, "KeyError: 1", "Done: x"
    )
    assert failed_format(lines, ["html"]).cause == "KeyError: 1"


def test_where_the_log_begins_late_the_exporters_own_word_names_the_format():
    known = failed_format(
        ["Converting output notebook to foo", 'Unknown exporter "bar", did you mean'], ["html", "foo"]
    )
    assert (known.name, known.cause) == ("foo", 'Unknown exporter "bar", did you mean')


def test_a_long_cause_is_cut():
    lines = log("Converting output notebook to html", TRACEBACK, f"KeyError: {'x' * 5000}")
    assert 300 < len(failed_format(lines, ["html"]).cause) < 600


@pytest.mark.parametrize("name", ["pdf", "WebPDF", "qtpdf", "qtpng"])
def test_a_format_that_needs_more_than_nbconvert_is_warned_of(name):
    (warning,) = format_warnings([name])
    assert warning.startswith(f"output_formats: '{name}' needs ")
    assert warning.endswith("which most Jupyter images lack; without it, the job fails after its notebook has run")


@pytest.mark.parametrize("name", ["asciidoc", "latex", "rst", "notebook", "custom", "ipynb"])
def test_the_other_formats_of_nbconvert_are_not(name):
    assert format_warnings([name]) == ()


def test_an_unknown_format_is_told_which_there_are():
    (warning,) = format_warnings(["docx"])
    assert "nbconvert's own formats (asciidoc, html, ipynb, latex, markdown, notebook, pdf, python" in warning
    assert "custom" not in warning


def test_warnings_of_formats_come_with_those_of_cells():
    document = parse_notebook(notebook(code("1 / 0", "raises-exception")), source="nb")
    assert len(late_failures(document, ["pdf", "docx", "html"])) == 3
    assert late_failures(parse_notebook(notebook("x = 1"), source="nb"), ["pdf"]) == format_warnings(["pdf"])
