#!/usr/bin/env bash
# The daemon: readiness, control socket, signals, what it leaves behind. usage: test_serve.sh VIODM
docs=$(dirname "$(realpath "$0")")/../../docs
. "$(dirname "$0")/serve_lib.sh"

# load DEVICE: writes, reads and compares; the daemon counts it
load() {
	expect 0 verified bench --verify --count 2000 --span 1M --quiet "$1.sock"
	expect 0 "^$1 +0 +[0-9]{4,} +[0-9.]+[MG] +[0-9.]+[MG] +0 +([0-9]+ +){4}[0-9.]+ +[0-9.]+$" \
		ctl ctl.sock stats "$1"
	expect 0 '"latency":\{"samples":[1-9][0-9]*,"buckets":\[\[[0-9]+,[0-9]+\]' \
		ctl --json ctl.sock stats "$1"
}

image=disk.img
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ]; then
	shm=$(mktemp -d /dev/shm/viodm-serve-XXXXXX)
	image=$shm/disk.img
fi
truncate -s 1M "$image"
cat >serve.ini <<END
[serve]
control = ctl.sock

[blk mem0]
engine    = memory
size      = 8M
queues    = 2
transport = vhost-user
socket    = mem0.sock
socket-mode = 0640

[blk disk0]
image     = $image
transport = vhost-user
socket    = disk0.sock

[rng rng0]
transport = vhost-user
socket    = rng0.sock
END

# ---- command line -----------------------------------------------------------------------------
expect 2 'no file: -c FILE' serve
expect 2 'too many arguments' serve -c serve.ini more
expect 2 'unknown option "contrl"; did you mean "control"\?' serve --contrl=x
expect 2 'option "--log-level" needs a value' serve -c serve.ini --log-level
expect 1 '^viodm: -o serve\.log-level=loud: \[serve\] log-level: unknown value "loud"' \
	serve -c serve.ini --log-level=loud
expect 1 'serve\.ini:1: \[serve\] control-mode: "abc" is no mode' \
	serve -c serve.ini -o serve.control-mode=abc
expect 1 '^viodm: .*\[rng rng0\] transport: viodm serve does not take "pci" \(known: vhost-user\)' \
	serve -c serve.ini -o rng0.transport=pci
expect 1 'cannot serve on nowhere/rng0\.sock: No such file' serve -c serve.ini \
	-o rng0.socket=nowhere/rng0.sock
mkdir folder
expect 1 'disk0: cannot serve on folder: .*\(somebody listens there, or it is no socket\)' \
	serve -c serve.ini -o disk0.socket=folder
expect 1 'cannot serve on descriptor 77: .*\(not an open unix stream socket\)' serve -c serve.ini \
	-o rng0.socket=fd:77
left=$(find . -type s)
[ -z "$left" ] || fail "a failed start leaves $left"
expect 2 'wants SOCKET and COMMAND' ctl ctl.sock
expect 2 'too many arguments' ctl ctl.sock status mem0 more
expect 1 '^viodm ctl: ctl\.sock: No such file' ctl ctl.sock status
expect 0 '^    control-mode text of 3\.\.4 bytes; default 0600$' list
expect 0 '^control = ctl\.sock$' check -c serve.ini
for key in $("$viodm" list | sed -n '/^\[serve\]/,/^\[blk/s/^    \([a-z-]*\) .*; default.*/\1/p'); do
	grep -q "^| \`$key\` | .* | .* | " "$docs/serve.md" || fail "$key is not in docs/serve.md"
done

# ---- control socket ---------------------------------------------------------------------------
start -c serve.ini
for socket in ctl mem0 disk0 rng0; do
	[ -S $socket.sock ] || fail "no $socket.sock"
done
load mem0
load disk0
[ "$(stat -c %a ctl.sock)" = 600 ] || fail "mode of ctl.sock: $(stat -c %a ctl.sock)"
[ "$(stat -c %a mem0.sock)" = 640 ] || fail "mode of mem0.sock: $(stat -c %a mem0.sock)"
logged 'ready: 3 devices' || fail "readiness is not logged"
[ -z "${shm:-}" ] || logged "disk\.img: engine sync: the file is in memory" || fail "engine is not logged"

