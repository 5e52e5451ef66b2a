#!/usr/bin/env bash
# What hosts are made of, for tests: an SSH server and client, a registry, and both generations of compose.
# tests/install-servers calls it, and installs docker besides.
#
# compose v1 (1.29.2, in Python) and the registry are packages of Debian 12, compose v2 (2.26.1) is one of Debian 13: all are unpacked in
# target/test-servers/hosts, by lists of packages of their own, and nothing of that is installed on the machine. The SSH server is installed
# with apt where there is none, and is not started: it needs a user that its package makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Change the number when something else is to be unpacked.
recipe="hosts, recipe 1"
old=bookworm
new=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# compose v1 and what it needs of Python's packages. Python itself is the machine's.
python="docker-compose python3-attr python3-cached-property python3-certifi python3-chardet python3-charset-normalizer python3-distro
    python3-distutils python3-docker python3-dockerpty python3-docopt python3-dotenv python3-idna python3-jsonschema python3-lib2to3
    python3-pkg-resources python3-pyrsistent python3-requests python3-six python3-texttable python3-urllib3 python3-websocket python3-yaml"

folder=$PWD/target/test-servers/hosts
build=$folder/build

have() { command -v "$1" >/dev/null 2>&1; }

fail() {
    echo "hosts: $1" >&2
    [ -z "${2:-}" ] || echo "  next: $2" >&2
    exit 1
}

# Its package starts one that listens on all addresses, where nobody forbids it.
install_ssh() {
    if { have sshd || [ -x /usr/sbin/sshd ]; } && have ssh && have ssh-keygen; then return; fi
    { have apt-get && [ "$(id -u)" -eq 0 ]; } ||
        fail "there is no sshd, ssh or ssh-keygen" "install them as root: apt-get install openssh-server openssh-client, or dnf install openssh-server openssh-clients"
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends openssh-server openssh-client
    if [ "$(trap -p EXIT)" ]; then
        rm -f "$policy"
        trap - EXIT
        # Nor shall it start with the machine, which had none.
        if have systemctl; then systemctl disable -q ssh.service ssh.socket >/dev/null 2>&1 || true; fi
    fi
}

# A file counts only when it is whole: it gets its name last.
in_full() {
    local name=$1
    shift
    [ ! -e "$build/$name" ] || return 0
    rm -rf "$build/$name.new"
    "$@" "$build/$name.new"
    mv "$build/$name.new" "$build/$name"
}

# Where packages come from is for the machine to say.
list_sources() {
    local codename uris uri suite
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # What is a pool of packages of Debian, and no other: the suites are asked of it by name.
    uris=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Component: main' "Release: $codename" | sort -u)
    [ -n "$uris" ] || fail "apt knows no source of $codename"
    for uri in $uris; do
        for suite in "$old" "$new"; do printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$suite"; done
    done >"$1"
}

# Lists and downloads of its own: the machine's are not touched. Nothing counts as installed.
apt() {
    local program=$1
    shift
    "$program" -q -o APT::Sandbox::User=root -o APT::Default-Release="$old" -o Acquire::Retries=3 -o Acquire::Languages=none \
        -o Dir::Etc::sourcelist="$build/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$build/apt/lists" \
        -o Dir::State::status="$build/apt/status" -o Dir::Cache="$build/apt/cache" "$@"
}

download() {
    mkdir -p "$build/apt/lists/partial" "$build/apt/cache/archives/partial" "$1/v1" "$1/v2" "$1/registry"
    : >"$build/apt/status"
    apt apt-get update
    # shellcheck disable=SC2086
    (cd "$1/v1" && apt apt-get download ${python//docker-compose/docker-compose/$old})
    (cd "$1/registry" && apt apt-get download "docker-registry/$old")
    (cd "$1/v2" && apt apt-get download "docker-compose/$new")
}

unpack() {
    local part package
    mkdir "$1"
    for part in v1 v2 registry; do
        mkdir "$1/$part"
        for package in "$build/downloads/$part"/*.deb; do dpkg-deb -x "$package" "$1/$part"; done
    done
}

# One file each, which can be linked to from anywhere.
keep() {
    local interpreter=/usr/bin/python3
    [ -x "$interpreter" ] || interpreter=$(type -P python3)
    mkdir "$1"
    mv "$build/root/v2/usr/libexec/docker/cli-plugins/docker-compose" "$1/compose-v2"
    mv "$build/root/registry/usr/bin/docker-registry" "$1/registry"
    mv "$build/root/v1/usr/lib/python3/dist-packages" "$1/python"
    mv "$build/root/v1/usr/bin/docker-compose" "$1/compose-v1.py"
    # Hosts see this folder elsewhere. Warnings are of a Python that came after it.
    cat >"$1/compose-v1" <<END
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
export PYTHONPATH="\$here/python" PYTHONDONTWRITEBYTECODE=1
exec $interpreter -W ignore "\$here/compose-v1.py" "\$@"
END
    chmod 755 "$1/compose-v1"
    "$interpreter" -W ignore -m compileall -q "$1/python" || true
    "$1/compose-v1" version --short | grep -qx '1\.29\.2'
    "$1/compose-v2" version --short | grep -q '^2\.'
    "$1/registry" --version >/dev/null
}

check_machine() {
    { have apt-get && have dpkg-deb && [ -r "$keyring" ]; } || fail "it is unpacked from packages of Debian, and there is no apt that knows Debian's keys" \
        "use Debian, or put compose-v1, compose-v2 and registry there as tests/servers/hosts.sh does: $folder/programs"
    [ "$(dpkg --print-architecture)" = amd64 ] || [ "$(dpkg --print-architecture)" = arm64 ] || fail "there is nothing of it for this processor"
    have python3 || fail "there is no Python 3 for compose v1" "apt-get install python3"
}

installed() { [ "$(cat "$folder/installed" 2>/dev/null)" = "$recipe" ] && [ -x "$folder/programs/compose-v1" ]; }

install_ssh
have docker || fail "there is no docker command" "install it as root: apt-get install docker-cli, or docker.io where there is none"
if installed; then exit 0; fi
mkdir -p "$folder"
# Who comes second waits, and finds it done.
exec 9>"$folder/lock"
if have flock; then flock 9; fi
if installed; then exit 0; fi
check_machine
# Left of another recipe.
if [ "$(cat "$build/recipe" 2>/dev/null)" != "$recipe" ]; then rm -rf "$build"; fi
mkdir -p "$build"
echo "$recipe" >"$build/recipe"

in_full sources.list list_sources
# Not as a condition: a failure in the middle of it must end it.
set +e
(
    set -e
    in_full downloads download
) >"$build/log" 2>&1
code=$?
set -e
if [ "$code" -ne 0 ]; then
    tail -n 20 "$build/log" >&2
    fail "cannot download the packages" "check the network, then run it again"
fi
in_full root unpack
in_full programs keep
rm -rf "$folder/programs"
mv "$build/programs" "$folder/programs"
echo "$recipe" >"$folder/installed"
rm -rf "$build" "$folder/lock"
echo "hosts: installed in $folder, in $SECONDS s"
