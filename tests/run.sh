#!/bin/sh
# Lint, then the tests, in as many processes as cores, four at most; those of one file run in one process.
# Those that are marked slow are left out, unless SLOW is set. Arguments go to pytest instead of all that:
# `sh tests/run.sh tests/unit -k digest`; `-n 0` keeps all in one process.
set -eu
cd "$(dirname "$0")/.."
if [ "$#" -eq 0 ]; then
    sh tests/lint.sh
    if [ -z "${SLOW:-}" ]; then
        echo 'tests/run.sh: the slow tests are left out; SLOW=1 runs them as well'
        set -- -m 'not slow'
    fi
fi
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
