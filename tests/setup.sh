#!/bin/sh
# Gets the real servers and clients that the tests use: Debian's packages, and Go tools that Debian and
# PyPI lack, built at pinned versions into .tools/bin (git-ignored). Quick when everything is there.
# What cannot be had is left out, loudly; it never fails: the tests that miss something say so.
set -u
cd "$(dirname "$0")/.."

packages="docker-registry docker.io podman skopeo buildah containerd"
packages="$packages apache2-utils" # htpasswd: bcrypt for a registry with Basic authentication
packages="$packages nginx" # tests/bench
packages="$packages postgresql redis-server" # what several control planes share
packages="$packages faketime" # clocks that jump
packages="$packages radosgw ceph-mon ceph-osd ceph-common" # an S3 server that checks signatures
packages="$packages prometheus" # and promtool: metrics, rules
packages="$packages haproxy" # what stands in front of nodes
packages="$packages curl iproute2 openssl" # small things that some machines lack
go_tools="
grpcurl github.com/fullstorydev/grpcurl         v1.9.4   cmd/grpcurl
helm    helm.sh/helm/v3                         v3.22.0  cmd/helm
oras    oras.land/oras                          v1.3.6   cmd/oras
crane   github.com/google/go-containerregistry  v0.22.1  cmd/crane
"
go_build_limit=900 # seconds for one tool, downloads included
log=.tools/setup.log
left_out=""

leave_out() {
    left_out="${left_out}  - $1
"
}

# PostgreSQL's package makes a database and starts a server, unless its sibling was told not to before.
no_cluster() {
    case "$missing" in
    *postgresql*) ;;
    *) return 0 ;;
    esac
    apt-get install -q -y --no-install-recommends postgresql-common || return 1
    sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
}

mkdir -p .tools/bin
: >"$log"

missing=""
for package in $packages; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || state=""
    [ "$state" = installed ] || missing="$missing $package"
done

if [ -z "$missing" ]; then
    :
elif ! command -v apt-get >/dev/null 2>&1; then
    leave_out "$missing (Debian packages): this machine has no apt-get; install them with its own package manager"
elif [ "$(id -u)" -ne 0 ]; then
    leave_out "$missing (Debian packages): installing needs root; run 'apt-get install$missing' as root"
else
    echo "tests/setup.sh: installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a list of words
    if ! { apt-get update -q && no_cluster && apt-get install -q -y --no-install-recommends $missing; } >>"$log" 2>&1; then
        leave_out "$missing (Debian packages): apt-get failed; see $log"
        tail -n 5 "$log" >&2
    fi
fi

if ! command -v go >/dev/null 2>&1; then
    leave_out "grpcurl helm oras crane (built with Go): this machine has no 'go'"
else
    while read -r name module version path; do
        [ -n "$name" ] || continue
        # The binary knows which version of which module it was built from.
        if go version -m ".tools/bin/$name" 2>/dev/null | grep -q "mod[[:space:]]$module[[:space:]]$version[[:space:]]"; then
            continue
        fi
        echo "tests/setup.sh: building $name $version with $(go env GOVERSION); the first time this takes minutes"
        if ! GOBIN="$PWD/.tools/bin" timeout "$go_build_limit" go install "$module/$path@$version" >>"$log" 2>&1; then
            leave_out "$name $version (built with Go): the build failed; see $log"
            tail -n 5 "$log" >&2
        fi
    done <<END
$go_tools
END
fi

if [ -n "$left_out" ]; then
    printf 'tests/setup.sh: LEFT OUT, and tests that need it are skipped (in CI they fail, Go tools excepted):\n%s' "$left_out" >&2
else
    echo "tests/setup.sh: all real servers and clients are in place"
fi
