"""A scheduled notebook that reads the clock reports on today, whichever day it is run for."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from airflow_nbjobs.core.notebook.clock_reads import ClockRead, clock_reads


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
        ("import time\nnew = rows[rows.at > time.time()]", "time.time()"),
        ("from time import time\nnew = rows[rows.at > time()]", "time()"),
        ("import time\nday = time.strftime('%Y-%m-%d')", "time.strftime()"),
        ("import time\nday = time.localtime()", "time.localtime()"),
        ("import pendulum\nday = pendulum.yesterday()", "pendulum.yesterday()"),
        ("import pendulum\nday = pendulum.now()", "pendulum.now()"),
        ("import arrow\nday = arrow.utcnow()", "arrow.utcnow()"),
        ("import pandas as pd\nday = pd.Period.now('D')", "pd.Period.now()"),
        ("import time\nday = time.ctime()", "time.ctime()"),
        ("import time\nload(time.time_ns())", "time.time_ns()"),
        ("import time\nday = time.gmtime()", "time.gmtime()"),
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
        "import time\nday = time.ctime(0); load(time.strftime(format='%Y', t=moment))",
        "import pandas as pd\nload(pd.Timestamp(), pd.Timestamp(word), pd.to_datetime('tomorrow'))",
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
    notebook = new_notebook(cells=[new_code_cell("%run target.ipynb"), new_code_cell("day = pd.Timestamp.now()")])
    assert clock_reads(notebook) == ()
    assert clock_reads(notebook, imported_by=[target]) == (ClockRead(2, "pd.Timestamp.now()"),)


STOPWATCHES = [
    "start = time.time()\nfit()\nprint('took', time.time() - start)",
    "start = time.time()\nfit()\nend = time.time()\nelapsed = end - start\nresults['seconds'] = elapsed",
    "start = datetime.now()\nfit()\nprint(datetime.now() - start)",
    "t0 = datetime.datetime.now()\nfit()\nduration = (datetime.datetime.now() - t0).total_seconds()\nsave(duration)",
    "print('started', datetime.now())",
    "print(f'[{datetime.now():%H:%M:%S}] done')",
    "print(time.strftime('%H:%M:%S'), 'done')",
    "log.info('now %s', datetime.now().isoformat())",
    "now = datetime.now().strftime('%H:%M')\nprint('it is ' + now)",
    "def elapsed(start):\n    return time.time() - start",
    "class Timer:\n    def __enter__(self):\n        self.start = time.time()\n    def __exit__(self, *a):\n        self.took = time.time() - self.start",
    "deadline = time.time() + 60\nwhile time.time() < deadline:\n    poll()",
    "start = time.time()\nwhile time.time() - start < 60:\n    poll()",
    "times = []\ntimes.append(time.time())\ntimes.append(time.time())\nprint(times[-1] - times[0])",
    "times = {}\ntimes['start'] = time.time()\nfit()\nsave(time.time() - times['start'])",
    "np.random.seed(int(time.time()))",
    "seed = int(time.time() * 1000) % 2**32\nmodel = Forest(random_state=seed)",
    "logging.basicConfig(filename=f'run_{datetime.now():%Y%m%d}.log')",
    "log_dir = 'logs/fit/' + datetime.now().strftime('%Y%m%d-%H%M%S')\ncallback = TensorBoard(log_dir=log_dir)",
    "stamp = time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime())\njob_name = 'train-' + stamp\nestimator.fit(data, job_name=job_name)",
    "start = time.time()",
    "datetime.now()",
    "start, end = time.time(), None\nfit()\nend = time.time()\nprint('%.1f s' % (end - start))",
    "started = round(time.time(), 2)\nfit()\nprint('{:.2f}'.format(time.time() - started))",
    "start = time.time()\nprint(time.time() - start)\nstart = 5\nrows = rows[start:]",
    "tic = pd.Timestamp.now()\nfit()\nprint((pd.Timestamp.now() - tic).seconds)",
    "start = time.time()\nfor i in x:\n    print(i, time.time() - start)\n    start = time.time()",
    "def timed(f):\n    def inner(*a):\n        t1 = time.time()\n        r = f(*a)\n        t2 = time.time()\n        print(t2 - t1)\n        return r\n    return inner",
]
STOPWATCHES += [
    "start: datetime = datetime.now()\nfit()\nprint(datetime.now() - start)",
    "print((start := datetime.now()))\nprint(datetime.now() - start)",
    "path = f'logs/{datetime.now():%Y}.txt'\nopen(path)",
    "open('app-' + str(datetime.now()) + '.log')",
    "open('app-%s.log' % datetime.now())",
    "open('app-{}.log'.format(datetime.now()))",
    "open(os.path.join('logs', str(datetime.now())))",
    "if datetime.now() > deadline:\n    stop()",
    "while start <= time.time() < end:\n    poll()",
    "fit(seed=int(datetime.now().timestamp()))",
    "start_run(run_name=f'try {datetime.now()}')",
    "model.deploy(endpoint_name='e-' + datetime.now().strftime('%H'))",
    "print(1, end=str(datetime.now()))",
    "print(format(value=datetime.now()))",
    "sys.stdout.write(str(datetime.now()))",
    "tqdm.write(str(datetime.now()))",
    "total = 0\ntotal += time.time()",
    "print(time.time() - rows['at'])",
    "print(datetime.now() - job.start_time)",
    "class A:\n    def took(self):\n        return time.time() - self.anything",
    "facts = {}\nfacts['at'] = datetime.now()",
    "facts = dict()\nfacts['at'] = datetime.now()\nprint(facts)",
    "facts = defaultdict(list)\nfacts['at'].append(datetime.now())",
    "facts = {'at': datetime.now()}\nprint(facts['at'])\ndel facts['at']",
    "now = datetime.now()\nprint(now)\nnow = datetime(2026, 1, 1)\nload(now)",
    "def stamp():\n    return datetime.now()\nprint(stamp())",
    "async def stamp():\n    return datetime.now().isoformat()\nprint(stamp(), stamp())",
    "def stamp():\n    if x:\n        return datetime.now()\n    return stamp()\nprint(stamp())",
    "print([datetime.now(), (1, datetime.now())], {'at': datetime.now()}, *[datetime.now()])",
    "print(datetime.now() if x else 'never', datetime.now() or 1, -time.time())",
    "(first, second) = (time.time(), 5)\nload(second)\nprint(first)",
    "a = b = datetime.now()\nprint(a, b)",
    "print(max(datetime.now(), datetime.now()).date())",
    "now = datetime.now()\nlater = now + timedelta(seconds=5)\nprint(later - now)",
    "time.sleep(60 - time.time() % 60)",
    "save(time.time() - x)",
    "save(time.time() - df.start)",
    "save(datetime.now() - started)",
    "print(datetime.now() - x)",
    "class A:\n    @classmethod\n    def took(cls):\n        save(time.time() - cls.anything)",
    "class A:\n    def took(self):\n        save(datetime.now() - self.start)",
    "logger.info(datetime.now().replace(tzinfo=None))",
    "x = {'at': 5}\nx['at'] = time.time()\nprint(x)",
    "times = OrderedDict()\ntimes['a'] = datetime.now()",
    "self.times = []\nself.times.append(datetime.now())\nprint(self.times)",
    "tb = SummaryWriter(comment=str(datetime.now()))",
    "model.fit(callbacks=[TensorBoard(log_dir=str(datetime.now()))])",
    "stamp = datetime.now().strftime('%H')\nestimator = E(base_job_name=stamp, random_seed=stamp)",
    "facts = {'at': datetime.now()}\nsave(datetime.now() - facts['at'])",
    "times = [datetime.now()]\nsave(datetime.now() - times[0])",
    "times = (datetime.now(), 5)\nsave(datetime.now() - times[0])",
    "first = datetime.now()\nsecond = first\nsave(datetime.now() - second)",
    "first = str(datetime.now())\nsave(datetime.now() - first)",
    "first = datetime.now().timestamp()\nsave(datetime.now() - first)",
    "start = 5\ndef took(start):\n    return time.time() - start\nsave(took(x))",
]
READS = [
    "def day():\n    return date.today()",
    "def day():\n    return date.today()\nprint(day())\nload(day())",
    "day = lambda: date.today()\nprint(day())",
    "rows = table[str(date.today())]",
    "rows = old if date.today() else new",
    "x = (date.today() == holiday)",
    "if datetime.now() > rows.at:\n    load()",
    "if start < datetime.now() < rows.at:\n    load()",
    "fit(day=date.today())",
    "fit(text=str(date.today()))",
    "fit(str(x=date.today()))",
    "file.write(str(date.today()))",
    "print(datetime.now() - rows['at'])",
    "print(datetime.now() - user.birth)",
    "facts = {'day': date.today()}\nload(facts['day'])",
    "days = []\ndays.append(date.today())\nload(days)",
    "days = f()\ndays['at'] = datetime.now()\nprint(days)",
    "now = datetime.now()\nprint(now)\nnow = now.date()\nload(now)",
    "total += datetime.now()",
    "first, second = date.today(), 5\nload(first)",
    "for day in [date.today()]:\n    load(day)",
    "day: date = date.today()\nload(day)",
    "if (day := date.today()):\n    load(day)",
    "a = b = date.today()\nprint(a)\nload(b)",
    "print(load(date.today()))",
    "open(f'out/{datetime.now():%Y}.txt')",
    "x.day = date.today()",
    "load(a, *[date.today()])",
    "yield_day = [date.today() for x in y]\nload(yield_day)",
    "assert date.today()",
    "first, *rest = time.time(), 5\nprint(first)\nload(rest)",
    "load(time.time() - df.at)",
    "load(datetime.now() - x)",
    "class A:\n    def age(self):\n        return datetime.now() - self.birth\nload(A().age())",
    "x = 5\nx[0] = datetime.now()\nprint(x)",
    "f()[0] = time.time()",
    "open('app-' + str(datetime.now()) + '.csv')",
    "open('catalogue/%s' % datetime.now())",
    "load(table, name=str(date.today()))",
    "log_table(date.today())",
    "load(round(datetime.now().timestamp()))",
    "start = datetime(2020, 1, 1)\nload(datetime.now() - start)",
    "start = 5\nload(time.time() - start)",
    "def f(birth):\n    return datetime.now() - birth\nload(f(x))",
    "day = date.today()\nrows = load(day)",
    "day = datetime.now().strftime('%Y-%m-%d')\npath = f's3://lake/{day}/rows.parquet'\nread(path)",
    "yesterday = date.today() - timedelta(days=1)\nrows = rows[rows.day == yesterday]",
    "delta = timedelta(days=1)\nday = datetime.now() - delta\nrows = load(day)",
    "rows = rows[rows.day < datetime.now()]",
    "rows['age'] = (datetime.now() - rows['birth']).dt.days",
    "rows['run_at'] = datetime.now()",
    "query = f\"select * from t where day = '{date.today()}'\"",
    "rows.to_csv(f'out/{datetime.now():%Y%m%d}.csv')",
    "out = 'out/' + time.strftime('%Y%m%d') + '.csv'\nrows.to_csv(out)",
    "year = datetime.now().year\nrows = rows[rows.year == year]",
    "now = time.time()\nrecent = rows[rows.at > now - 86400]",
    "now = datetime.now()\nprint('it is', now)\nrows = load(now.date())",
    "def load(day=date.today()):\n    return read(day)",
    "def today():\n    return date.today()\nrows = load(today())",
    "start = datetime.now() - timedelta(days=7)\nend = datetime.now()\nrows = load(start, end)",
    "birth = datetime(1990, 1, 1)\nage = (datetime.now() - birth).days\nrows['age'] = age",
    "report_date = date.today()",
    "if datetime.now().weekday() == 0:\n    rows = load('weekly')",
    "rows.to_sql(name=f'sales_{date.today():%Y}', con=con)",
    "dates = pd.date_range(end=pd.Timestamp.today(), periods=30)",
    "params = {'day': str(date.today())}\nrequests.get(url, params=params)",
]
IMPORTS = "import logging, time\nimport datetime as dt\nfrom datetime import date, datetime, timedelta\nimport numpy as np, pandas as pd"


@pytest.mark.parametrize("source", STOPWATCHES)
def test_a_stopwatch_is_no_read_nor_is_what_is_only_shown_or_seeds(source):
    imports = (
        IMPORTS.replace("from datetime import date, datetime, timedelta", "import datetime")
        if "datetime.datetime" in source
        else IMPORTS
    )
    assert reads(imports, source) == []
    assert reads(imports, *source.split("\n\n")) == []


@pytest.mark.parametrize("source", READS)
def test_what_goes_into_a_date_a_path_a_filter_or_a_column_is_a_read(source):
    assert {cell for cell, _ in reads(IMPORTS, source)} == {2}


def test_a_stopwatch_may_go_from_cell_to_cell_and_from_notebook_to_notebook():
    assert reads("import time", "start = time.time()", "fit()", "print(time.time() - start)") == []
    target = new_notebook(cells=[new_code_cell("import time\nstart = time.time()")])
    notebook = new_notebook(cells=[new_code_cell("%run target.ipynb"), new_code_cell("rows = load(start)")])
    assert clock_reads(target, imported_by=[notebook, target]) == (ClockRead(1, "time.time()"),)
    assert clock_reads(target) == ()
