# Runs a Docker daemon that leaves nothing behind. $1: its folder, $2: the name of its control group; then its arguments.
#
# It gets a process namespace of its own: when the first process in there ends, by whatever means, the kernel ends all the
# others, and containers do not outlive their daemon. Images and containers are in memory, mounted for it alone.
folder=$1 group=$2
shift 2

finish() {
    kill -s KILL "$namespace" 2>/dev/null
    wait "$namespace" 2>/dev/null
    rm -rf -- "$folder"
    # Removing a control group takes the kernel a while, so they are removed side by side: containers first, then the
    # group that they are in. One that has a process left is tried again.
    tries=0
    while left=$(find /sys/fs/cgroup -depth -type d -path "*/$group*" 2>/dev/null) && [ -n "$left" ] && [ "$tries" -lt 40 ]; do
        printf '%s\n' "$left" | xargs -P 64 -n 1 rmdir 2>/dev/null
        tries=$((tries + 1))
    done
}
trap 'finish; exit 143' TERM INT HUP

unshare --mount --pid --fork --kill-child=KILL --mount-proc /bin/sh -c '
    folder=$1
    shift
    mkdir -p "$folder/data" "$folder/exec" /run/containerd || exit
    for place in "$folder/data" "$folder/exec" /run/containerd; do
        mount -t tmpfs -o mode=0711 tmpfs "$place" || exit
    done
    exec dockerd "$@"
' sh "$folder" "$@" &
namespace=$!
wait "$namespace"
status=$?
finish
exit "$status"
