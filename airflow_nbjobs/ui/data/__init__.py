"""What Airflow's database says: one task instance, and all jobs that a user may see."""
