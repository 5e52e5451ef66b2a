#!/usr/bin/env bash
# The control plane of Kubernetes, for tests: etcd, kube-apiserver, kube-controller-manager, and kubectl where the machine has none.
# tests/install-servers calls it.
#
# Where KUBEBUILDER_ASSETS names a folder with the first three, tests use those. Otherwise they are made in
# target/test-servers/kubernetes from what Debian 12 has: nothing there is ready-made, but the source of Kubernetes with all that it
# needs, a compiler for it, and etcd. All of it is unpacked in that folder, nothing is installed on the machine, and no root is needed.
# It can be stopped and started again: what is done stays done. What it said is in build.log there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Change the number when something else is to be built.
recipe="kubernetes 1.20.2 of Debian 12, recipe 1"
version=v1.20.2
suite=bookworm
programs="etcd kube-apiserver kube-controller-manager"
# What building takes while it lasts.
need_mib=3000

folder=$PWD/target/test-servers/kubernetes
build=$folder/build
log=$folder/build.log

have() { command -v "$1" >/dev/null 2>&1; }

fail() {
    echo "kubernetes: $1" >&2
    [ -z "${2:-}" ] || echo "  next: $2" >&2
    exit 1
}

# A file counts only when it is whole: it gets its name last.
in_full() {
    local name=$1
    shift
    rm -rf "$name.new"
    "$@" "$name.new"
    mv "$name.new" "$name"
}

missing_of() {
    local program
    for program in $programs; do [ -x "$1/$program" ] || echo "$program"; done
}

# Where packages come from is for the machine to say; another release of Debian is asked for the one that has the source.
list_sources() {
    local targets
    # Without a word where there is no network: this only reads what is configured.
    targets=$(apt-get indextargets --format '$(REPO_URI) $(SIGNED_BY)' 'Identifier: Packages' 'Component: main' "Release: $VERSION_CODENAME")
    [ -n "$targets" ] || return 1
    local uri key
    # A key that is not told is written as the name of its field.
    while read -r uri key; do
        case $key in /*) key="[signed-by=$key]" ;; *) key= ;; esac
        printf 'deb %s %s %s main\ndeb-src %s %s %s main\n' "$key" "$uri" "$suite" "$key" "$uri" "$suite"
    done <<<"$targets" | sort -u >"$1"
}

# Lists and downloads of its own: the machine's are not touched.
apt() {
    local program=$1
    shift
    "$program" -q -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::Languages=none -o Dir::Etc::sourcelist="$build/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::State::lists="$build/apt/lists" -o Dir::Cache="$build/apt/cache" "$@"
}

download() {
    local packages="etcd-server golang-1.19-go golang-1.19-src"
    have kubectl || packages="$packages kubernetes-client"
    mkdir -p "$build/apt/lists/partial" "$build/apt/cache/archives/partial" "$1"
    apt apt-get update
    # shellcheck disable=SC2086
    (cd "$1" && apt apt-get download $packages && apt apt-get source --download-only kubernetes)
}

# Packages, unpacked one over the other.
unpack_packages() {
    local package
    mkdir "$1"
    for package in "$build"/downloads/*.deb; do dpkg-deb -x "$package" "$1"; done
}

unpack_source() {
    mkdir "$1"
    tar -xzf "$build"/downloads/kubernetes_*.orig.tar.gz -C "$1" --strip-components 1
}

use_go() {
    # Whatever the machine has set for its own Go does not count.
    local name
    for name in $(compgen -e | grep '^GO\|^CGO'); do unset "$name"; done
    export GOROOT=$build/root/usr/lib/go-1.19 GOPATH=$build/gopath GOCACHE=$build/gocache GOENV=off GO111MODULE=off CGO_ENABLED=0
    export PATH=$GOROOT/bin:$PATH
    mkdir -p "$GOPATH/src/k8s.io"
    # Its packages are called after this folder.
    ln -sfn "$build/source" "$GOPATH/src/k8s.io/kubernetes"
    cd "$GOPATH/src/k8s.io/kubernetes"
}

# The one file that the source does not bring: what the API server tells of its types.
generate() (
    use_go
    go build -o "$build/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    local inputs
    inputs=$(grep -rl --include='*.go' '+k8s:openapi-gen=' pkg cmd vendor/k8s.io/*/ | grep -Ev '^vendor/k8s.io/(code-generator|sample-apiserver)/|_test.go$' |
        xargs -n 1 dirname | LC_ALL=C sort -u | sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
    "$build/openapi-gen" --logtostderr -i "$inputs" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
        -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$build/violations"
    touch "$1"
)

