#!/usr/bin/env python3
"""What viodm-conform does with its command line, its output, and its end: test_tool.py CONFORM VIODM"""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as xml

CONFORM, VIODM = (os.path.realpath(p) for p in sys.argv[1:3])
CONFIG = """
[rng dut]
transport = mmio
[rng served]
transport = vhost-user
socket = {dir}/rng.sock
"""
failures = []


def check(ok, what, *seen):
    print("ok -" if ok else "not ok -", what, *([] if ok else seen), flush=True)
    if not ok:
        failures.append(what)


def run(*args, timeout=60):
    return subprocess.run([CONFORM, *args], capture_output=True, text=True, timeout=timeout)


def names(listing):
    return [line.split()[0] for line in listing.splitlines()]


def test_what_there_is():
    r = run("--list")
    check(r.returncode == 0 and len(names(r.stdout)) >= 2, "--list", r.stdout, r.stderr)
    name, _, row = r.stdout.splitlines()[0].split()[:3]
    only = run("--list", "--only", name)
    check(names(only.stdout) == [name], "--only with a check's name", only.stdout)
    only = run("--list", "--only", row)
    check(name in names(only.stdout), "--only with a statement", only.stdout)
    kinds = run("--list", "--kind", "robustness").stdout.splitlines()
    check(kinds and all(line.split()[1] == "robustness" for line in kinds), "--kind", kinds)
    r = run("--explain", row)
    check(r.returncode == 0 and row in r.stdout and name in r.stdout, "--explain of a statement", r.stdout)
    r = run("--explain", name)
    check(r.returncode == 0 and row in r.stdout, "--explain of a check", r.stdout)
    r = run("--coverage")
    check(r.returncode == 0 and "above MAY" in r.stdout, "--coverage", r.stdout)


def test_wrong_commands(target):
    for args in ((), ("--only", "no-such-check", target), ("--format", "sgml", target), ("--kind", "x", target),
                 ("--explain", "NO-SUCH-ROW"), (target, target), ("--nonsense",), ("--timeout", "-1", target),
                 ("--repeat", "0", target), ("--replay", "/nonexistent"), ("nothing:such",),
                 ("inproc:/nonexistent",), (target + ":nobody",), ("vhost-user:/nonexistent",)):
        r = run(*args)
        check(r.returncode == 2 and r.stderr.count("\n") >= 1, f"exit status 2: {' '.join(args)}",
              r.returncode, r.stderr)


def test_formats(target):
    text = run(target)
    check(text.returncode == 0 and "checks:" in text.stdout, "text, exit status 0", text.stdout)
    n = len(names(run("--list").stdout))
    tap = run("--format", "tap", target).stdout.splitlines()
    results = [line for line in tap if line.startswith(("ok ", "not ok "))]
    check(tap[:2] == ["TAP version 13", f"1..{n}"] and len(results) == n, "tap", tap)
    check([r.split()[1] for r in results] == [str(i + 1) for i in range(n)], "tap: numbers", tap)
    suite = xml.fromstring(run("--format", "junit", target).stdout)
    check(suite.tag == "testsuite" and len(suite.findall("testcase")) == n == int(suite.get("tests")), "junit")
    check(len(suite.findall("testcase/skipped")) == int(suite.get("skipped")), "junit: skipped")
    report = json.loads(run("--format", "json", "--seed", "7", target).stdout)
    check(len(report["checks"]) == n and report["seed"] == 7, "json", report)
    passed = {row for c in report["checks"] if c["verdict"] == "pass" for row in c["rows"].split()}
    wrong = [row for row in passed if report["statements"].get(row) != "passed"]
    check(passed and not wrong, "json: statements agree with checks", wrong)


def test_exercised(directory, target):
    """A run that looks at little, and one that looks at nothing more."""
    script = pathlib.Path(__file__).resolve().parent / "exercised.py"
    files = [directory / name for name in ("status.json", "skipped.json")]
    for file, only in zip(files, ("status-*", "blk-*")):
        file.write_text(run("--format", "json", "--only", only, target).stdout)
    table = []
    for args in (files[:1], files[1:], files):
        r = subprocess.run([script, *args], capture_output=True, text=True)
        table.append(dict((line.split()[0], line.split()[1:]) for line in r.stdout.split("\n\n")[0].splitlines()[1:]))
    one, other, both = table
    check(one["basic"][2] != "0" and one["blk"][2] == "0", "exercised: what was looked at", one)
    check(other["all"][2] == "0", "exercised: what is skipped is not", other)
    check(both == one, "exercised: reports together", both)
    for file in files:
        file.unlink()


