#!/bin/bash
# Starts a role of the image: `docker run nightshelf ROLE [arguments]`. Anything that is not a role runs as a command.
set -euo pipefail
# Only the user of a role may read the files that it writes.
umask 077

# Creates the metadata tables, the pools of the tasks and the Iceberg catalog, before the other roles start.
initialize() {
    airflow db migrate
    cat > /tmp/pools.json <<POOLS
{"gpu": {"slots": ${GPU_SLOTS:-1}, "description": "Trainings: one for each GPU", "include_deferred": false},
 "spark": {"slots": ${SPARK_SLOTS:-1}, "description": "Spark jobs side by side", "include_deferred": false}}
POOLS
    airflow pools import /tmp/pools.json
    python -c "from pipeline_tasks.lake.lake import open_catalog; from pipeline_tasks.config.settings import settings; open_catalog(settings())"
}

# Writes the password in this container only, because every role can read the volume. The link is where the command line
# expects the file, so that `docker compose exec airflow-api nightshelf run --date D` can log in.
write_admin_password() {
    local file=$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE
    python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' > "$file"
    mkdir -p "$NIGHTSHELF_HOME/airflow"
    ln -sfn "$file" "$NIGHTSHELF_HOME/airflow/passwords.json"
}

# Users and their permissions are stored in MLflow's database, like the runs.
write_mlflow_users() {
    export MLFLOW_AUTH_CONFIG_PATH=/tmp/basic_auth.ini
    cat > "$MLFLOW_AUTH_CONFIG_PATH" <<INI
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = ${MLFLOW_BACKEND_STORE_URI//%/%%}
admin_username = $MLFLOW_AUTH_ADMIN_USERNAME
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
INI
}

role=${1:-help}
shift || true
case $role in
    help) sed -nE 's/^    ([a-z-]+)\).*/\1/p' "$0" | tr '\n' ' '; echo ;;
    initialize) initialize ;;
    airflow-api)
        write_admin_password
        exec airflow api-server --host 0.0.0.0 --port 8080 "$@"
        ;;
    airflow-scheduler) exec airflow scheduler "$@" ;;
    airflow-dag-processor) exec airflow dag-processor "$@" ;;
    airflow-triggerer) exec airflow triggerer "$@" ;;
    # CELERY_QUEUES: use `default` on machines without a GPU, and `gpu` on machines with one.
    airflow-worker) exec airflow celery worker --queues "${CELERY_QUEUES:-default,gpu}" "$@" ;;
    mlflow)
        write_mlflow_users
        exec mlflow server --host 0.0.0.0 --port 5000 --app-name basic-auth "$@"
        ;;
    spark-master)
        exec spark-class org.apache.spark.deploy.master.Master --host "$(hostname)" --port 7077 --webui-port 8080 "$@"
        ;;
    spark-worker)
        exec spark-class org.apache.spark.deploy.worker.Worker --host "$(hostname)" --webui-port 8081 \
            --work-dir /tmp/spark-work "${SPARK_MASTER_URL:-spark://spark-master:7077}" "$@"
        ;;
    data-docs)
        mkdir -p "$NIGHTSHELF_HOME/data_docs"
        exec python -m http.server 8090 --directory "$NIGHTSHELF_HOME/data_docs"
        ;;
    *) exec "$role" "$@" ;;
esac
