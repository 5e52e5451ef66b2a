# Pins images, and brings services up. $1: the file, $2: its text; then the command.
pin=$1 text=$2
shift 2
# By `cat`, which says why when it cannot write, as on a full disk.
(umask 077 && mkdir -p "${pin%/*}" && printf '%s' "$text" | cat >"$pin.new" && mv -f "$pin.new" "$pin") || exit 96
exec "$@"
