"""The lines of a cell as IPython takes them: without prompts and shared indentation, and as logical lines."""

import pytest

from airflow_nbjobs.core.notebook.cell_lines import HELP, Statement, assembled, cleaned, end_of_continued, scan


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = 1\n  b = 2", "a = 1\n  b = 2"),
        ("  a = 1\n    b = 2", "a = 1\n  b = 2"),
        ("\ta = 1\n\tb = 2", "a = 1\nb = 2"),
        ("  a = 1\nb = 2", "a = 1\nb = 2"),
        ("  alpha = 1\nb = 2\n    c\n  d", "alpha = 1\nb = 2\n  c\nd"),
        ("  >>> alpha = 1\nb = 2", "alpha = 1\nb = 2"),
        ("    a = 1\n  b = 2", "a = 1\n  b = 2"),
        ("  # a\nb = 1", "  # a\nb = 1"),
        (">>> a = 1\n>>> b = 2", "a = 1\nb = 2"),
        (">>> for a in b:\n...     c = a\n...", "for a in b:\n    c = a\n"),
        (">>>a = 1", "a = 1"),
        (">>>\ta = 1", "a = 1"),
        ("  >>> a = 1\n  >>> b = 2", "a = 1\nb = 2"),
        ("... = 1\na", "... = 1\na"),  # no prompt before it
        ("a = 1\n>>> b = 2", "a = 1\nb = 2"),
        ("a = '''\n>>> b\n'''", "a = '''\n>>> b\n'''"),
        ("a = '''\n>>> b\n'''\n>>> c = 1", "a = '''\n>>> b\n'''\nc = 1"),
        (">>> a = '''\n... b\n... '''", "a = '''\nb\n'''"),
        ('a = """\n\'\'\'\n>>> b\n"""', 'a = """\n\'\'\'\n>>> b\n"""'),
        ("In [1]: a = 1\n   ...: b = 2", "a = 1\nb = 2"),
        ("In [12]: a = 1\n\nIn [13]: b = 2", "a = 1\n\nb = 2"),
        ("[ins] In [1]: a = 1", "a = 1"),
        ("[nav] In [1]: a = 1", "a = 1"),
        ("# a\nIn [1]: b = 2", "# a\nb = 2"),
        ("a\nb\nIn [1]: c", "a\nb\nIn [1]: c"),
    ],
)
def test_prompts_and_shared_indentation_go(source, expected):
    assert "\n".join(cleaned(source.split("\n"))) == expected


@pytest.mark.parametrize(
    ("source", "end", "magic", "asks"),
    [
        ("a = 1\nb", 0, None, False),
        ("a = (1,\n2)\nb", 1, None, False),
        ("a = [1,\n{2:\n3}]\nb", 2, None, False),
        ("a = '''1\n2'''\nb", 1, None, False),
        ('a = """1\n\'\'\'\n2"""\nb', 2, None, False),
        ("a = 1 \\\n+ 2\nb", 1, None, False),
        ("a = 1 \\ \nb", 0, None, False),
        ("a = '1\\\n2'\nb", 1, None, False),
        ("a = '1\nb", 0, None, False),
        ("a = '(' # (\nb", 0, None, False),
        ("a = ')('\nb", 0, None, False),
        ("a)\nb", 0, None, False),
        ("a = (1", 0, None, False),
        ("a = '''1\n2", 1, None, False),
        ("a?", 0, None, True),
        ("a? ", 0, None, True),
        ("a # ?", 0, None, False),
        ("a? # b", 0, None, False),
        ("'a?'", 0, None, False),
        ("(a,\nb?", 1, None, True),
        ("a = !ls", 0, (0, 4), False),
        ("a = %pwd", 0, (0, 4), False),
        ("a=!ls", 0, (0, 2), False),
        ("a = \\\n  !ls\nb", 0, (1, 2), False),
        ("a.b[0] = !ls", 0, (0, 9), False),
        ("a = b = !ls", 0, None, False),
        ("a == !ls", 0, None, False),
        ("a <= !ls", 0, None, False),
        ("a += !ls", 0, None, False),
        ("f(a = !ls)", 0, None, False),
        ("a = !=b", 0, None, False),
        ("a = %5", 0, None, False),
        ("a = % pwd", 0, (0, 4), False),
        ("a = %pwd?", 0, None, True),
        ("a = '=' + !ls", 0, None, False),
    ],
)
def test_a_logical_line_goes_on_through_brackets_texts_and_backslashes(source, end, magic, asks):
    assert scan(source.split("\n"), 0) == Statement(end, magic, asks)


def test_a_logical_line_begins_where_it_is_asked_to():
    assert scan(["(", "a", "(b,", "c)", "d"], 2).end == 3


def test_what_goes_on_with_backslashes_is_one():
    lines = ["x = !a \\", "  b \\", "c", "d \\"]
    assert [end_of_continued(lines, row) for row in range(4)] == [2, 2, 2, 3]
    assert assembled(lines, (0, 4), 2) == "!a    b  c"
    assert assembled(["  !a  "], (0, 2), 0) == "!a"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("a?", "a?"),
        ("a.b??", "a.b??"),
        ("%time?", "%time?"),
        ("%%time?", "%%time?"),
        ("a[0].b?", "a[0].b?"),
        ("a[-1]?", "a[-1]?"),
        ("*a*?", "*a*?"),
        ("f()?", None),
        ("a ?", None),
        ("a? ", None),
        ("5?", None),
        ("b = a?", "a?"),
    ],
)
def test_a_question_is_asked_about_a_name(text, asked):
    found = HELP.search(text)
    assert (found and found[0]) == asked
