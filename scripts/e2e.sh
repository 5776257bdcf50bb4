#!/usr/bin/env bash
# Runs Footbridge between real peers (see e2e/README.md). What is missing is installed into a cache folder first.
set -euo pipefail
cd "$(dirname "$0")/../e2e"
exec "${GO:-go}" run . "$@"
