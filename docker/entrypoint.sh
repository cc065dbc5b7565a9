#!/bin/bash
# One image, many roles: `docker run nightshelf ROLE [more arguments]`; what is no role is run as a command.
set -euo pipefail
# What a role writes, its own user alone may read.
umask 077

# Metadata tables, the pools that tasks ask for, the Iceberg catalog: made once, before anything else starts.
initialize() {
    airflow db migrate
    cat > /tmp/pools.json <<POOLS
{"gpu": {"slots": ${GPU_SLOTS:-1}, "description": "Trainings: one for each GPU", "include_deferred": false},
 "spark": {"slots": ${SPARK_SLOTS:-1}, "description": "Spark jobs side by side", "include_deferred": false}}
POOLS
    airflow pools import /tmp/pools.json
    python -c "from pipeline_tasks.lake.lake import open_catalog; from pipeline_tasks.config.settings import settings; open_catalog(settings())"
}

# In this container alone, with a link where the command line looks for it: `docker compose exec airflow-api nightshelf
# run --date D` logs itself in. The volume itself is read by every role.
write_admin_password() {
    local file=$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE
    python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' > "$file"
    mkdir -p "$NIGHTSHELF_HOME/airflow"
    ln -sfn "$file" "$NIGHTSHELF_HOME/airflow/passwords.json"
}

# Users and their rights lie beside the runs, in MLflow's own database.
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
    # CELERY_QUEUES: machines without a GPU serve `default` alone, those with one serve `gpu`.
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
