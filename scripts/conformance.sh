#!/usr/bin/env bash
# Runs the samples, vectors and fixtures that lie in $SHARED (they are not part of the project): the translation cases
# through the built command, and the tests with the build tag "conformance".
set -uo pipefail
cd "$(dirname "$0")/.."
if [ -z "${SHARED:-}" ] || [ ! -d "$SHARED" ]; then
  echo "SHARED names no folder: run as  make conformance SHARED=/path/to/shared"; exit 2
fi
status=0
python3 "$SHARED/conformance/check.py" --jsonl -- bin/footbridge translate --stream || status=1
log="$(mktemp)"
FOOTBRIDGE_SHARED="$SHARED" ${GO:-go} test -tags conformance -run 'Conformance[A-Z]' -timeout 20m -json ./... >"$log" 2>&1 || status=1
${GO:-go} run ./scripts/testsummary <"$log" || status=1
rm -f "$log"
exit $status
