"""What Airflow loads in every one of its processes."""

import asyncio
import json
import sys
import tomllib
from pathlib import Path

from forked_programs import AIRFLOW, run_forked

from airflow_nbjobs.ui import plugin

PROBE = """
import json, sys
import airflow.plugins_manager, airflow.sdk
airflow.sdk.BaseOperatorLink
before = set(sys.modules)
import airflow_nbjobs.ui.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_loading_the_plugin_loads_nothing_else(tmp_path):
    """Schedulers, workers and DAG processors load it too, and never show a page."""
    (tmp_path / "probe.py").write_text(PROBE)
    code, said = run_forked(tmp_path / "probe.py", modules=AIRFLOW)
    assert code == 0, said
    loaded = set(json.loads(said.splitlines()[-1]))
    rooms = {"airflow_nbjobs", "airflow_nbjobs.core", "airflow_nbjobs.core.job", "airflow_nbjobs.ui"}
    xcoms = {"airflow_nbjobs.core.job.xcoms", "airflow_nbjobs.core.numbers"}
    ours = rooms | xcoms | {"airflow_nbjobs.links", "airflow_nbjobs.ui.plugin"}
    assert "airflow_nbjobs.ui.plugin" in loaded
    assert loaded <= ours


def test_airflow_finds_it_by_its_entry_point():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["airflow.plugins"] == {
        "airflow_nbjobs": "airflow_nbjobs.ui.plugin:NotebookJobsPlugin"
    }


def test_addresses_are_relative_and_routes_are_its_own():
    """A leading slash would leave a ``base_url`` with a path behind."""
    views = plugin.NotebookJobsPlugin.external_views
    assert [view["destination"] for view in views] == ["task_instance", "nav"]
    assert all(view["href"].startswith("nbjobs/") for view in views)
    assert len({view["url_route"] for view in views}) == 2


def asked(app):
    sent = []

    async def ask():
        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/nbjobs/jobs", "headers": []}
        await app(scope, None, send)

    asyncio.run(ask())
    return sent


def test_an_airflow_whose_parts_have_moved_loses_the_pages_and_nothing_else(monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow_nbjobs.ui.app", None)
    start, body = asked(plugin.LazyApp())
    assert start["status"] == 501
    assert b"need Airflow 3.1 or later" in body["body"]
