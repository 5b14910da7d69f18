"""
What stands in for Model Monitor's analyzer in the embedded SageMaker: statistics, suggested constraints and violations of a tabular dataset.

Copied into the container of a processing job by ``processing.py`` and run there as ``python -m analyzer MESSAGE_FILE``; imports nothing of the package
but its own modules, by relative names. It is not the analyzer: each file it writes says so. File layouts are the documented ones (SageMaker developer
guide, "Schema for Statistics", "… Constraints", "… Violations"); numbers and thresholds can differ.
"""
