"""
The errors of this package, for ``except`` in callbacks and tasks and for a ``retry_policy``.

======================== ================================================================ ==================================== ======================
error                    when                                                             retried by Airflow                   fields beside the base
======================== ================================================================ ==================================== ======================
NotebookJobError         base of all others; itself: a failure outside the cells          yes
NotebookJobConfigError   an argument, the notebook or the account's settings are wrong    no                                   ``problems``
NotebookCellError        a cell raised                                                    yes, unless                          ``cell``, ``ename``,
                                                                                          ``retry_on_cell_error=False`` or     ``evalue``,
                                                                                          the cell's tag ``raises-exception``  ``is_retryable``
NotebookSkippedError     a cell raised an ``AirflowSkipException``                        the task ends as skipped             ``cell``, ``reason``
NotebookJobStoppedError  somebody stopped the training job                                no, unless an earlier try made it
NotebookJobTimeoutError  the job used up ``max_runtime_in_seconds``, its wait for a spot  yes
                         instance, or the task's ``execution_timeout``
NotebookJobCapacityError AWS has no such instance now, or the quota is in use             yes
NotebookJobServiceError  an AWS call or the platform failed                               if ``is_retryable``                  ``code``,
                                                                                                                               ``is_retryable``
NotebookOutputError      the notebook ran to its end; the executed notebook, an output    no                                   ``problems``
                         or a further format is missing or wrong
======================== ================================================================ ==================================== ======================

The ``NotebookJobStoppedError`` of a try that Airflow itself has ended is retried: its job is left to the next try. Every error has ``headline`` (one sentence), ``details`` (label to text: ``"notebook"``, ``"logs"``, ``"next"`` …) and ``job_name`` (None where there is no job);
``str`` shows them all. A task raises a subclass of the type named here, which is an ``AirflowFailException`` (``AirflowSkipException``) too where no retry follows.
Whoever only waits for a job that somebody else started, as a sensor does, retries none of the errors of that job's end.
"""

from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
    NotebookSkippedError,
)

__all__ = [
    "NotebookCellError",
    "NotebookJobCapacityError",
    "NotebookJobConfigError",
    "NotebookJobError",
    "NotebookJobServiceError",
    "NotebookJobStoppedError",
    "NotebookJobTimeoutError",
    "NotebookOutputError",
    "NotebookSkippedError",
]
