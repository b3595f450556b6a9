#!/bin/sh
# Prepares MinIO for GoStream, as often as it is run: the bucket, who may read it, and the application's own key.
set -eu
mc alias set store "$S3_ENDPOINT_URL" "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD"
mc mb --ignore-existing store/videos
mc anonymous set-json /etc/gostream/anonymous.json store/videos
mc admin policy create store gostream /etc/gostream/app.json
mc admin user add store "$S3_ACCESS_KEY" "$S3_SECRET_KEY"
case "$(mc admin user info store "$S3_ACCESS_KEY")" in
  *gostream*) ;; # attached by an earlier run: doing it twice is an error
  *) mc admin policy attach store gostream --user "$S3_ACCESS_KEY" ;;
esac
