# One host of a machine: its SSH server. Environment: place, its folder; first, the number of the first one.
set -e
mkdir -p "$place/programs" "/run/bed/disk/homes/${place##*/}/deploy"
home=/run/bed/disk/homes/${place##*/}
mount --bind "$place/programs" /run/host
[ "${place##*/}" = "$first" ] || mount -t tmpfs -o mode=1777 tmpfs /tmp
cp -R "$place/home/." "$home/deploy/"
chown -R 1000:1000 "$home/deploy"
chmod 700 "$home/deploy/.ssh"
chmod 600 "$home/deploy/.ssh/authorized_keys"
[ "${place##*/}" = "$first" ] || mount --bind "$home" /home
echo "$$" >"$place/sshd.pid"
exec "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f "$place/sshd_config"
