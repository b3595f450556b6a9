#!/bin/sh
# Prepares MinIO for GoStream: the bucket, public reads of hls/*, and a key for each service with only its policy.
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

mc alias set store "$S3_ENDPOINT_URL" "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD"
mc mb --ignore-existing store/videos
mc anonymous set-json "$dir/anonymous.json" store/videos
grant gostream-api "$S3_ACCESS_KEY" "$S3_SECRET_KEY"
grant gostream-worker "$S3_WORKER_ACCESS_KEY" "$S3_WORKER_SECRET_KEY"
