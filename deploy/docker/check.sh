#!/bin/sh
# Runs before all other services: prints every unsafe setting; then no service starts.
set -eu
status=0
refuse() {
  echo "$1" >&2
  status=1
}

case $POSTGRES_PASSWORD in
  *[!A-Za-z0-9._~-]*) refuse "POSTGRES_PASSWORD: only letters, digits and . _ ~ - may be in it, because it becomes part of a URL" ;;
esac
case $EDGE_ORIGIN_SECRET in
  *[!A-Za-z0-9._~-]* | "") refuse "EDGE_ORIGIN_SECRET: one or more letters, digits and . _ ~ -, because it becomes part of a policy" ;;
esac
case $GOSTREAM_BIND in
  127.* | ::1 | '[::1]') exit $status ;; # only this machine can connect, so the default secrets are acceptable
esac
if [ "$AUTH_MODE" = none ]; then
  refuse "AUTH_MODE: other machines may connect to GOSTREAM_BIND=$GOSTREAM_BIND, so callers must authenticate"
fi
for name in POSTGRES_PASSWORD REDIS_PASSWORD S3_ADMIN_SECRET_KEY S3_SECRET_KEY S3_WORKER_SECRET_KEY CDN_REFRESH_SECRET EDGE_ORIGIN_SECRET; do
  eval "value=\$$name"
  case $value in
    gostream*) refuse "$name: other machines may connect to GOSTREAM_BIND=$GOSTREAM_BIND, so the default must not be used" ;;
    ????????????????*) ;;
    *) refuse "$name: other machines may connect to GOSTREAM_BIND=$GOSTREAM_BIND, so it must have 16 characters or more" ;;
  esac
done
exit $status
