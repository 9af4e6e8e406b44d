#!/bin/sh
# Sets up .venv: `setup.sh run` with what running needs, `setup.sh test` with what the tests
# need as well. Says what it does; does nothing when nothing changed since the last time.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:?usage: setup.sh run|test}

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

case "$purpose" in
    run) lock=requirements.lock ;;
    test) lock=requirements-dev.lock ;;
    *) fail "unknown purpose '$purpose': say run or test" ;;
esac

# A test set-up serves for running too, so that `make run` does not undo `make test`.
wanted() { cat pyproject.toml "$1" | sha256sum | cut -c1-16; }
for done_lock in "$lock" requirements-dev.lock; do
    if [ -e ".venv/.set-up-$(wanted "$done_lock")" ] && [ -x .venv/bin/penstock ]; then exit 0; fi
done

python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3.11 python3.12 python3.13 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
[ -n "$python" ] || fail "no Python 3.11 or newer was found; on Debian 12: apt-get install python3 python3-venv"

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    say "creating .venv with $("$python" --version)"
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        rm -rf .venv
        if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
            say "this Python cannot make virtual environments yet: installing python3-venv"
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null 2>&1 ||
                fail "python3-venv could not be installed; install it and run this again"
            "$python" -m venv .venv || fail "$python -m venv failed"
        else
            fail "$python cannot make virtual environments; on Debian 12: sudo apt-get install python3-venv"
        fi
    fi
fi

say "installing the packages pinned in $lock (a minute or so the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock" ||
    fail "a package of $lock could not be installed; the lines above say which one and why"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
    fail "the project itself could not be installed into .venv"

rm -f .venv/.set-up-*
: >".venv/.set-up-$(wanted "$lock")"
say "ready: .venv/bin/penstock"
