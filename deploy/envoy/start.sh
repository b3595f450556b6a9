#!/bin/bash
# Fills in envoy.yaml and runs a command: start.sh TEMPLATE FILE COMMAND…
#
#   EDGE_CORS_ORIGINS  comma-separated exact origins of the web pages that may call; empty = none
#   EDGE_AUTH_FILE     output of `python -m gostream_api.edge_auth ISSUERS_FILE`: JSON and gRPC-Web need a token; empty = none
#   EDGE_RATE_PER_ADDRESS  JSON and gRPC-Web calls a second of one address; twice as many at once; empty = no limit
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
rate=${EDGE_RATE_PER_ADDRESS:-}
if [[ -n $rate ]]; then
    if ! [[ $rate =~ ^[1-9][0-9]{0,5}$ ]]; then
        echo "EDGE_RATE_PER_ADDRESS: '$rate' is not a number from 1 to 999999" >&2
        exit 2
    fi
    bucket="max_tokens: $((2 * rate)), tokens_per_fill: $rate,"
    text=$(sed "/# EDGE_RATE_PER_ADDRESS$/{s/disabled: true/disabled: false/; s/max_tokens: 1, tokens_per_fill: 1,/$bucket/}" <<<"$text")
fi
if [[ -n ${EDGE_AUTH_FILE:-} ]]; then
    # A line of the file is the name of a list and an element for it.
    text=$(while IFS= read -r line; do
        if [[ $line =~ ^(\ *)#\ EDGE_AUTH:\ ([a-z]+)$ ]]; then
            sed -n "s/^${BASH_REMATCH[2]} /${BASH_REMATCH[1]}- /p" "$EDGE_AUTH_FILE"
        else
            printf '%s\n' "$line"
        fi
    done <<<"$text")
fi
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