expect 0 '^viodm [0-9.]+, process [0-9]+, for [0-9]+ s, log level info$' ctl ctl.sock status
expect 0 '^mem0 +blk +waiting +2 inproc +memory +8M +mem0\.sock$' ctl ctl.sock status
expect 0 '^rng0 +rng +waiting +1 inproc +- +- +rng0\.sock$' ctl ctl.sock status
expect 0 '^mem0 +1 +0 .* - +-$' ctl ctl.sock stats
expect 0 '"latency":\{"samples":0,"buckets":\[\],"p50-us":null,' ctl --json ctl.sock stats rng0
expect 0 '"name":"rng0","queues":\[\{"queue":0,"requests":0,' ctl --json ctl.sock stats rng0
expect 0 '^disk0: 1048576 bytes, as before$' ctl ctl.sock resize
expect 0 '^rng0: has no size$' ctl ctl.sock resize
truncate -s 2M "$image"
expect 0 '^disk0: 2097152 bytes, changed$' ctl ctl.sock resize disk0
expect 0 '^mem0: paused$' ctl ctl.sock pause mem0
"$viodm" bench --verify --count 2000 --span 1M --quiet mem0.sock >bench 2>&1 &
bench=$!
sleep 0.3
kill -0 $bench 2>/dev/null || fail "a paused device serves: $(cat bench)"
expect 0 '^mem0: is paused already$' ctl ctl.sock pause mem0
expect 0 '^mem0 +blk +paused ' ctl ctl.sock status
expect 0 '^mem0: resumed$' ctl ctl.sock resume
wait $bench || fail "load over a pause: $(cat bench)"
expect 0 '^rng0: is not paused$' ctl ctl.sock resume
expect 1 'ctl\.sock: unknown command "stat"; did you mean "stats"\?' ctl ctl.sock stat
expect 1 'unknown device "mem"; did you mean "mem0"\? \(known: mem0, disk0, rng0\)' \
	ctl ctl.sock stats mem
expect 1 '^\{"ok":false,"error":"unknown device' ctl --json ctl.sock stats mem
expect 1 '^viodm: error: cannot serve on|cannot serve on mem0\.sock: .*somebody listens there' \
	serve -c serve.ini --control=other.sock

# Lines of somebody who does not use viodm ctl.
if command -v python3 >/dev/null; then
	python3 - <<'END' || fail "control protocol"
import json, socket, time

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("ctl.sock")
    s.settimeout(10)
    return s, s.makefile("r")

s, f = connect()
def ask(line):
    s.sendall(line.encode() + b"\n")
    return json.loads(f.readline())

assert ask('{"cmd": "status", "id": 7}')["id"] == 7
assert not ask("nonsense")["ok"]
assert not ask("[]")["ok"]
assert not ask("{}")["ok"]
assert not ask('{"cmd": 1}')["ok"]
assert not ask('{"cmd": "stats", "device": 1}')["ok"]
s.sendall(b'\n{"cmd":"st')               # an empty line, and a line in two pieces
s.sendall(b'ats"}\n{"cmd":"stats","device":"rng0"}\n')
assert len(json.loads(f.readline())["devices"]) == 3
assert len(json.loads(f.readline())["devices"]) == 1
s.sendall(b'{"cmd":"status"}\n' * 3000)  # answers of more than the daemon keeps
for _ in range(3000):
    assert json.loads(f.readline())["ok"]
s.sendall(b'{"cmd":"status"}\n')         # asked and gone: still answered
s.shutdown(socket.SHUT_WR)
assert json.loads(f.readline())["ok"]
assert f.readline() == ""
s, f = connect()
s.sendall(b"x" * (500 << 10) + b"\n" + b'{"cmd":"status"}\n')  # a line too long
assert "too long" in f.readline()
assert json.loads(f.readline())["ok"]
many = [connect()[0] for _ in range(64)] # more than it takes
for c in many:
    c.close()
