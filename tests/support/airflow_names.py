"""What the tests take from Airflow that has moved, or come, between 3.0 and 3.4."""

from __future__ import annotations

from airflow.triggers.base import BaseTrigger

__all__ = [
    "HAS_ON_KILL",
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "DagBag",
    "DagSerialization",
    "TaskDeferred",
    "TaskInstanceKey",
    "deserialize",
    "mask_secret",
    "serialize",
]

try:  # Airflow >= 3.2
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferred,
    )
except ImportError:
    from airflow.exceptions import (
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferred,
    )

try:
    from airflow.sdk.types import TaskInstanceKey
except ImportError:
    from airflow.models.taskinstancekey import TaskInstanceKey

try:  # Airflow >= 3.2
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag

try:
    from airflow.sdk.serde import deserialize, serialize
except ImportError:
    from airflow.serialization.serde import deserialize, serialize

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

try:
    from airflow.sdk.log import mask_secret
except ImportError:
    from airflow.sdk.execution_time.secrets_masker import mask_secret

# Airflow >= 3.3: a trigger is told of a user's stop, and the triggerer renders the templates of a task that starts there.
HAS_ON_KILL = hasattr(BaseTrigger, "on_kill")
