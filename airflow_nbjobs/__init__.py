"""Run Jupyter notebooks in production from Apache Airflow, as SageMaker notebook jobs."""

__version__ = "0.1.0"