for attempt in range(100):               # until it has seen that they are gone
    s, f = connect()
    try:
        assert ask('{"cmd": "status"}')["ok"]
        break
    except (ConnectionError, ValueError):
        time.sleep(0.05)
else:
    raise SystemExit("no connection any more")
END
fi

# ---- signals ----------------------------------------------------------------------------------
truncate -s 3M "$image"
sed -i 's/^control = .*/&\nlog-level = debug/' serve.ini
kill -HUP "$daemon"
retry logged 'SIGHUP: log level debug, 1 size changed' || fail "SIGHUP"
expect 0 'log level debug' ctl ctl.sock status
expect 0 '^disk0: 3145728 bytes, as before$' ctl ctl.sock resize disk0
expect 0 verified bench --verify --count 2000 --span 3M --quiet disk0.sock
echo nonsense >>serve.ini
kill -HUP "$daemon"
retry logged 'not read again: serve\.ini:[0-9]+: neither' || fail "SIGHUP with a broken file"
sed -i '$d' serve.ini
stop TERM
start -c serve.ini --control=other.sock --log-level=error
expect 0 'log level error' ctl other.sock status
[ -s log ] && fail "something is logged at level error"
stop INT

# A daemon that was killed leaves sockets; the next one takes their place.
start -c serve.ini
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
expect 1 'no daemon listens there' ctl ctl.sock status
start -c serve.ini
expect 0 '^mem0 ' ctl ctl.sock status
stop TERM

# ---- IO threads, systemd ----------------------------------------------------------------------
start -c serve.ini -o mem0.backend=inproc
stop TERM
printf '[iothread io0]\n[iothread io1]\npoll-us = 0\n' >>serve.ini
if "$viodm" serve -c serve.ini -o mem0.socket=nowhere/x 2>&1 | grep -q 'IO thread cannot be made'; then
	echo "no io_uring here"
else
	start -c serve.ini -o mem0.backend=iothread -o 'mem0.iothreads=io0 io1'
	expect 0 '^mem0 +blk +waiting +2 iothread ' ctl ctl.sock status
	load mem0
	expect 0 'mem0: paused' ctl ctl.sock pause
	stop TERM
fi

if command -v python3 >/dev/null; then
	python3 - "$viodm" <<'END' || fail "systemd's protocols"
import os, signal, socket, subprocess, sys

notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.settimeout(10)
notify.bind("notify.sock")
listener = socket.socket(socket.AF_UNIX)
listener.bind("passed.sock")
listener.listen(1)
listener.set_inheritable(True)
p = subprocess.Popen([sys.argv[1], "serve", "-c", "serve.ini", "-o",
                      "mem0.socket=fd:%d" % listener.fileno(), "-o", "mem0.socket-mode=0600"],
                     stderr=subprocess.PIPE, pass_fds=[listener.fileno()])
assert b"needs a path" in p.communicate()[1] and p.returncode == 1
text = open("serve.ini").read().replace("socket-mode = 0640\n", "")
open("serve.ini", "w").write(text)
p = subprocess.Popen([sys.argv[1], "serve", "-c", "serve.ini", "-o",
                      "mem0.socket=fd:%d" % listener.fileno()], stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL, pass_fds=[listener.fileno()],
                     env=dict(os.environ, NOTIFY_SOCKET=os.path.abspath("notify.sock")))
assert b"READY=1\n" in notify.recv(1000)
c = socket.socket(socket.AF_UNIX)
c.connect("passed.sock")
p.send_signal(signal.SIGTERM)
assert b"STOPPING=1" in notify.recv(1000)
assert p.wait(10) == 0
assert os.path.exists("passed.sock")      # not the daemon's to remove
os.unlink("passed.sock")
os.unlink("notify.sock")
END
fi
exit $failed
