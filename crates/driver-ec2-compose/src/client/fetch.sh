# Has images on this host. Arguments: how docker finds each exactly.
for image; do
    docker image inspect --format ' ' "$image" >/dev/null 2>&1 && continue
    case $image in
    *@*) ;;
    *) printf 'the image %s is not on this host, and no registry has it by that name\n' "$image" >&2; exit 93 ;;
    esac
    login || exit 92
    docker pull --quiet "$image" >/dev/null || exit 92
    docker image inspect --format ' ' "$image" >/dev/null || exit 92
    printf 'pulled %s\n' "$image"
done
exit 0
