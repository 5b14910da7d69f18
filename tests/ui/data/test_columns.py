"""Which columns a reader of the list of jobs is offered."""

from __future__ import annotations

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from job_rows import add_jobs, add_xcoms, job, open_database
from sqlalchemy import insert, select

from airflow_nbjobs.ui.data import columns
from airflow_nbjobs.ui.data.filters import Filters


def test_what_is_chosen_comes_first_and_nothing_twice(monkeypatch):
    monkeypatch.setattr(columns, "_MOST_OFFERED", 2)
    assert columns._with(["b", "gone"], ["a", "b", "c"]) == ["b", "gone", "a"]
    assert columns._with([], ["a", "b", "c"]) == ["a", "b"]


def test_how_many_other_columns_there_are_is_counted(monkeypatch):
    """Of a page without any job, what is chosen stays to be chosen."""
    chosen = Filters(output=["a"], parameter=["p"])
    assert columns.offered_columns(None, [], chosen) == columns.Offered(["a"], ["p"])
    monkeypatch.setattr(columns, "_MOST_OFFERED", 2)
    with open_database("sqlite://", RenderedTaskInstanceFields) as session:
        add_jobs(session, [job(0)])
        instance = session.execute(select(TaskInstance.id)).scalar_one()
        name = {"dag_id": "dag_00", "run_id": "manual__0", "task_id": "train", "map_index": -1}
        keys = ("x", "y", "z", "nbjobs_x", "_link_x")
        add_xcoms(session, [name | {"dag_run_id": 1, "key": key, "value": 1} for key in keys])
        whose = {"task_instance_id": instance} if hasattr(RenderedTaskInstanceFields, "task_instance_id") else name
        fields = {"parameters": {f"p{number}": number for number in range(4)}}
        session.execute(insert(RenderedTaskInstanceFields).values(**whose, rendered_fields=fields))
        found = columns.offered_columns(session, [instance], Filters(output=["z"], parameter=["mine"]))
        assert (found.outputs, found.parameters, found.more) == (["z", "x", "y"], ["mine", "p0", "p1"], 1 + 2)
        monkeypatch.setattr(columns, "_MOST_OFFERED", 4)
        found = columns.offered_columns(session, [instance], Filters())
        assert (found.outputs, found.parameters, found.more) == (["x", "y", "z"], ["p0", "p1", "p2", "p3"], 0)
