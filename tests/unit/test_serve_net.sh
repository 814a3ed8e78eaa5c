#!/usr/bin/env bash
# The daemon with network cards: load over their sockets, and what viodm ctl says and does.
# usage: test_serve_net.sh VIODM
. "$(dirname "$0")/serve_lib.sh"

ctl() {
	local status=$1 pattern=$2
	shift 2
	expect "$status" "$pattern" ctl ctl.sock "$@"
}

# load PATTERN OPTION... SOCKET
load() {
	local pattern=$1
	shift
	expect 0 "$pattern" bench --device net --quiet --sleep "$@"
}

# requests DEVICE QUEUE: what the daemon has counted
requests() {
	"$viodm" ctl ctl.sock stats "$1" | awk -v q="$2" 'NR > 1 && $2 == q { print $3; exit }'
}

cat >net.ini <<'END'
[serve]
control = ctl.sock

[net sink]
port      = null
transport = vhost-user
socket    = sink.sock

[net source]
port      = null
generate  = 1518
mac       = 52:54:00:12:34:56
mtu       = 9000
transport = vhost-user
socket    = source.sock

[net loop0]
port        = loop
queue-pairs = 2
transport   = vhost-user
socket      = loop.sock

[rng rng0]
transport = vhost-user
socket    = rng.sock
END
start -c net.ini
grep -qs '^ready: 4 devices$' out || fail "not ready with all"

# ---- what there is ----------------------------------------------------------------------------
ctl 0 '^sink +net +waiting +3 inproc +null +- +sink\.sock$' status
ctl 0 '^loop0 +net +waiting +5 inproc +loop ' status
ctl 0 '^CARD +LINK +MAC +MTU +PAIRS$' status
ctl 0 '^source +up +52:54:00:12:34:56 +9000 ' status
ctl 0 '^sink +up +[0-9a-f][26ae](:[0-9a-f]{2}){5} +- ' status
ctl 0 '^sink +0 +0 +0$' stats sink
expect 0 '"port":"null","mac":"52:54:00:12:34:56","mtu":9000,"pairs":[0-9]+,"link":true' \
	ctl --json ctl.sock status source
"$viodm" ctl ctl.sock status rng0 | grep -q CARD && fail "a device that is no card has an address"

# ---- load: every frame is accounted for -------------------------------------------------------
load ' 30000 frames in .*, 0 lost' --count 30000 sink.sock
[ "$(requests sink 1)" = 30000 ] || fail "30000 frames were sent, $(requests sink 1) counted"
load ' 20000 frames in .*, 0 lost' --count 20000 --frame 4000 --no-event-idx sink.sock
[ "$(requests sink 1)" = 50000 ] || fail "20000 frames more were sent, $(requests sink 1) counted"
load 'verified: every byte of [0-9]{4,} frames' --direction rx --verify --count 20000 source.sock
load 'verified: every byte of [0-9]{4,} frames' --direction rx --verify --count 20000 \
	--no-mergeable source.sock
for options in "" "--no-mergeable" "--frame 1518" "--frame 4000 --queues 2" "--frame 9000 --batch 3" \
	"--queues 2 --threads 1 --no-event-idx" "--queue-size 1024 --batch 100"; do
	# shellcheck disable=SC2086
	load ' 10000 frames in .*, 0 lost' --direction both --verify --count 10000 $options loop.sock
	grep -q 'verified: every byte of 10000 frames is as it was sent' got || fail "$options: $(cat got)"
done

# ---- in this process, through registers -------------------------------------------------------
expect 0 ' 10000 frames in .*, 0 lost' bench --quiet --sleep --direction both --verify --count 10000 \
	--queues 2 -c net.ini loop0
expect 0 ' 10000 frames in .*, 0 lost' bench --quiet --sleep --count 10000 -c net.ini sink
expect 1 'the card has 2 pair' bench --quiet --queues 3 -c net.ini loop0
expect 1 'rng0: neither a disk nor a network card' bench -c net.ini rng0

# ---- ctl --------------------------------------------------------------------------------------
ctl 0 '^loop0: link down$' link-down loop0
ctl 0 '^loop0: link as before$' link-down loop0
ctl 0 '^loop0 +down ' status
load ', [1-9][0-9]* lost' --direction both --time 0.2 loop.sock
ctl 0 '^loop0 +[1-9][0-9]* +0 +0$' stats loop0
ctl 0 '^source: link as before$' link-up
ctl 0 '^loop0 +up ' status
load ' 1000 frames in .*, 0 lost' --direction both --count 1000 loop.sock
ctl 0 '^loop0: has a new address$' set-mac loop0 02:00:00:00:00:07
ctl 0 '^loop0: has that address already$' set-mac loop0 02:00:00:00:00:07
ctl 0 '^loop0 +up +02:00:00:00:00:07 ' status
ctl 1 '"01:00:00:00:00:07" is the address of a group' set-mac loop0 01:00:00:00:00:07
ctl 0 '^source: new MTU from the next reset on$' set-mtu source 4000
ctl 1 '^sink: Operation not supported$' set-mtu sink 4000
ctl 1 '"67" is out of range \(number 68\.\.65535\)' set-mtu source 67
ctl 1 '^source: Operation not supported$' announce source
ctl 1 'the device is no network card' link-up rng0
ctl 1 'unknown device "sin"; did you mean "sink"' link-up sin
ctl 1 'unknown command "link-dwn"; did you mean "link-down"' link-dwn
ctl 2 'wants SOCKET, COMMAND, DEVICE and VALUE' set-mac loop0
ctl 2 'too many arguments' link-up loop0 more
load ' 1000 frames in ' --count 1000 source.sock # resets the card
ctl 0 '^source +up +52:54:00:12:34:56 +4000 ' status

# ---- command lines ----------------------------------------------------------------------------
expect 2 'bench: --rw goes together with --device blk' bench --device net --rw read sink.sock
expect 2 'bench: --frame goes together with --device net' bench --frame 64 sink.sock
expect 2 '--verify: nothing comes back with --direction tx' bench --device net --verify sink.sock
expect 2 'direction: unknown value "out"' bench --device net --direction out sink.sock
expect 0 'A/B' bench --device net --quiet --time 0.3 --slice 0.1 --sleep --vs source.sock sink.sock
if command -v python3 >/dev/null; then
	for options in "" "--vs source.sock --slice 0.1"; do
		# shellcheck disable=SC2086
		timeout 30 "$viodm" bench --device net --json --time 0.3 --sleep $options sink.sock >json ||
			fail "bench --json $options"
		python3 -m json.tool json >/dev/null || fail "bench --json $options: $(cat json)"
	done
fi

stop TERM
exit $failed
