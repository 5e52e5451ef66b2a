# The end of what a container wrote. $1: the container.
docker logs --tail 20 "$1" 2>&1 | tail -c 16384
