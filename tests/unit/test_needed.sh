#!/usr/bin/env bash
# The shared libviodm-core needs the C library and nothing else; the programs bring their own copy of the
# libraries, and one of each. usage: test_needed.sh LIBRARY PROGRAM...
set -euo pipefail
failed=0

# none WHAT GREP-OPTION...: no line of the input is found
none() {
	local what=$1
	shift
	if grep -E "$@"; then
		echo "FAILED: that is $what"
		failed=1
	fi
}

needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

needed "$1" | sed "s|^|$1 needs |"
none "not the C library" -v '^(libc\.so|ld-linux)' <<<"$(needed "$1")"
none "exported, without our prefix" -v '^vio_' <<<"$(nm -D --defined-only "$1" | awk '{print $3}')"
shift
for program; do
	none "in $program already" 'viodm' <<<"$(needed "$program")"
done
exit $failed