def test_repeat(target):
    r = run("--repeat", "3", "--seed", "5", "--only", "status-*", "--format", "tap", target)
    check(r.returncode == 0 and r.stdout.count("TAP version 13") == 3, "--repeat", r.stdout)


def answer(connection):
    """Speaks vhost-user for a device that offers VERSION_1, and whose status always reads 0."""
    get_features, get_protocol_features, get_status = 1, 15, 40
    values = {get_features: 1 << 30 | 1 << 32, get_protocol_features: 1 << 16, get_status: 0}
    with connection:
        while header := connection.recv(12, socket.MSG_WAITALL):
            request, _, size = struct.unpack("=III", header)
            if size:
                connection.recv(size, socket.MSG_WAITALL)
            if request in values:
                connection.sendall(struct.pack("=IIIQ", request, 1 | 4, 8, values[request]))


def serve_broken(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)

    def serve():
        while True:
            answer(listener.accept()[0])

    threading.Thread(target=serve, daemon=True).start()


def test_failure(directory):
    """A device that no driver can initialise."""
    serve_broken(directory / "broken.sock")
    folder = directory / "reproducers"
    args = ("--device", "rng", "--timeout", "2", "--only", "status-*", f"vhost-user:{directory}/broken.sock")
    r = run("--reproducers", str(folder), *args)
    check(r.returncode == 1 and "FAIL" in r.stdout, "exit status 1", r.returncode, r.stdout, r.stderr)
    files = sorted(folder.glob("*.txt"))
    check(files, "--reproducers")
    for file in files[:1]:
        r = run("--replay", str(file), "--timeout", "2", "--format", "json")
        checks = json.loads(r.stdout)["checks"]
        check(r.returncode == 1 and [c["name"] for c in checks] == [file.stem] and checks[0]["verdict"] == "fail"
              and checks[0]["failures"], "--replay", r.stdout)
    report = json.loads(run("--format", "json", *args).stdout)
    failed = {f["row"] for c in report["checks"] for f in c.get("failures", [])}
    check(failed and all(report["statements"][row] == "failed" for row in failed), "json: failed statements", failed)
    suite = xml.fromstring(run("--format", "junit", *args).stdout)
    check(len(suite.findall("testcase/failure")) == int(suite.get("failures")) > 0, "junit: failures")
    tap = run("--format", "tap", *args).stdout
    check("\nnot ok " in tap and "\n# BASIC-" in tap, "tap: failures", tap)


def processes_of_group(group):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


def test_interrupt(directory, target):
    """In the middle of a run: nothing is left."""
    before = sorted(directory.rglob("*"))
    for sig in (signal.SIGINT, signal.SIGTERM):
        tool = subprocess.Popen([CONFORM, "--repeat", "100000", target], stdout=subprocess.DEVNULL,
                                cwd=directory, start_new_session=True)
        time.sleep(0.5)
        tool.send_signal(sig)
        try:
            status = tool.wait(timeout=10)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(tool.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while processes_of_group(tool.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        check(status == -sig, f"ends by {sig.name}: {target}", status)
        check(not processes_of_group(tool.pid), f"no process after {sig.name}")
    check(sorted(directory.rglob("*")) == before, "no file or socket is left", sorted(directory.rglob("*")))


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="viodm-conform."))
    config = directory / "dut.ini"
    config.write_text(CONFIG.split("[rng served]")[0])
    (directory / "serve.ini").write_text("[rng served]" + CONFIG.split("[rng served]")[1].format(dir=directory))
    server = subprocess.Popen([VIODM, "serve", "-c", str(directory / "serve.ini")], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    inproc, served = f"inproc:{config}", f"vhost-user:{directory}/rng.sock"
    try:
        check(server.stdout.readline().startswith("ready"), "a server")
        test_what_there_is()
        test_wrong_commands(inproc)
        test_formats(inproc)
        test_exercised(directory, inproc)
        test_repeat(inproc)
        test_interrupt(directory, inproc)
        test_interrupt(directory, served)
        test_failure(directory)
    finally:
        server.terminate()
        check(server.wait(timeout=10) == 0, "the server ends in order")
        shutil.rmtree(directory)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
