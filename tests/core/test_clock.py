"""A scheduled notebook that reads the clock reports on today, whichever day it is run for."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from airflow_nbjobs.core.clock import ClockRead, clock_reads


def reads(*sources: str) -> list[tuple[int, str]]:
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    return [(read.cell, read.call) for read in clock_reads(notebook)]


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("from datetime import datetime\nday = datetime.now()", "datetime.now()"),
        ("from datetime import datetime, UTC\nday = datetime.now(tz=UTC)", "datetime.now()"),
        ("from datetime import datetime\nday = datetime.today().date()", "datetime.today()"),
        ("import datetime as dt\nday = dt.datetime.utcnow()", "dt.datetime.utcnow()"),
        ("import datetime\nday = datetime.date.today()", "datetime.date.today()"),
        ("from datetime import date as d\nday = f'{d.today():%Y}'", "d.today()"),
        ("import pandas as pd\nday = pd.Timestamp.now('UTC').normalize()", "pd.Timestamp.now()"),
        ("import pandas as pd\nday = pd.Timestamp.today()", "pd.Timestamp.today()"),
        ("from pandas import Timestamp\nday = Timestamp('now')", "Timestamp('now')"),
        ("import pandas as pd\nday = pd.to_datetime('today')", "pd.to_datetime('today')"),
        ("import numpy as np\nday = np.datetime64('today')", "np.datetime64('today')"),
        ("import time\nstarted = time.time()", "time.time()"),
        ("from time import time\nstarted = time()", "time()"),
        ("import time\nday = time.strftime('%Y-%m-%d')", "time.strftime()"),
        ("import time\nday = time.localtime()", "time.localtime()"),
        ("import pendulum\nday = pendulum.yesterday()", "pendulum.yesterday()"),
        ("%matplotlib inline\nfrom datetime import date\ndef f():\n    return date.today()", "date.today()"),
    ],
)
def test_a_call_that_reads_the_clock_is_found_under_any_import(source, call):
    assert reads(source) == [(1, call)]


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import date\nday = date.fromisoformat('2026-01-01')",
        "import time\nstarted = time.perf_counter(); time.sleep(1); time.monotonic()",
        "import time\nday = time.strftime('%Y', moment); time.localtime(0)",
        "import pandas as pd\nday = pd.Timestamp('2026-01-01'); pd.to_datetime(column)",
        "class date:\n    today = list\ndate.today()",
        "print('datetime.now()')  # datetime.now()",
        "rows = table.today() + [each.now() for each in rows][0].now()",
        "this is not Python, datetime.now()",
    ],
)
def test_what_reads_no_clock_is_not_named(source):
    assert reads(source) == []


def test_cells_are_counted_as_in_the_file_and_imports_hold_for_later_cells():
    notebook = new_notebook(
        cells=[
            new_markdown_cell("Today"),
            new_code_cell("from datetime import date"),
            new_code_cell("a = date.today(); b = date.today()"),
            new_code_cell("c = date.today()"),
        ]
    )
    assert clock_reads(notebook) == (ClockRead(3, "date.today()"), ClockRead(4, "date.today()"))


def test_imports_of_a_notebook_that_is_run_count():
    target = new_notebook(cells=[new_code_cell("import pandas as pd")])
    notebook = new_notebook(cells=[new_code_cell("%run target.ipynb"), new_code_cell("pd.Timestamp.now()")])
    assert clock_reads(notebook) == ()
    assert clock_reads(notebook, imported_by=[target]) == (ClockRead(2, "pd.Timestamp.now()"),)
