#!/bin/sh
# Prepares MinIO for GoStream: the bucket, reads of hls/* and gate/* by the edge, which sends EDGE_ORIGIN_SECRET, and a
# key for each service with only its policy.
# Idempotent. Uses shell builtins only, because the client's image has no grep or sed.
set -eu
dir=${0%/*}

policies_of() { # the policies of the key $1, separated by commas
  info=$(mc admin user info store "$1")
  printf '%s\n' "$info" | while read -r name value; do
    if [ "$name" = PolicyName: ]; then printf '%s' "$value"; fi
  done
}

grant() { # the policy $1 to the key $2, whose secret is $3
  mc admin policy create store "$1" "$dir/$1.json"
  mc admin user add store "$2" "$3"
  found=$(policies_of "$2")
  # The client fails if the policy is already attached.
  case ",$found," in *",$1,"*) ;; *) mc admin policy attach store "$1" --user "$2" ;; esac
  IFS=,
  for other in $found; do
    if [ "$other" != "$1" ]; then mc admin policy detach store "$other" --user "$2"; fi
  done
  unset IFS
  found=$(policies_of "$2")
  if [ "$found" != "$1" ]; then
    echo "the key $2 has the policies '$found' instead of '$1': its service cannot use the object store" >&2
    exit 1
  fi
}

with_secret() { # the file $1, with the secret of the edge
  # shellcheck disable=SC2016 # the name as it is in the file
  name='${EDGE_ORIGIN_SECRET}'
  while IFS= read -r line; do
    case $line in *"$name"*) line=${line%%"$name"*}$EDGE_ORIGIN_SECRET${line#*"$name"} ;; esac
    printf '%s\n' "$line"
  done <"$1"
}

mc alias set store "$S3_ENDPOINT_URL" "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD"
mc mb --ignore-existing store/videos
with_secret "$dir/anonymous.json" >"${TMPDIR:-/tmp}/anonymous.json"
mc anonymous set-json "${TMPDIR:-/tmp}/anonymous.json" store/videos
grant gostream-api "$S3_ACCESS_KEY" "$S3_SECRET_KEY"
grant gostream-worker "$S3_WORKER_ACCESS_KEY" "$S3_WORKER_SECRET_KEY"
