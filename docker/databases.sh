#!/bin/bash
# Creates a database with a user of its own for each part, so that no part can read the data of another.
set -euo pipefail

for part in airflow mlflow lake celery; do
    variable=${part^^}_DATABASE_PASSWORD
    # The password comes from the environment, because every process can read command lines.
    PART=$part PART_PASSWORD=${!variable} psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv part PART
\getenv password PART_PASSWORD
CREATE ROLE :"part" LOGIN PASSWORD :'password';
CREATE DATABASE :"part" OWNER :"part";
REVOKE ALL ON DATABASE :"part" FROM PUBLIC;
SQL
done
