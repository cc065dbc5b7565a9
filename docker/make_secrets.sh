#!/bin/bash
# Adds every secret of docker/example.env that is missing in FILE (default docker/.env). The values are random, and only
# the owner can read the file.
# make_secrets.sh [FILE]
set -euo pipefail
umask 077
here=$(dirname "$0")
file=${1:-$here/.env}
touch "$file"
chmod 600 "$file"

# Letters, digits, - and _ need no quoting in a URL.
random() { head -c "$1" /dev/urandom | base64 --wrap 0 | tr '+/' '-_'; }

while read -r name; do
    grep -q "^$name=." "$file" && continue
    case $name in
        AIRFLOW_FERNET_KEY) secret=$(random 32) ;;
        *_ADMIN_PASSWORD) secret=$(random 15) ;;
        *) secret=$(random 48) ;;
    esac
    # Ends the last line of the file first, where its newline is missing.
    [ -z "$(tail -c 1 "$file")" ] || echo >> "$file"
    echo "$name=$secret" >> "$file"
    echo "$file: $name was added"
done < <(sed -nE 's/^([A-Z_]+)=$/\1/p' "$here/example.env")
