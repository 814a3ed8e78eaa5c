#!/usr/bin/env bash
# Queues on IO threads, N on M: whatever the mapping and the engine, what is read is what was written.
# usage: test_mapping.sh VIODM
set -u
viodm=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
failed=0

truncate -s 4M disk.img
cat >disks.ini <<END
[iothread io0]
[iothread io1]
poll-us   = 0

[blk disk0]
image     = disk.img
backend   = iothread
iothreads = io0 io1
END

# bench QUEUES THREADS OPTION...: every request is fine, and every byte read is right
bench() {
	local queues=$1 threads=$2
	shift 2
	timeout 60 "$viodm" bench --quiet --sleep --verify --rw mixed:50 --span 1M --depth 8 --count 600 \
		--queues "$queues" -c disks.ini -o disk0.queues="$queues" \
		-o disk0.iothreads="io0$([ "$threads" = 1 ] || echo ' io1')" "$@" disk0 >out 2>&1 &&
		grep -q 'holds what was written last' out
}

if ! bench 1 1; then
	if grep -q 'IO thread cannot be made' out; then
		echo "no io_uring here: IO threads not run"
		exit 77
	fi
	cat out
	exit 1
fi
for engine in io_uring libaio threads sync memory; do
	size=()
	[ $engine = memory ] && size=(-o disk0.size=4M)
	for mapping in '1 1' '4 2' '2 2' '4 1' '3 2'; do
		read -r queues threads <<<"$mapping"
		if ! bench "$queues" "$threads" -o disk0.engine=$engine "${size[@]}"; then
			echo "$engine, $queues queues on $threads threads:"
			cat out
			failed=1
		fi
	done
done

# What loses data must not pass.
if bench 4 2 -o disk0.engine=null -o disk0.size=4M || ! grep -q 'reads as zeroes' out; then
	echo "an engine that keeps nothing passes:"
	cat out
	failed=1
fi
exit $failed
