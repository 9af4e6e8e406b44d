#!/bin/sh
# Writes requirements.lock (to run) and requirements-dev.lock (to test) from pyproject.toml:
# every version pinned, every file hashed, no index named. With --check, says whether
# pyproject.toml asks for something that the lock files do not pin.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" = "--check" ]; then
    exec .venv/bin/python deploy/lock_check.py
fi

compile() {
    .venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
        "$@" pyproject.toml
}
compile --extra build --output-file requirements.lock
compile --extra build --extra dev --extra tracing --constraint requirements.lock --output-file requirements-dev.lock
