#!/bin/sh
# Move a registry:2 or 3 with docker_auth to this registry, on one machine: docs/moving.md, "In ten minutes".
# It can be run again: it continues, and takes what came since. Environment: PORT for a new config.yaml, SERVICE.
set -eu

usage="usage: deploy/move.sh [--copy] STORAGE AUTH_CONFIG [HTPASSWD]
  STORAGE      the other registry's folder, with docker/registry/v2 in it
  AUTH_CONFIG  docker_auth's YAML file
  HTPASSWD     a file of more users"

refuse() {
    printf 'move.sh: %s\n' "$1" >&2
    exit 1
}

began=$(date +%s)
say() {
    printf '%4d s  %s\n' "$(($(date +%s) - began))" "$1"
}

absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s/%s\n' "$PWD" "$1" ;;
    esac
}

copy=
if [ "${1-}" = --copy ]; then
    copy=--copy
    shift
fi
[ $# -eq 2 ] || [ $# -eq 3 ] || refuse "$usage"
storage=$(absolute "$1")
auth_config=$(absolute "$2")
htpasswd=
[ $# -eq 2 ] || htpasswd=$(absolute "$3")

# A relative CONFIG_PATH is below the project's folder, as for every command.
cd "$(dirname "$0")/.."
if [ -x .venv/bin/python ]; then
    PATH=$PWD/.venv/bin:$PATH
elif ! python -c 'import django' 2>/dev/null; then
    refuse "$PWD has no .venv: run \`make .venv/run\` there first; so does \`make run\`"
fi
[ -d "$storage/docker/registry/v2/repositories" ] ||
    refuse "$storage: no docker/registry/v2/repositories that $(id -un) may read; is it the storage.filesystem.rootdirectory?"
for folder in "$storage/docker/registry/v2" "$storage/docker/registry/v2/repositories" "$storage/docker/registry/v2/blobs"; do
    [ -r "$folder" ] && [ -x "$folder" ] || refuse "$folder: $(id -un) may not read it; run this as root, or as its owner"
done
for file in "$auth_config" ${htpasswd:+"$htpasswd"}; do
    [ -f "$file" ] && [ -r "$file" ] || refuse "$file: no file that $(id -un) may read"
done

output=$(mktemp)
log=
server=
finish() {
    rm -f "$output" ${log:+"$log"}
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server"; } || :
}
trap finish EXIT
trap 'exit 130' INT TERM

# Run a command of manage.py; keep what it said in $output, and show it if it fails.
manage() {
    python manage.py "$@" >"$output" 2>&1
}
must() {
    manage "$@" || { cat "$output" >&2; refuse "manage.py $1 failed, see above; run this again once that is mended"; }
}
last_line() {
    tail -n 1 "$output"
}

config=${CONFIG_PATH:-config.yaml}
if [ -e "$config" ]; then
    say "configuration: $config, as it is"
else
    # Accounts and rules are rows, so that the admin changes them. An administrator of its own would be one rule more.
    umask_before=$(umask)
    umask 077
    printf '# Every key and its default: config.example.yaml and docs/configuration.md.\nserver:\n  addr: ":%s"\n' \
        "${PORT:-5000}" >"$config"
    umask "$umask_before"
    say "configuration: $config written"
fi
export CONFIG_PATH="$config"
# What is said comes in its order.
export PYTHONUNBUFFERED=1

must migrate --verbosity=0
say "database: ready"

must importrules "$auth_config" ${SERVICE:+--service "$SERVICE"}
grep '^note: ' "$output" || :
say "users and rules: $(last_line)"

status=0
if [ -n "$htpasswd" ]; then
    if ! manage importusers "$htpasswd"; then
        grep -q ' refused$' "$output" || { cat "$output" >&2; refuse "manage.py importusers failed, see above"; }
        grep '^refused: ' "$output"
        status=1
    fi
    say "htpasswd: $(last_line)"
fi

# Its progress is for the terminal.
if ! python manage.py importregistry "$storage" $copy >"$output"; then
    cat "$output"
    grep -q '^imported from' "$output" || refuse "manage.py importregistry failed, see above"
    status=1
fi
say "images: $(grep '^imported from' "$output" || last_line)"

must fsck
say "check of rows and files: $(last_line)"

# Whether the server runs, only its answer tells.
is_missing() {
    grep -q 'does not answer' "$output"
}
checked=0
manage checkimport "$storage" || checked=$?
if [ "$checked" -ne 0 ] && is_missing; then
    log=$(mktemp)
    gunicorn >"$log" 2>&1 &
    server=$!
    while [ "$checked" -ne 0 ] && is_missing; do
        kill -0 "$server" 2>/dev/null || { server= && cat "$log" >&2 && refuse "the server does not start, see above"; }
        checked=0
        manage checkimport "$storage" || checked=$?
    done
fi
if [ "$checked" -ne 0 ]; then
    cat "$output" >&2
    status=1
fi
grep ': not asked for' "$output" || :
say "tags: $(last_line)"

[ -z "$server" ] || printf '\nStart it: gunicorn in %s (make run), or deploy/registry.service for systemd.\n' "$PWD"
printf 'An administrator for /admin/: CONFIG_PATH=%s %s manage.py createsuperuser\n' "$config" "$(command -v python)"
[ "$status" -eq 0 ] || printf 'Not everything has moved: see above.\n' >&2
exit "$status"
