# Pins images, takes the project down and brings it up. $1: the file, $2: its text, $3: how many words the first command has.
pin=$1 text=$2 words=$3
shift 3
# By `cat`, which says why when it cannot write, as on a full disk.
(umask 077 && mkdir -p "${pin%/*}" && printf '%s' "$text" | cat >"$pin.new" && mv -f "$pin.new" "$pin") || exit 96
# The second command is kept behind the first, which is taken off the front word by word.
down=
while [ "$words" -gt 0 ]; do
    down="$down '$(printf '%s' "$1" | sed "s/'/'\\\\''/g")'"
    shift
    words=$((words - 1))
done
# Whatever became of that: what is down must come up.
eval "$down" || echo "down failed; going on with up" >&2
exec "$@"
