"""The Airflow plugin that shows executed notebooks: a tab on each task instance, and a page of all notebook jobs."""
