"""The routes of the pages, each behind Airflow's own permission for its DAG."""