# Two programs, no debug information, and none of the clouds' own SDKs: those take as long as all the rest.
compile() (
    use_go
    mkdir "$1"
    local flags="-s -w" module
    for module in component-base/version client-go/pkg/version; do
        module=k8s.io/kubernetes/vendor/k8s.io/$module
        flags="$flags -X $module.gitVersion=$version -X $module.gitMajor=1 -X $module.gitMinor=20 -X $module.gitTreeState=archive"
    done
    go build -v -o "$1/" -tags providerless -trimpath -gcflags=all=-dwarf=false -ldflags "$flags" ./cmd/kube-apiserver ./cmd/kube-controller-manager
)

keep() {
    local program
    # etcd wants to be told that it may run where it was tested less.
    export ETCD_UNSUPPORTED_ARCH=arm64
    cp "$build"/root/usr/bin/etcd "$build"/programs/* "$folder"
    [ ! -x "$build/root/usr/bin/kubectl" ] || cp "$build/root/usr/bin/kubectl" "$folder"
    for program in $programs; do "$folder/$program" --version; done >"$1"
}

# step FILE WHAT COMMAND... : makes FILE, unless it is there; says what takes so long, and the end of the log when it fails.
step() {
    local file=$1 what=$2 start=$SECONDS
    shift 2
    [ ! -e "$build/$file" ] || return 0
    echo "kubernetes: $what"
    # Not as a condition: a failure in the middle of it must end it.
    set +e
    (
        set -e
        in_full "$build/$file" "$@"
    ) >>"$log" 2>&1
    local code=$?
    set -e
    if [ "$code" -ne 0 ]; then
        tail -n 20 "$log" >&2
        fail "cannot $what; all of it is in $log" "${hint:-run it again: it goes on where it stopped}"
    fi
    echo "kubernetes: $what: $((SECONDS - start)) s" >>"$log"
}

check_machine() {
    local free other="set KUBEBUILDER_ASSETS to a folder with $programs: they are for download from the releases of Kubernetes and etcd (setup-envtest brings no kube-controller-manager)"
    ID='' VERSION_CODENAME=''
    [ ! -r /etc/os-release ] || . /etc/os-release
    { [ "$ID" = debian ] && have apt-get && have dpkg-deb; } || fail "it is built from what Debian has, and this is ${ID:-another system}" "$other"
    [ "$(dpkg --print-architecture)" = amd64 ] || [ "$(dpkg --print-architecture)" = arm64 ] || fail "it is not built for this processor" "$other"
    free=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$need_mib" ] || fail "building takes $need_mib MiB in $folder for a few minutes, and $free are free" "make room, or $other"
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    missing=$(missing_of "$KUBEBUILDER_ASSETS" | paste -sd ' ')
    [ -z "$missing" ] || fail "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, and has no $missing there" \
        "put them there (setup-envtest brings no kube-controller-manager), or unset it to have all built"
    exit 0
fi
installed() { [ "$(cat "$folder/installed" 2>/dev/null)" = "$recipe" ] && [ -z "$(missing_of "$folder")" ]; }
if installed; then exit 0; fi

mkdir -p "$folder"
# Who comes second waits, and finds it done.
exec 9>"$folder/lock"
if have flock; then flock 9; fi
if installed; then exit 0; fi
check_machine
# Left of another recipe.
if [ "$(cat "$build/recipe" 2>/dev/null)" != "$recipe" ]; then rm -rf "$build" "$log"; fi
mkdir -p "$build"
echo "$recipe" >"$build/recipe"

step sources.list "find out where packages come from" list_sources
hint="check the network, then run it again" step downloads "download the source, its compiler and etcd" download
step root "unpack the compiler and etcd" unpack_packages
step source "unpack the source" unpack_source
step generated "generate what the source does not bring" generate
step programs "compile kube-apiserver and kube-controller-manager (a few minutes)" compile
step kept "try what was built" keep
echo "$recipe" >"$folder/installed"
rm -rf "$build" "$folder/lock"
echo "kubernetes: installed in $folder, in $SECONDS s"
