# What is there of a compose project. $1: its name, $2 and $3: the formats of containers and images. A container's line begins with the id of its image,
# and with what it was made from. $4: `its`, if all images of the repositories are told that its containers were made from. More arguments are further
# such repositories.
set -f
project=$1 container=$2 image=$3 beside=$4
shift 4
command -v docker >/dev/null || { echo 'there is no docker command' >&2; exit 90; }
printf 'host %s\nmachine %s\nhome %s\nnow %s\n' "$(uname -n)" "$(cat /etc/machine-id 2>/dev/null)" "$HOME" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
# One that is removed between the two is no failure; it is asked again.
tries=0
while :; do
    ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$project") || exit 91
    found=
    [ -n "$ids" ] || break
    found=$(docker inspect --type container --format "$container" $ids 2>/dev/null) && break
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] || exit 91
done
[ -z "$found" ] || printf '%s\n' "$found" | sed 's/^[^ ]* [^ ]* /container /'
if [ "$beside" = its ]; then
    # Without digest and tag; a port is before a slash.
    set -- "$@" $(printf '%s\n' "$found" | sed 's/^[^ ]* \([^ ]*\) .*/\1/; s/@.*//; s/:[^:/]*$//' | sort -u)
fi
filters=$(for repository; do printf -- '--filter reference=%s ' "$repository"; done)
images=$([ -z "$found" ] || printf '%s\n' "$found" | sed 's/ .*//'
    [ -z "$filters" ] || docker image ls -q --no-trunc $filters)
for repository; do printf 'listed %s\n' "$repository"; done
images=$(printf '%s\n' "$images" | sort -u)
# An image may have been removed although a container runs it.
[ -z "$images" ] || docker image inspect --format "$image" $images 2>/dev/null | sed 's/^/image /'
exit 0
