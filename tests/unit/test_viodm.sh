#!/usr/bin/env bash
# The viodm command: what it prints and its exit status. usage: test_viodm.sh VIODM
set -u
viodm=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
failed=0

# expect STATUS PATTERN ARGUMENT...: both streams together match the extended regular expression.
expect() {
	local status=$1 pattern=$2 got
	shift 2
	"$viodm" "$@" >out 2>&1
	got=$?
	if [ "$got" != "$status" ] || ! grep -qE -- "$pattern" out; then
		echo "viodm $*: status $got, wanted $status and /$pattern/:"
		cat out
		failed=1
	fi
}

truncate -s 1M disk.img
printf '[blk disk0]\nimage = disk.img\n\n[rng rng0]\ntransport = mmio\n' >good.ini
printf '[blk disk0]\nimage = none.img\n' >bad.ini

expect 2 '^Usage: viodm COMMAND'
expect 0 '^Usage: viodm COMMAND' --help
expect 0 '^Usage: viodm COMMAND' help
expect 0 '^Usage: viodm check -c FILE' help check
expect 0 '^Usage: viodm check -c FILE' check --help
expect 0 '^viodm [0-9]+\.[0-9]+\.[0-9]+$' --version
expect 0 '^viodm [0-9]+\.[0-9]+\.[0-9]+$' version
expect 2 'unknown command "chek"; did you mean "check"\?' chek
expect 2 'unknown command "lost"; did you mean "list"\?' help lost
expect 2 'viodm list: unknown option "nonsense"' list --nonsense
expect 2 'too many arguments' list more

expect 0 '^\[blk NAME\]$' list
expect 0 '^engine = memory$' list
expect 0 '^\[iothread NAME\]$' list
expect 0 '^    iothreads    names of \[iothread\] sections; required$' list
expect 0 '^    queue-size   power of two 2\.\.1024, or auto; default auto$' list

expect 0 '^\[blk disk0\]$' check -c good.ini
expect 0 '^image = disk\.img$' check -c good.ini
expect 0 '^; storage: 1048576 bytes$' check --config good.ini
expect 0 '^; virtqueues of 256, requests of up to 254 data buffers$' check -c good.ini
expect 0 '^; virtqueues of 1024, requests of up to 126 data buffers$' check -c good.ini \
	-o disk0.transport=vhost-user -o disk0.socket=x
expect 0 '^; virtqueues of 64, requests of up to 62 data buffers$' check -c good.ini \
	-o disk0.transport=vhost-user -o disk0.socket=x -o disk0.queue-size=64
expect 0 '^queues = 4$' check -o disk0.queues=4 -c good.ini
expect 0 '^engine = null$' check -c bad.ini --option=disk0.engine=null -o disk0.size=1G
expect 1 '^viodm: bad\.ini:2: \[blk disk0\] image: "none\.img" cannot be opened' check -c bad.ini
expect 1 '^viodm: bad\.ini:1: name "disk0" is taken' check -c good.ini -c bad.ini
expect 1 '^viodm: -o disk1\.queues=1: unknown section "disk1"; did you mean "disk0"\?' \
	check -c good.ini -o disk1.queues=1
expect 1 '^viodm: nowhere\.ini: cannot be opened: No such file' check -c nowhere.ini
expect 2 'no file: -c FILE' check
expect 2 'option "-c" needs a value' check -c
expect 2 'unknown option "confg"; did you mean "config"\?' check --confg=good.ini
expect 2 'unknown option "x"' check -x
expect 2 'too many arguments' check -c good.ini bad.ini

"$viodm" check -c good.ini >first
"$viodm" check -c first >second
if ! cmp -s first second; then
	echo "what check prints is not what it reads:"
	diff first second
	failed=1
fi
if [ -e /dev/full ] && "$viodm" list >/dev/full 2>out; then
	echo "viodm list: no error when its output is lost"
	failed=1
fi
exit $failed
