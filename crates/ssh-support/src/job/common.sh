# What the scripts for jobs share. POSIX sh with coreutils and util-linux, or busybox. Answers are one line that begins with
# "rollback-job KEY"; of a finished job the end of its log follows.
umask 077
base=$1 key=$2
shift 2
[ -n "$base" ] || base=$HOME/.local/state/rollback
job=$base/jobs/$key

say() { printf '\nrollback-job %s %s\n' "$key" "$*"; }

need() {
    for tool in "$@"; do
        command -v "$tool" > /dev/null 2>&1 || { say missing "$tool"; exit 0; }
    done
}

# One lock for the folder, held for moments: a job that is being made is never seen half-made. busybox' flock has no time limit of its own.
take_lock() {
    exec 8>> "$base/lock"
    flock -n "$1" 8 || timeout 10 flock "$1" 8 || { say busy; exit 0; }
}

# Who holds the job's own lock runs it: the kernel lets go of it when they end, however they end, also at a reboot.
is_free() { flock -n -s "$job/lock" true; }

# An exit code is there at once or not at all: it needs no lock.
report_end() {
    [ -f "$job/rc" ] || return 1
    read -r code over < "$job/rc"
    say finished "$code" "$over"
    tail -c 65536 "$job/log"
}

report() {
    report_end && return
    [ -d "$base/jobs" ] || { say absent; return; }
    take_lock -s
    if [ ! -d "$job" ]; then
        say absent
    elif ! is_free; then
        say running
    elif report_end; then
        :
    elif [ -e "$job/ready" ]; then
        say interrupted unbegun
    else
        say interrupted begun
    fi
}

# Waits for the end of the job, and not longer than so many seconds.
wait_for() {
    [ "$1" -eq 0 ] || [ ! -e "$job/lock" ] || timeout "$1" flock -s "$job/lock" true
}
