#!/bin/bash
# Writes every secret of docker/example.env that FILE (docker/.env) lacks: random, and readable by its owner alone.
# make_secrets.sh [FILE]
set -euo pipefail
umask 077
here=$(dirname "$0")
file=${1:-$here/.env}
touch "$file"
chmod 600 "$file"

# Letters, digits, - and _: fit for a URL without quoting.
random() { head -c "$1" /dev/urandom | base64 --wrap 0 | tr '+/' '-_'; }

while read -r name; do
    grep -q "^$name=." "$file" && continue
    case $name in
        AIRFLOW_FERNET_KEY) secret=$(random 32) ;;
        *_ADMIN_PASSWORD) secret=$(random 15) ;;
        *) secret=$(random 48) ;;
    esac
    # On a line of its own, even where the last line of the file is not ended.
    [ -z "$(tail -c 1 "$file")" ] || echo >> "$file"
    echo "$name=$secret" >> "$file"
    echo "$file: $name is new"
done < <(sed -nE 's/^([A-Z_]+)=$/\1/p' "$here/example.env")
