"""What an Airflow knows of its runs: one port, answered by its metadata database or by its REST API."""
