#!/usr/bin/env bash
# The shared libviodm-core needs the C library and nothing else. usage: test_needed.sh LIBRARY
set -euo pipefail
needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
echo "$1 needs: ${needed//$'\n'/ }"
! grep -vE '^(libc\.so|ld-linux)' <<<"$needed"
# and exports nothing without our prefix
exported=$(nm -D --defined-only "$1" | awk '{print $3}')
! grep -vE '^vio_' <<<"$exported"
