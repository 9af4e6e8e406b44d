#!/bin/sh
# Lint, then every test. Arguments go to pytest: `sh tests/run.sh tests/unit -k digest`.
set -eu
cd "$(dirname "$0")/.."
[ "$#" -gt 0 ] || sh tests/lint.sh
exec .venv/bin/python -m pytest "$@"
