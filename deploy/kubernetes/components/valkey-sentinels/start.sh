#!/bin/sh
# Finds the primary, then starts `server` as the primary or as its replica, or `sentinel`, which watches it.
set -eu
me=$HOSTNAME.valkey

# Prints the primary: as a sentinel names it, else the server that says so, else the first one, as at the first start.
primary() {
  for number in 0 1 2; do
    found=$(timeout 2 valkey-cli -h "valkey-$number.valkey" -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME gostream 2>/dev/null |
      head -n 1) || true
    case $found in valkey-[0-9].valkey) echo "$found" && return ;; esac
  done
  for number in 0 1 2; do
    if timeout 2 valkey-cli -h "valkey-$number.valkey" INFO replication 2>/dev/null | grep -q role:master; then
      echo "valkey-$number.valkey" && return
    fi
  done
  echo valkey-0.valkey
}

primary=$(primary)
case $1 in
server)
  # A primary without a replica rejects writes: another one may have been promoted.
  set -- --requirepass "$REDISCLI_AUTH" --masterauth "$REDISCLI_AUTH" --appendonly yes --save '' \
    --replica-announce-ip "$me" --min-replicas-to-write 1 --min-replicas-max-lag 10
  [ "$primary" = "$me" ] || set -- "$@" --replicaof "$primary" 6379
  exec valkey-server "$@"
  ;;
sentinel)
  conf=${SENTINEL_DIR:-/sentinel}/sentinel.conf
  cat >"$conf" <<END
port 26379
dir ${SENTINEL_DIR:-/sentinel}
requirepass $REDISCLI_AUTH
sentinel sentinel-pass $REDISCLI_AUTH
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $me
sentinel monitor gostream $primary 6379 2
sentinel auth-pass gostream $REDISCLI_AUTH
sentinel down-after-milliseconds gostream 5000
sentinel failover-timeout gostream 30000
END
  exec valkey-server "$conf" --sentinel
  ;;
esac
