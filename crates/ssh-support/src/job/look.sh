wait=$1
need timeout flock tail
wait_for "$wait"
report
