# Moves tags, and brings services up. $1: how many; then an image and its tag for each; then the command.
left=$1
shift
while [ "$left" -gt 0 ]; do
    docker tag "$1" "$2" || exit 97
    shift 2
    left=$((left - 1))
done
exec "$@"
