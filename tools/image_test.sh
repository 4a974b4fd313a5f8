#!/usr/bin/env bash
# Builds the image on a base made from this machine's Debian packages, looks at what is in it, runs
# it and stops it. Needs root, buildah and debootstrap; neither an engine nor an image registry.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
service=
port=$((20000 + RANDOM % 10000))
export CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_ISOLATION=chroot
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$work" "$work" \
  >"$CONTAINERS_STORAGE_CONF"
base=localhost/uploadgate-test-base image=localhost/uploadgate-test

finish() {
  local status=$?
  if [ -n "$service" ]; then kill -KILL "$service" 2>/dev/null || true; fi
  if [ "$status" -ne 0 ] && [ -s "$work/log" ]; then tail -n 40 "$work/log" >&2; fi
  buildah umount --all >/dev/null 2>&1 || true
  buildah rm --all >/dev/null 2>&1 || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT

fail() { echo "image test: $*" >&2; exit 1; }
told() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

# The address of this release's packages, as apt is configured here.
mirror() {
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$1" '$1 == suite && $2 == "main" { print $3; exit }'
}

make_base() {
  local suite address container
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  address=$(mirror "$suite")
  [ -n "$address" ] || fail "apt has no packages of $suite; run apt-get update"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
    "$suite" "$work/tree" "$address" >"$work/log"
  rm -rf "$work"/tree/var/cache/apt/archives/*.deb "$work"/tree/var/lib/apt/lists/*
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/tree" / >"$work/log"
  buildah commit --quiet --rm "$container" "$base" >"$work/log"
  rm -rf --one-file-system "$work/tree"
  : >"$work/log"
}

# One field of the image's configuration, one element a line.
configured() {
  buildah inspect --type image "$image" | python3 -c '
import functools, json, sys
config = json.load(sys.stdin)["Docker"]["config"]
value = functools.reduce(lambda found, key: (found or {}).get(key), sys.argv[1].split("."), config)
print(*(value if isinstance(value, list) else [value or ""]), sep="\n")' "$1"
}

look_inside() {
  local root=$1 found
  found=$(find "$root" -xdev \( -regex '.*/bin/\(.*-\)?\(cc\|gcc\|c\+\+\|g\+\+\|clang\)\(-[0-9]+\)?' \
    -o -iname 'weed*' -o -iname 'seaweed*_bin*' -o -name localcloud -o -path '*/.cache/pip' \
    -o -path '*/app/venv/bin/pip*' -o -name pip.conf -o -path '*/run/secrets/*' \))
  [ -z "$found" ] || fail "this must not be in the image: ${found//$root/}"
  found=$(find "$root/app" -xdev ! -type l \( ! -user root -o -perm /022 \))
  [ -z "$found" ] || fail "the service could write to its own code: ${found//$root/}"
  found=$(find "$root/app" -xdev -maxdepth 1 -mindepth 1 -printf '%f\n' | sort | tr '\n' ' ')
  [ "$found" = "__pycache__ auth aws background.py cli client errors.py logs.py main.py outgoing routers service settings.py state venv wiring " ] ||
    fail "unexpected files in /app: $found"
}

look_at_configuration() {
  local user
  user=$(configured User)
  [[ $user =~ ^[1-9][0-9]*: ]] || fail "the user is '$user'; a number other than 0 is asked for"
  configured Healthcheck.Test | grep -q /livez || fail "there is no HEALTHCHECK on /livez"
  [ "$(configured StopSignal)" = SIGTERM ] || fail "STOPSIGNAL is not SIGTERM"
  if buildah inspect --type image "$image" | grep -Eq 'https?://'; then
    fail "an address is left in the image's configuration or history"
  fi
}

# The process that an engine would signal: the last of the chain that buildah starts.
innermost() {
  local pid=$1 child
  while child=$(pgrep -P "$pid" | head -n 1) && [ -n "$child" ]; do pid=$child; done
  echo "$pid"
}

answers() { # status of a path, or 000
  curl --silent --noproxy '*' --max-time 3 --output /dev/null --write-out '%{http_code}' \
    "http://127.0.0.1:$port$1" || true
}

wait_for() { # path, statuses as a pattern, seconds
  local status deadline=$((SECONDS + $3))
  while status=$(answers "$1"); [[ ! $status =~ ^($2)$ ]]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$1 answers $status"
    kill -0 "$service" 2>/dev/null || fail "the service has ended"
    sleep 0.2
  done
  told "$1 answers $status"
}

run_and_stop() {
  local container=$1 command health status=0 started
  mapfile -t command < <(configured Cmd)
  mapfile -t health < <(configured Healthcheck.Test)

  buildah run "$container" -- "${command[@]}" >"$work/log" 2>&1 || status=$?
  [ "$status" -eq 2 ] || fail "without settings it must end with 2, not with $status"
  grep -q signing_key "$work/log" || fail "it must say which settings are missing"
  told "refuses to start without settings"

  # Nothing listens at this store: /readyz lists it as degraded and needs only the database.
  buildah run --env "UPLOADGATE_AUTH__SIGNING_KEY=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" \
    --env UPLOADGATE_PUBLIC_URL=https://uploads.example \
    --env UPLOADGATE_STORE__ENDPOINT=https://127.0.0.1:9 \
    --env UPLOADGATE_AWS__ACCESS_KEY_ID=none --env UPLOADGATE_AWS__SECRET_ACCESS_KEY=none \
    --env UPLOADGATE_DRAIN_SECONDS=2 --env "UPLOADGATE_HTTP__PORT=$port" \
    "$container" -- "${command[@]}" >"$work/log" 2>&1 &
  service=$!
  wait_for /livez 200 60
  wait_for /readyz 200 60
  buildah run --env "UPLOADGATE_HTTP__PORT=$port" "$container" -- "${health[@]:1}" ||
    fail "HEALTHCHECK fails while /livez answers 200"

  started=$SECONDS
  kill -TERM "$(innermost "$service")"
  wait_for /readyz 503 2
  wait "$service" || fail "it ends with $? after SIGTERM"
  service=
  [ $((SECONDS - started)) -le 8 ] || fail "it took $((SECONDS - started)) s to end"
  told "SIGTERM drains it and ends it with 0 in $((SECONDS - started)) s"
}

make_base
told "base image made"
ENGINE=buildah BASE_IMAGE=$base TAG=$image tools/image.sh >"$work/log" 2>&1
told "image built: $(buildah images --format '{{.Size}}' "$image"), base $(buildah images --format '{{.Size}}' "$base")"
container=$(buildah from --pull-never "$image")
look_inside "$(buildah mount "$container")"
look_at_configuration
told "no compiler, pip, secrets or store in it; user $(configured User)"
run_and_stop "$container"
echo "image test: passed in $SECONDS s"
