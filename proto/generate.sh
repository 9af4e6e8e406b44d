#!/bin/sh
# Writes proto/gen from proto/penstock; with --check, says whether that would change anything.
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python
commons=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
out=proto/gen
[ "${1:-}" = "--check" ] && out=$(mktemp -d)

rm -rf "$out/penstock"
mkdir -p "$out"
"$python" -m grpc_tools.protoc -I proto -I "$commons" \
    --plugin=protoc-gen-mypy=.venv/bin/protoc-gen-mypy \
    --plugin=protoc-gen-mypy_grpc=.venv/bin/protoc-gen-mypy_grpc \
    --python_out="$out" --grpc_python_out="$out" \
    --mypy_out=quiet:"$out" --mypy_grpc_out=quiet,only_async:"$out" \
    proto/penstock/v1/*.proto

if [ "${1:-}" = "--check" ]; then
    status=0
    diff -r -x __pycache__ "$out/penstock" proto/gen/penstock || status=$?
    rm -rf "$out"
    [ "$status" -eq 0 ] || { echo "proto/gen is stale: run 'make proto' and commit the result" >&2; exit 1; }
fi
