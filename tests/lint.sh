#!/bin/sh
# Style, types, import rules, generated code: every check runs, and any failure fails the whole.
set -u
cd "$(dirname "$0")/.."
status=0
check() {
    printf '== %s\n' "$1"
    shift
    "$@" || status=1
}
check "style" .venv/bin/ruff check --quiet .
check "format" .venv/bin/ruff format --quiet --check .
check "types" .venv/bin/mypy --no-error-summary
check "import rules" .venv/bin/lint-imports --no-logo
check "generated code" sh proto/generate.sh --check
check "README tables" .venv/bin/python -m deploy.docs --check
check "dashboards" .venv/bin/python -m deploy.dashboards --check
check "lock files" sh deploy/lock.sh --check
exit "$status"
