#!/bin/sh
# Starts SeaweedFS as the object store of one machine: an administrator's key for setup.py, and a key for each service with
# only its policy. Further arguments are those of `weed server`.
#
# Only S3 listens outside of the container: the other roles trust whoever reaches them.
set -eu
dir=${0%/*}
run=${TMPDIR:-/tmp}

quoted() { # the standard input as a string of JSON
  printf '"%s"' "$(sed 's/\\/\\\\/g; s/"/\\"/g' | tr -d '\n\r')"
}
credentials() { # the key $1 with the secret $2
  printf '[{"accessKey": %s, "secretKey": %s}]' "$(printf %s "$1" | quoted)" "$(printf %s "$2" | quoted)"
}
service() { # the service $1, whose key is $2 and whose secret is $3
  printf '{"name": "%s", "actions": [], "policyNames": ["%s"], "credentials": %s}' "$1" "$1" "$(credentials "$2" "$3")"
}
policy() { # the policy of the service $1
  printf '{"name": "%s", "content": %s}' "$1" "$(quoted <"$dir/$1.json")"
}

umask 077
cat >"$run/s3.json" <<END
{
  "identities": [
    {"name": "anonymous", "actions": []},
    {"name": "admin", "actions": ["Admin", "Read", "List", "Tagging", "Write"],
     "credentials": $(credentials "$S3_ADMIN_ACCESS_KEY" "$S3_ADMIN_SECRET_KEY")},
    $(service gostream-api "$S3_ACCESS_KEY" "$S3_SECRET_KEY"),
    $(service gostream-worker "$S3_WORKER_ACCESS_KEY" "$S3_WORKER_SECRET_KEY")
  ],
  "policies": [$(policy gostream-api), $(policy gostream-worker)]
}
END
exec weed -logtostderr=true server -dir="${SEAWEEDFS_DATA:-/data}" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
  -master.telemetry=false -volume.max=0 -filer -filer.localSocket="$run/filer.sock" \
  -s3 -s3.ip.bind=0.0.0.0 -s3.port=9000 -s3.config="$run/s3.json" -s3.localSocket="$run/s3.sock" -s3.iam=false \
  -s3.port.iceberg=0 -s3.port.lance=0 -s3.autoCreateBucket=false -s3.allowDeleteBucketNotEmpty=false "$@"
