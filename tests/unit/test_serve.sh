#!/usr/bin/env bash
# viodm serve: two disks behind sockets, load from viodm bench, resize, a clean end.
# usage: test_serve.sh VIODM
set -euo pipefail
viodm=$1
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT

fail() {
	echo "$1" >&2
	cat "$dir/out" "$dir/err" >&2 || true
	exit 1
}

# within 10 s: COMMAND...
eventually() {
	local i
	for ((i = 0; i < 100; i++)); do
		if "$@"; then return 0; fi
		sleep 0.1
	done
	return 1
}

truncate -s 8M "$dir/disk1.raw"
cat >"$dir/viodm.ini" <<EOF
[iothread io0]

[blk disk0]
engine = memory
size = 8M
backend = iothread
iothreads = io0
transport = vhost-user
socket = $dir/0.sock
socket-mode = 0600

[blk disk1]
image = $dir/disk1.raw
transport = vhost-user
socket = $dir/1.sock
EOF

"$viodm" serve -c "$dir/viodm.ini" >"$dir/out" 2>"$dir/err" &
server=$!
eventually grep -q '^ready: 2 device' "$dir/out" || fail "not ready"
[ "$(stat -c %a "$dir/0.sock")" = 600 ] || fail "mode of the socket"

"$viodm" bench --verify --count 2000 --span 4M --quiet "$dir/0.sock" >"$dir/b0" || fail "bench of disk0"
grep -q verified "$dir/b0" || fail "not verified"
"$viodm" bench --verify --count 2000 --span 4M --quiet "$dir/1.sock" >/dev/null || fail "bench of disk1"

truncate -s 16M "$dir/disk1.raw"
kill -HUP "$server"
eventually grep -q '1 disk(s) changed' "$dir/err" || fail "no resize"
"$viodm" bench --verify --count 2000 --span 16M --quiet "$dir/1.sock" >/dev/null || fail "after the resize"

kill -TERM "$server"
wait "$server" || fail "exit status $?"
server=
[ ! -e "$dir/0.sock" ] && [ ! -e "$dir/1.sock" ] || fail "sockets were left behind"

# what it refuses
status=0
"$viodm" serve -c "$dir/viodm.ini" -o disk1.transport=pci >"$dir/out" 2>"$dir/err" || status=$?
[ $status = 1 ] && grep -q 'disk1' "$dir/err" || fail "a pci device was taken"
status=0
"$viodm" serve >"$dir/out" 2>"$dir/err" || status=$?
[ $status = 2 ] || fail "no file, but exit status $status"
mkdir "$dir/2.sock"
status=0
"$viodm" serve -c "$dir/viodm.ini" -o "disk1.socket=$dir/2.sock" >"$dir/out" 2>"$dir/err" || status=$?
[ $status = 1 ] && grep -q 'disk1: .*2.sock' "$dir/err" || fail "a folder as a socket"
[ ! -e "$dir/0.sock" ] || fail "the other socket was left behind"
echo "served, loaded, resized, ended"
