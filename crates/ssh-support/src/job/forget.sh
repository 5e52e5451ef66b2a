need timeout flock
[ -d "$base/jobs" ] || { say absent; exit 0; }
take_lock -x
if [ ! -d "$job" ]; then
    say absent
elif is_free; then
    rm -rf "$job" && say forgotten
else
    say running
fi
