"""Pure decisions: standard library and nbformat only; no Airflow, boto3, clock, disk or network."""
