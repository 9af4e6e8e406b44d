#!/bin/sh
# Lint, then every test, in as many processes as cores, four at most; those of one file run in one process.
# Arguments go to pytest: `sh tests/run.sh tests/unit -k digest`; `-n 0` keeps all in one process.
set -eu
cd "$(dirname "$0")/.."
[ "$#" -gt 0 ] || sh tests/lint.sh
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
