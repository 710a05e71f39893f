#!/usr/bin/env bash
# An MLflow server for a team: a database, an artefact store and passwords, in one command.
#
#     cluster/mlflow_server.sh FOLDER
#
# FOLDER keeps what must outlive the server: the users, the secret of their sessions and, unless
# told otherwise, everything. The first start makes the password of `admin` and keeps it there.
#
#     MLFLOW_DATABASE   sqlite:///FOLDER/mlflow.db   or postgresql://USER:PASSWORD@HOST/NAME
#     MLFLOW_ARTIFACTS  FOLDER/artifacts             or s3://BUCKET/PREFIX
#     MLFLOW_HOST       127.0.0.1                    behind a proxy that speaks TLS
#     MLFLOW_PORT       5000
#
# Clients send artefacts through the server, so only the server needs the bucket's credentials.
set -euo pipefail

folder=${1:?"usage: cluster/mlflow_server.sh FOLDER"}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
umask 077

keep() { # a secret, made once
  [ -s "$folder/$1" ] || python3 -c 'import secrets; print(secrets.token_urlsafe(24))' > "$folder/$1"
  cat "$folder/$1"
}

echo "user: admin; password: in $folder/admin_password" >&2
MLFLOW_AUTH_ADMIN_PASSWORD=$(keep admin_password)
MLFLOW_FLASK_SERVER_SECRET_KEY=$(keep session_secret)
export MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY

cat > "$folder/auth.ini" <<INI
[mlflow]
default_permission = EDIT
database_uri = sqlite:///$folder/users.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
INI
export MLFLOW_AUTH_CONFIG_PATH=$folder/auth.ini
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=${MLFLOW_SERVER_ENABLE_JOB_EXECUTION:-false}

exec mlflow server \
  --app-name basic-auth \
  --backend-store-uri "${MLFLOW_DATABASE:-sqlite:///$folder/mlflow.db}" \
  --artifacts-destination "${MLFLOW_ARTIFACTS:-$folder/artifacts}" \
  --host "${MLFLOW_HOST:-127.0.0.1}" \
  --port "${MLFLOW_PORT:-5000}"
