#!/bin/sh
# A deploy that is watched: refuses what was rolled back from, records what it ships, and waits until that has shown that it is good.
#
#   VERSION=2.1 COMMIT=abc123d ./deploy.sh web
set -eu

component=$1

rollback allowed "$VERSION" "$component" && code=0 || code=$?
case $code in
  0) ;;
  3) echo "$VERSION is under quarantine: not shipped" >&2; exit 1 ;;
  *) echo "the store did not answer: not shipped" >&2; exit 1 ;;
esac

./ship "$component" "$VERSION"            # whatever deploys it

rollback record "$component" --pending --version "$VERSION" --commit "$COMMIT" --by "${USER:-pipeline}"

rollback guard "$component" --for 10m && code=0 || code=$?
case $code in
  0) echo "$VERSION is good" ;;
  10) echo "$VERSION was bad and has been rolled back" >&2; exit 1 ;;
  11) echo "$VERSION is bad, or nobody knows how it is: somebody must look" >&2; exit 1 ;;
  *) echo "the rollback of $VERSION did not end well: somebody must look" >&2; exit "$code" ;;
esac
