#!/bin/bash
# Uploads a video, processes it and follows its progress: bash grpc.sh FILE
set -euo pipefail
file=$1
address=${GOSTREAM_API_ADDR:-localhost:50051}

call() {
  grpcurl -plaintext -d "$2" "$address" "gostream.v1.VideoService/$1"
}

request=$(jq -n --arg title "$(basename "$file")" --arg size "$(stat -c %s "$file")" \
  '{title: $title, content_type: "video/mp4", size_bytes: $size}')
created=$(call CreateVideo "$request")
id=$(jq '{id: .video.id}' <<<"$created")
jq -r '.upload.headers | to_entries[] | "header = \"\(.key): \(.value)\""' <<<"$created" |
  curl --fail --silent --show-error --config - --upload-file "$file" "$(jq -r .upload.url <<<"$created")"
call TriggerProcess "$id" >/dev/null
call WatchVideo "$id" | jq --unbuffered -r '"\(.status) \(.processing.stage // "")"'
call GetVideo "$id" | jq -r '.playbackUrl // .error.message'
