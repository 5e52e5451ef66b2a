# Runs the job, in a session of its own. It holds the job's lock as file 9, which the command does not get.
job=$1 limit=$2 kill=$3 fed=$4 dir=$5
shift 5
uptime() { IFS=' .' read -r now _ < /proc/uptime; }
work() { timeout -k "$kill" "$limit" sh -c 'exec "$@" 9>&-' sh "$@"; }

if [ "$fed" = 1 ]; then
    IFS= read -r input || exit
fi
mv "$job/ready" "$job/begun" || exit
uptime
begun=$now
if ! cd "${dir:-$HOME}"; then
    code=126
elif [ "$fed" = 1 ]; then
    printf '%s\n' "$input" 9>&- | base64 -d 9>&- | work "$@"
    code=$?
else
    work "$@"
    code=$?
fi
uptime
over=0
# 124 by coreutils' timeout, 143 by busybox', 137 where it had to kill.
case $code in
    124 | 137 | 143) [ $((now - begun)) -lt "$limit" ] || over=1 ;;
esac
# Written over the place that was taken at the start, and then named, at once.
printf '%3d %d\n' "$code" "$over" 1<> "$job/rc.new" && mv "$job/rc.new" "$job/rc"
