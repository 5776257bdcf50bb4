#!/usr/bin/env bash
# Runs every test of the main module with a Redis, a Redis Cluster and a PostgreSQL of its own, on free ports of loopback.
# The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
services="$(mktemp -d "${TMPDIR:-/tmp}/footbridge-services.XXXXXX")"
chmod 755 "$services"
trap 'scripts/services.sh stop "$services" >/dev/null 2>&1; rm -rf "$services"' EXIT
if ! scripts/services.sh start "$services" >"$services.log" 2>&1; then
  cat "$services.log"; echo "the test services did not start"; echo "0 passed, 1 failed"; exit 1
fi
rm -f "$services.log"
eval "$(scripts/services.sh env "$services")"
${GO:-go} vet ./... || { echo "0 passed, 1 failed"; exit 1; }
log="$(mktemp)"
${GO:-go} test -shuffle=on -timeout 20m -json ${TESTFLAGS:-} ./... >"$log" 2>&1
status=$?
go run ./scripts/testsummary <"$log" || status=1
rm -f "$log"
exit $status
