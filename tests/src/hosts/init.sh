# The first process of a machine. Environment: folder, tools, busybox.
set -e
hostname "$(cat "$folder/name")"
"$busybox" ip link set lo up

# What a machine sees of the one that it runs on: its programs, and nothing that is anybody's.
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/bed /run/tools /run/sshd /run/containerd /run/lock /run/host
mount --bind "$folder" /run/bed
mount --bind "$tools" /run/tools
# One disk, as small machines have: images and homes share it.
mkdir -p /run/bed/disk
mount -t tmpfs -o mode=0755,size=2g tmpfs /run/bed/disk
# The daemon sees the home of the first host: a folder of the project, in a container, is there.
first=$(ls /run/bed/hosts | sort -n | head -n 1)
export first
mkdir -p /run/bed/disk/docker "/run/bed/disk/homes/$first"
mount --bind "/run/bed/disk/homes/$first" /home
for place in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
for file in passwd group shadow; do mount --bind "/run/bed/etc/$file" "/etc/$file"; done
for place in /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /usr/local/lib/docker/cli-plugins /usr/local/libexec/docker/cli-plugins; do
    [ ! -d "$place" ] || mount -t tmpfs tmpfs "$place"
done
for program in /usr/local/bin/docker-compose /usr/bin/docker-compose; do
    [ ! -e "$program" ] || mount --bind /dev/null "$program"
done

sh /run/bed/docker &
docker=$!
while [ ! -S /run/docker.sock ]; do
    # Without it there is no machine.
    kill -s 0 "$docker" 2>/dev/null || exit 1
    sleep 0.01
done
for place in /run/bed/hosts/*/; do
    # Each has its own home and programs, and is seen with them by whoever enters its SSH server.
    place=${place%/} unshare --mount sh /run/bed/host &
done
# A test that ended the daemon may want it back.
trap 'sh /run/bed/docker &' USR1
# Collects whatever its children leave behind.
while :; do
    sleep 3600 &
    wait "$!" || :
done
