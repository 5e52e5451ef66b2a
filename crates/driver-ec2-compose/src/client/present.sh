# Which images are on this host. Arguments: how docker finds each exactly.
command -v docker >/dev/null || { echo 'there is no docker command' >&2; exit 90; }
for image; do
    docker image inspect --format ' ' "$image" >/dev/null 2>&1 && printf 'present %s\n' "$image"
done
exit 0
