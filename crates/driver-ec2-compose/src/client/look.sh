# What is there of a compose project. $1: its name, $2 and $3: the formats of containers and images. A container's line begins with the id of its image,
# and with what it was made from. $4: `its`, if all images of the repositories are told that its containers were made from. Arguments after the fifth are further
# such repositories. $5: `ask`, if health checks are run here that docker has not come to yet, and the containers that are to be spared from that.
set -f
project=$1 container=$2 image=$3 beside=$4 ask=$5
shift 5
command -v docker >/dev/null || { echo 'there is no docker command' >&2; exit 90; }
printf 'host %s\nmachine %s\nhome %s\nnow %s\n' "$(uname -n)" "$(cat /etc/machine-id 2>/dev/null)" "$HOME" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
# The words of a health check, each ended by a NUL, as docker would run it. They stay on this host: there may be a password among them.
check='{{$test := .Config.Healthcheck.Test}}{{if eq (index $test 0) "CMD-SHELL"}}{{range .Config.Shell}}{{.}}{{"\x00"}}{{else}}/bin/sh{{"\x00"}}-c{{"\x00"}}{{end}}{{end}}{{range $at, $word := $test}}{{if $at}}{{$word}}{{"\x00"}}{{end}}{{end}}'
# Runs one until it passes, or for a moment. $0: the container; the last word is the end of docker's line. 124 and 137: it hung.
run='
left=$#
for word; do shift; left=$((left - 1)); [ "$left" -eq 0 ] || set -- "$@" "$word"; done
[ "$#" -gt 0 ] || exit 0
for try in 1 2 3 4 5 6 7 8; do
    said=$(timeout -s KILL 2 docker exec "$0" "$@" 2>&1 >/dev/null </dev/null)
    case $? in 0) echo "passed $0"; exit 0 ;; 124 | 137) echo "hung $0"; exit 0 ;; esac
    case $said in "Error response from daemon"*) exit 0 ;; esac
    sleep 0.1 2>/dev/null || sleep 1
done'
case $ask in ask*)
    for id in $(docker ps -q --no-trunc --filter health=starting --filter "label=com.docker.compose.project=$project"); do
        case " $ask " in *" $id "*) continue ;; esac
        docker inspect --type container --format "$check" "$id" 2>/dev/null | xargs -0 sh -c "$run" "$id" 2>/dev/null &
    done
    wait ;;
esac
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
