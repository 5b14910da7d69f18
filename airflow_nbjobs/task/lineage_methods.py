"""
What OpenLineage asks of an operator, as methods that cost nothing where nobody asks.

Imported whenever a DAG file is parsed: nothing at module level. ``lineage.py`` answers; Airflow without the OpenLineage provider never calls it.
"""

from __future__ import annotations

from typing import Any


class LineageMethods:
    """
    OpenLineage's three questions, for the operator and the sensor.

    Source: ``DefaultExtractor`` in ``airflow/providers/openlineage/extractors/base.py``. They are asked in a fork, with ten seconds to answer, so that an
    answer is made of what lies on the task alone; and a task that defers is asked for its start once for each of its workers.
    """

    def note_lineage(self, **known: Any) -> None:
        """Keep what is known of the task's job for an answer to come: references, nothing is read or copied."""
        vars(self).setdefault("_lineage", {}).update(known)

    def get_openlineage_facets_on_start(self) -> Any:
        from airflow_nbjobs.task.lineage import on_start

        return on_start(self)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        from airflow_nbjobs.task.lineage import on_complete

        return on_complete(self, task_instance)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        from airflow_nbjobs.task.lineage import on_failure

        return on_failure(self, task_instance)
