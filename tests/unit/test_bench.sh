#!/usr/bin/env bash
# viodm bench against our server, a device in the same process, and qemu-storage-daemon.
# usage: test_bench.sh VIODM SERVE_ONE
set -u
viodm=$(realpath "$1") serve=$(realpath "$2")
tmp=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
failed=0

# expect STATUS PATTERN ARGUMENT...: both streams together match the extended regular expression.
expect() {
	local status=$1 pattern=$2 got
	shift 2
	timeout 60 "$viodm" bench --quiet "$@" >out 2>&1
	got=$?
	if [ "$got" != "$status" ] || ! grep -qE -- "$pattern" out; then
		echo "viodm bench $*: status $got, wanted $status and /$pattern/:"
		cat out
		failed=1
	fi
}

# serve SOCKET COMMAND...: starts a server and waits for its socket
serve() {
	local sock=$1
	shift
	"$@" >>servers.log 2>&1 &
	pids+=($!)
	for _ in $(seq 100); do
		[ -S "$sock" ] && return
		sleep 0.05
	done
	echo "no server on $sock: $*"
	cat servers.log
	exit 1
}

serve a.sock "$serve" -s a.sock -m 64 -q 2 -t 1
serve b.sock "$serve" -s b.sock -m 64
ok='holds what was written last'

# ---- the command line
expect 2 'name one socket'
expect 2 'unknown option "deph"; did you mean "depth"\?' --deph 3 a.sock
expect 2 '--bs: "100" is not a multiple of 512|--bs: "100" is out of range' --bs 100 a.sock
expect 2 '--rw: read, write' --rw reed a.sock
expect 2 'do not go together' --poll --sleep a.sock
expect 2 '--depth is larger than --queue-size' --depth 8 --queue-size 4 a.sock
expect 2 'together with one socket' --reconnect 1 --vs b.sock a.sock
expect 2 'seconds, such as' --reconnect soon a.sock
expect 1 'none.sock: cannot connect: No such file' --reconnect 0.2 none.sock
expect 1 'none.sock: cannot connect' none.sock
expect 1 'the disk has 1 queue' --queues 2 b.sock
expect 1 'the disk has 67108864 bytes only' --span 1G a.sock

# ---- load, data, counts
expect 0 "$ok" --verify --rw mixed:50 --time 0.5 --span 16M --sleep a.sock
expect 0 "$ok" --verify --rw mixed:30 --time 0.5 --span 16M --queues 2 --threads 1 --depth 8 a.sock
expect 0 "$ok" --verify --rw mixed:50 --count 2000 --bs 64K --no-indirect --no-event-idx --sleep b.sock
expect 0 '^a.sock.*: 1001 requests' --count 1001 --queues 2 --sleep --rw flush a.sock
expect 0 'A/B' --time 0.3 --slice 0.1 --sleep --vs b.sock a.sock

# ---- a device that loses what is written must not pass
printf '[blk disk0]\nimage = none.img\n\n[blk disk1]\nengine = memory\nsize = 16M\n' >disks.ini
expect 1 'disk0: queue 0: verify: sector [0-9]+, generation [0-9]+: reads as zeroes' --verify \
	--sleep --span 1M --time 0.2 -c disks.ini -o disk0.engine=null -o disk0.size=16M disk0
expect 0 "$ok" --verify --rw mixed:50 --sleep --span 1M --count 5000 -c disks.ini \
	-o disk0.engine=null -o disk0.size=1M disk1
printf '[serve]\nlog-level = debug\n' >>disks.ini
expect 0 'disk1.*: 10 requests' --count 10 --sleep -c disks.ini -o disk0.engine=null \
	-o disk0.size=1M disk1
expect 1 'no such device' -c disks.ini -o disk0.engine=null -o disk0.size=1M disk7

# ---- for programs
for args in "a.sock" "--vs b.sock --slice 0.1 a.sock" "--verify --span 1M a.sock"; do
	# shellcheck disable=SC2086
	timeout 60 "$viodm" bench --json --time 0.3 --sleep $args >json 2>out || failed=1
	if ! python3 -m json.tool json >/dev/null 2>>out; then
		echo "viodm bench --json $args: not JSON"
		cat json out
		failed=1
	fi
done

# ---- Ctrl-C ends it early, and cleanly
start=$SECONDS
timeout --foreground -s INT 1 "$viodm" bench --quiet --time 50 --sleep --json a.sock >json 2>out
if [ $((SECONDS - start)) -gt 20 ] || ! grep -q '"interrupted": true' json; then
	echo "viodm bench: not ended by SIGINT"
	cat json out
	failed=1
fi

# ---- a server that dies is noticed
serve c.sock "$serve" -s c.sock -m 16
victim=${pids[-1]}
(sleep 0.5 && kill -9 "$victim") &
expect 1 'c.sock: the server closed the connection' --time 50 --sleep c.sock

# ---- and waited for, if wanted: the next one has the data, or has not
for image in d.img other.img; do
	truncate -s 16M $image
	serve d.sock "$serve" -s d.sock -i d.img
	victim=${pids[-1]}
	(
		sleep 0.5
		kill -9 "$victim"
		tail -s 0.05 --pid="$victim" -f /dev/null # until its socket is closed
		exec "$serve" -s d.sock -i $image >>servers.log 2>&1
	) &
	pids+=($!)
	if [ $image = d.img ]; then
		expect 0 'reconnects +1$' --verify --rw mixed:50 --time 1 --sleep --span 8M \
			--reconnect 10 d.sock
	else
		expect 1 'd.sock: queue 0: verify: sector' --verify --rw mixed:50 --time 1 \
			--sleep --span 8M --reconnect 10 d.sock
	fi
	kill "${pids[-1]}"
	rm -f d.sock
done
serve d.sock "$serve" -s d.sock -i d.img
victim=${pids[-1]}
(sleep 0.5 && kill -9 "$victim") &
expect 1 'd.sock: cannot connect: Connection refused' --time 50 --sleep --reconnect 0.5 d.sock

# ---- another server
if command -v qemu-storage-daemon >/dev/null; then
	truncate -s 64M img
	serve q.sock qemu-storage-daemon --blockdev file,node-name=f,filename=img \
		--export vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=q.sock,writable=on
	expect 0 "$ok" --verify --rw mixed:50 --span 8M --time 0.5 --sleep q.sock
	qemu-storage-daemon --version | grep -q 'version 7\.' &&
		expect 1 'q.sock: does not offer INFLIGHT_SHMFD' --time 0.2 --reconnect 1 q.sock
else
	echo "skipped: qemu-storage-daemon is not installed"
fi
exit $failed
