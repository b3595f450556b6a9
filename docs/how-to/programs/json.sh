#!/bin/bash
# Uploads a video, processes it and follows its progress: bash json.sh FILE
set -euo pipefail
file=$1
videos=${GOSTREAM_HTTP_URL:-http://localhost:8080}/v1/videos

call() {
  curl --fail-with-body --silent --show-error --no-buffer "$@"
}

request=$(jq -n --arg title "$(basename "$file")" --arg size "$(stat -c %s "$file")" \
  '{title: $title, content_type: "video/mp4", size_bytes: $size}')
created=$(call "$videos" --header 'content-type: application/json' --data "$request")
video=$videos/$(jq -r .video.id <<<"$created")
jq -r '.upload.headers | to_entries[] | "header = \"\(.key): \(.value)\""' <<<"$created" |
  call --config - --upload-file "$file" "$(jq -r .upload.url <<<"$created")"
call --request POST "$video/process" >/dev/null
call "$video:watch" | jq --unbuffered -r '"\(.status) \(.processing.stage // "")"'
call "$video" | jq -r 'if .playback_url != "" then .playback_url else .error.message end'
