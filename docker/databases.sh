#!/bin/bash
# Makes a database for each part, owned by a user of its own: no part reads another's.
set -euo pipefail

for part in airflow mlflow lake celery; do
    variable=${part^^}_DATABASE_PASSWORD
    # From the environment: a command line is seen by every process of the machine.
    PART=$part PART_PASSWORD=${!variable} psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv part PART
\getenv password PART_PASSWORD
CREATE ROLE :"part" LOGIN PASSWORD :'password';
CREATE DATABASE :"part" OWNER :"part";
REVOKE ALL ON DATABASE :"part" FROM PUBLIC;
SQL
done
