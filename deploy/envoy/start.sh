#!/bin/bash
# Fills in envoy.yaml and runs a command: start.sh TEMPLATE FILE COMMAND…
#
#   EDGE_CORS_ORIGINS  comma-separated exact origins of the web pages that may call; empty = none
#   EDGE_TLS           on: TLS for callers and to the API, with the files that ./tls names
#   EDGE_BIND          the address that the port is published on; other than loopback, any Host is accepted
#
# gostream_devstack/envoy.py does the same for development; a test compares the two.
set -euo pipefail
template=$1 file=$2
shift 2

origins=
IFS=', ' read -ra given <<<"${EDGE_CORS_ORIGINS:-}"
for origin in "${given[@]}"; do
    if ! [[ $origin =~ ^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$ ]]; then
        echo "EDGE_CORS_ORIGINS: '$origin' is not an origin such as https://player.example" >&2
        exit 2
    fi
    origins+="${origins:+|}$(sed 's/[].[]/\\&/g' <<<"$origin")"
done

text=$(<"$template")
if [[ -n $origins ]]; then
    text=${text//EDGE_CORS_ORIGINS\'/"$origins"\'}
fi
case ${EDGE_BIND:-127.0.0.1} in
127.* | localhost | ::1 | '[::1]') ;;
*) text=$(sed "s/regex: '(?i)(localhost|.*)?'/regex: '.*'/" <<<"$text") ;;
esac
if [[ ${EDGE_TLS:-} == on ]]; then
    # The line after the mark begins a list's element, which gets the content as its first keys.
    text=$(while IFS= read -r line; do
        if [[ $line =~ ^\ *#\ EDGE_TLS:\ ([a-z]+)$ ]]; then
            IFS= read -r element
            indent=${element%%-*}
            grep -v '^#' "$(dirname "$0")/tls/${BASH_REMATCH[1]}.yaml" | sed "1s/^/$indent- /; 2,\$s/^/$indent  /"
            line="$indent  ${element#*- }"
        fi
        printf '%s\n' "$line"
    done <<<"$text")
fi
printf '%s\n' "$text" >"$file"
exec "$@"
