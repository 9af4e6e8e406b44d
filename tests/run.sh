#!/bin/sh
# Lint, then every test. Arguments go to pytest: `sh tests/run.sh tests/unit -k digest`.
#
# In CI, what failed is run once more by itself. A test that passes then depends on load or on time: it
# does not stop a change that has nothing to do with it, but it is named here, and is to be mended.
set -eu
cd "$(dirname "$0")/.."
[ "$#" -gt 0 ] || sh tests/lint.sh
.venv/bin/python -m pytest "$@" && exit 0
status=$?
if [ -z "${CI:-}" ] || [ "$status" -ne 1 ]; then exit "$status"; fi
printf '\ntests/run.sh: UNSTABLE, or broken: what failed above is run once more by itself\n\n'
exec .venv/bin/python -m pytest --last-failed --last-failed-no-failures none "$@"
