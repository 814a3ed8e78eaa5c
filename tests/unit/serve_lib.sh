# What the tests of the daemon share; sourced with the viodm command as $1. From here on the folder is
# a new one, which goes at the end with the daemon.
set -u
viodm=$(realpath "$1")
tmp=$(mktemp -d)
daemon=
failed=0

cleanup() {
	[ -n "$daemon" ] && kill -KILL "$daemon" 2>/dev/null
	rm -rf "$tmp" "${shm:-}" # where a test put a file in memory, if it did
}
trap cleanup EXIT
cd "$tmp" || exit 1

fail() {
	echo "FAILED: $*"
	echo "--- log:"
	cat log 2>/dev/null
	failed=1
}

# retry COMMAND...: until it succeeds, ten seconds at most
retry() {
	for _ in $(seq 200); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}

is_ready() { grep -qsE '^ready: [0-9]+ devices?$' out; }
logged() { grep -qE -- "$1" log; }

# start ARGUMENT...: in the background, returns when it is ready
start() {
	rm -f out log # what an earlier one said
	"$viodm" serve "$@" >out 2>log &
	daemon=$!
	retry is_ready || fail "not ready: viodm serve $*"
}

# stop SIGNAL: exits 0 and leaves no socket
stop() {
	kill "-$1" "$daemon"
	wait "$daemon"
	local status=$?
	daemon=
	[ $status = 0 ] || fail "SIG$1: exit status $status"
	local left
	left=$(find . -type s)
	[ -z "$left" ] || fail "SIG$1: leaves $left"
}

# expect STATUS PATTERN ARGUMENT...: both streams of the command match the extended regular expression
expect() {
	local status=$1 pattern=$2 got
	shift 2
	timeout 30 "$viodm" "$@" >got 2>&1
	got=$?
	if [ "$got" != "$status" ] || ! grep -qE -- "$pattern" got; then
		fail "viodm $*: status $got, wanted $status and /$pattern/: $(cat got)"
	fi
}
