"""Pages about a run, its recommendations and its tables: queries, templates and the SQL box, without Airflow."""
