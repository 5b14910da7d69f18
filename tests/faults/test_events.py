"""
Every event that costs users money and nights, on a real Airflow: what is left afterwards is counted.

``pytest -m faults`` runs all and prints the table; ``NBJOBS_FAULTS_SEED=1`` a few of them; ``NBJOBS_FAULTS_PYTHON`` names the Python of another Airflow.
Airflow is real processes on PostgreSQL; SageMaker is the embedded one, whose jobs end when the event says so.
"""

from __future__ import annotations

import component_events
import late_events
import pytest
import user_events
import worker_events

EVENTS = [*worker_events.EVENTS, *user_events.EVENTS, *late_events.EVENTS, *component_events.EVENTS]

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_one_job_and_its_results_whatever_happens(event, outcomes):
    outcome = outcomes(event)
    assert not outcome.problems, "\n".join(outcome.problems)
