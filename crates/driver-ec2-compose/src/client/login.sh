# Logs in to a registry for as long as this runs. $1: the user, $2: the registry; the password on standard input. Further arguments are for
# what follows. The login is kept in memory where the host has a place for that, and removed at the end.
user=$1 registry=$2
shift 2
place=
for place in "${XDG_RUNTIME_DIR:-}" /dev/shm /tmp; do
    [ -n "$place" ] && [ -d "$place" ] && [ -w "$place" ] && break
done
DOCKER_CONFIG=$(mktemp -d "$place/rollback-login.XXXXXX") || exit 94
export DOCKER_CONFIG
trap 'rm -rf -- "$DOCKER_CONFIG"' EXIT
trap 'exit 143' TERM INT HUP
logged_in=
login() {
    [ -z "$logged_in" ] || return 0
    docker login --username "$user" --password-stdin "$registry" >/dev/null || return
    logged_in=yes
}
