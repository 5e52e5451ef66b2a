limit=$1 kill=$2 wait=$3 fed=$4 days=$5 runner=$6 dir=$7
shift 7
need timeout flock setsid tail
input=
if [ "$fed" = 1 ]; then
    need base64
    # Else it would be a program, and the input an argument of it.
    [ "$(command -v printf)" = printf ] || { say missing 'a shell with a printf of its own'; exit 0; }
    # All of the input is here, or nothing begins.
    IFS= read -r input || { say cut; exit 0; }
fi
[ -d "$base/jobs" ] || mkdir -p "$base/jobs" || { say unwritable; exit 0; }
[ -O "$base/jobs" ] || { say foreign; exit 0; }
take_lock -x

feed() { printf '%s\n' "$input"; }
run() { setsid sh -c "$runner" sh "$job" "$limit" "$kill" "$fed" "$dir" "$@"; }

if mkdir "$job" 2> /dev/null; then
    # The exit code's place is taken now: a disk that is full by then still keeps it.
    if : > "$job/lock" && : > "$job/log" && : > "$job/ready" && printf '     \n' > "$job/rc.new"; then
        exec 9>> "$job/lock"
        flock -n 9
    else
        rm -rf "$job"
        say unwritable
        exit 0
    fi
    # Closed by `exec`, for good: redirections of a function or group are put aside by the shell, which would keep the connection and
    # the folder's lock as long as the job runs.
    (
        exec < /dev/null >> "$job/log" 2>&1 8>&-
        if [ "$fed" = 1 ]; then feed | run "$@"; else run "$@"; fi
    ) &
    input=
    exec 9>&-
    # What is old goes meanwhile, and the folder's lock is held until then.
    (
        exec < /dev/null > /dev/null 2>&1
        find "$base/jobs" -mindepth 1 -maxdepth 1 -type d -mtime "+$days" | head -n 20 | while IFS= read -r old; do
            flock -n -s "$old/lock" true && rm -rf "$old"
        done
    ) &
elif [ ! -d "$job" ]; then
    say unwritable
    exit 0
fi
exec 8>&-
wait_for "$wait"
report
