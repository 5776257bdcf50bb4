#!/usr/bin/env bash
# Test services on free ports of loopback, all data under one folder:
#   services.sh start DIR   start a Redis, a Redis Cluster of three nodes and a PostgreSQL (installs what is missing)
#   services.sh env DIR     print the FOOTBRIDGE_TEST_* lines for eval
#   services.sh stop DIR    end them
# Programs come from the system, else from Debian's packages: installed if we are root, else unpacked into
# ${XDG_CACHE_HOME:-~/.cache}/footbridge-services.
set -euo pipefail

usage() { sed -n '2,5p' "$0"; exit 2; }
[ $# -eq 2 ] || usage
command="$1" dir="$2"
cache="${FOOTBRIDGE_SERVICES_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/footbridge-services}"

say() { echo "services: $*" >&2; }
die() { say "$*"; exit 1; }

# program NAME: where it is, if anywhere
program() {
  local p
  for p in "$(command -v "$1" || true)" /usr/lib/postgresql/*/bin/"$1" "$cache"/root/usr/bin/"$1" "$cache"/root/usr/lib/postgresql/*/bin/"$1"; do
    if [ -n "$p" ] && [ -x "$p" ]; then echo "$p"; return; fi
  done
  return 1
}

missing() {
  local p
  for p in redis-server redis-cli initdb postgres pg_ctl; do program "$p" >/dev/null || return 0; done
  return 1
}

install_packages() {
  command -v apt-get >/dev/null || die "redis-server and PostgreSQL are missing, and so is apt-get to bring them: install both"
  if [ "$(id -u)" = 0 ]; then install_as_root; else unpack_as_user; fi
  ! missing || die "the packages redis-server and postgresql did not bring all programs"
}

# install_as_root keeps the packages from starting services or making a database of their own.
install_as_root() {
  say "installing redis-server and postgresql"
  apt-get update -qq
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; made=1; fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server postgresql >/dev/null
  [ -z "$made" ] || rm -f "$policy"
}

unpack_as_user() {
  say "unpacking redis-server and postgresql into $cache"
  mkdir -p "$cache/debs" "$cache/root"
  local pg; pg="$(apt-cache depends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -1)"
  local names; names="$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
    redis-server "${pg:-postgresql-15}" | grep -E '^[a-z0-9]' | sort -u)"
  local n
  (cd "$cache/debs"; for n in $names; do
    # what the system has already need not be unpacked again
    if dpkg -s "$n" >/dev/null 2>&1; then continue; fi
    apt-get download -qq "$n" 2>/dev/null || true
  done)
  local deb; for deb in "$cache"/debs/*.deb; do dpkg -x "$deb" "$cache/root"; done
}

libraries() {
  [ -d "$cache/root" ] || return 0
  local triplet; triplet="$(dpkg --print-architecture 2>/dev/null | sed 's/amd64/x86_64/;s/arm64/aarch64/')-linux-gnu"
  export LD_LIBRARY_PATH="$cache/root/usr/lib/$triplet:$cache/root/lib/$triplet${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local p
  for _ in $(seq 100); do
    p=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    if ! taken "$p"; then echo "$p"; return; fi
  done
  die "no free port between 20000 and 32000"
}

# until_true SECONDS COMMAND...: poll a condition
until_true() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

redis_says() { [ "$("$cli" -h 127.0.0.1 -p "$1" ping)" = PONG ]; }

# start_redis NAME [OPTIONS...]: sets $port; another port is tried if somebody was faster
start_redis() {
  local name="$1"; shift
  mkdir -p "$dir/$name"
  for _ in 1 2 3 4 5; do
    port="$(free_port)"
    "$(program redis-server)" --port "$port" --bind 127.0.0.1 --dir "$dir/$name" --pidfile "$dir/$name.pid" --logfile "$dir/$name.log" \
      --daemonize yes --save "" --appendonly no --maxmemory-policy noeviction "$@" >/dev/null
    if until_true 5 redis_says "$port"; then return; fi
  done
  die "redis-server did not start: $(tail -n 3 "$dir/$name.log" 2>/dev/null | tr '\n' ' ')"
}

start_cluster() {
  local n ports=()
  for n in 1 2 3; do
    start_redis "node$n" --cluster-enabled yes --cluster-config-file nodes.conf --cluster-port "$(free_port)" --cluster-node-timeout 30000 --cluster-require-full-coverage no
    ports+=("127.0.0.1:$port")
  done
  "$cli" --cluster create "${ports[@]}" --cluster-yes >"$dir/cluster.log" || die "the Redis Cluster was not made: $(tail -n 2 "$dir/cluster.log" | tr '\n' ' ')"
  for n in "${ports[@]}"; do until_true 20 whole "${n#*:}" || die "the Redis Cluster did not become whole"; done
  cluster="$(IFS=,; echo "${ports[*]}")"
}

whole() { "$cli" -p "$1" cluster info | grep -q '^cluster_state:ok'; }

# as_database runs a command as somebody who is not root, as PostgreSQL demands.
as_database() {
  if [ "$(id -u)" != 0 ]; then "$@"; return; fi
  local user=postgres; id "$user" >/dev/null 2>&1 || user=nobody
  setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups env HOME="$dir/pg" "$@"
}

start_postgres() {
  mkdir -p "$dir/pg"
  if [ "$(id -u)" = 0 ]; then
    local user=postgres; id "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$dir/pg"; chmod 755 "$dir"
  fi
  (cd "$dir/pg"; as_database "$(program initdb)" -D "$dir/pg/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$dir/initdb.log" 2>&1) ||
    die "initdb failed: $(tail -n 3 "$dir/initdb.log" | tr '\n' ' ')"
  for _ in 1 2 3 4 5; do
    pgport="$(free_port)"
    if (cd "$dir/pg"; as_database "$(program pg_ctl)" -D "$dir/pg/data" -l "$dir/pg/log" -w -t 30 \
      -o "-c listen_addresses=127.0.0.1 -c port=$pgport -c unix_socket_directories=$dir/pg -c max_connections=300 -c fsync=off -c full_page_writes=off" \
      start >/dev/null); then return; fi
  done
  die "PostgreSQL did not start: $(tail -n 3 "$dir/pg/log" 2>/dev/null | tr '\n' ' ')"
}

start() {
  if missing; then install_packages; fi
  libraries
  mkdir -p "$dir"; dir="$(cd "$dir" && pwd)"
  cli="$(program redis-cli)"
  trap 'stop' ERR EXIT
  start_redis redis; local single="$port"
  start_cluster
  start_postgres
  trap - ERR EXIT
  {
    echo "export FOOTBRIDGE_TEST_REDIS=127.0.0.1:$single"
    echo "export FOOTBRIDGE_TEST_REDIS_CLUSTER=$cluster"
    echo "export FOOTBRIDGE_TEST_REDIS_SERVER=$(program redis-server)"
    echo "export FOOTBRIDGE_TEST_POSTGRES='postgres://postgres@127.0.0.1:$pgport/postgres?sslmode=disable'"
    [ -z "${LD_LIBRARY_PATH:-}" ] || echo "export LD_LIBRARY_PATH='$LD_LIBRARY_PATH'"
  } >"$dir/env"
}

# end PIDFILE: TERM, and KILL if that is not enough within five seconds
end() {
  local pid; pid="$(head -n 1 "$1" 2>/dev/null || true)"
  [ -n "$pid" ] || return 0
  kill "$pid" 2>/dev/null || return 0
  until_true 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
}

gone() { ! kill -0 "$1" 2>/dev/null; }

stop() {
  local f
  for f in "$dir"/redis.pid "$dir"/node?.pid; do end "$f"; done
  # INT is PostgreSQL's fast shutdown: TERM would wait for clients
  local pid; pid="$(head -n 1 "$dir/pg/data/postmaster.pid" 2>/dev/null || true)"
  if [ -n "$pid" ]; then kill -INT "$pid" 2>/dev/null || true; until_true 10 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true; fi
}

case "$command" in
  start) start ;;
  env) cat "$dir/env" ;;
  stop) stop ;;
  *) usage ;;
esac
