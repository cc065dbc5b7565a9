-- Beside the database of Airflow, which POSTGRES_DB makes: MLflow's, the Iceberg catalog's, and the queue of Celery.
CREATE DATABASE mlflow;
CREATE DATABASE lake;
CREATE DATABASE celery;
