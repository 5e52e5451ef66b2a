# Runs a machine that leaves nothing behind: namespaces of its own with a Docker daemon, and one or more SSH servers, each with homes
# of its own. $1: its folder, $2: the name of its control group, $3: the programs that were installed, $4: busybox.
#
# When the first process in there ends, by whatever means, the kernel ends all the others and takes the network and the mounts away.
folder=$1 group=$2
export folder tools=$3 busybox=$4

# The kernel ends the first process of the machine when it has ended all others. Removing control groups takes the kernel a while, so they are
# removed side by side, and those inside others go first; there are a dozen for each container. With a hundred containers all of this takes
# longer than anybody waits for a server: it goes on by itself then, in a session of its own.
remove='
    tries=0
    while [ -n "$3" ] && kill -s 0 "$3" 2>/dev/null && [ "$tries" -lt 1000 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
    rm -rf -- "$1"
    tries=0
    # It fails whenever a group of somebody else goes away under it.
    while left=$(find /sys/fs/cgroup -depth -type d \( -path "*/$2" -o -path "*/$2/*" \) 2>/dev/null || :) && [ -n "$left" ] && [ "$tries" -lt 200 ]; do
        printf "%s\n" "$left" | xargs -P 64 -n 8 rmdir 2>/dev/null || sleep 0.05
        tries=$((tries + 1))
    done
'

finish() {
    kill -s KILL "$namespace" 2>/dev/null
    wait "$namespace" 2>/dev/null
    setsid --fork --wait sh -c "$remove" remove "$folder" "$group" "$first" &
    wait "$!"
}
trap 'finish; exit 143' TERM INT HUP

unshare --mount --pid --net --uts --ipc --fork --kill-child=KILL --mount-proc /bin/sh "$folder/init" &
namespace=$!
# Its first process, as everybody else counts: the way in.
while kill -s 0 "$namespace" 2>/dev/null; do
    read -r first <"/proc/$namespace/task/$namespace/children" 2>/dev/null
    [ -z "$first" ] || break
    sleep 0.01
done
echo "$first" >"$folder/first.new" && mv "$folder/first.new" "$folder/first"
wait "$namespace"
status=$?
finish
exit "$status"
