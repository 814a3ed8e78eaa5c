#!/usr/bin/env python3
"""viodm-conform on somebody else's vhost-user back-end: third_party.py [--seen] PEER CONFORM

PEER is one of PEERS below. The failures have to be those of known-PEER.tsv, which says for each who is wrong;
one more or one less is a change that somebody has to look at. --seen prints them instead, with how long each
check took. Exits with 77, and says why, when there is no such program here, or another version than the table is
about."""
import argparse
import csv
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing

HERE = pathlib.Path(__file__).resolve().parent
SOCKET, LOG = "peer.sock", "peer.log"
PATIENCE = "1"  # seconds for a request: the peers are programs of this machine that do little else
TIMEOUT = 240


@dataclasses.dataclass(frozen=True)
class Peer:
    program: str
    version: str  # what known-PEER.tsv is about
    ask_version: tuple
    device: str
    command: typing.Callable  # of the folder to work in


def qemu_storage_daemon(folder):
    with open(folder / "disk.raw", "wb") as image:
        image.truncate(16 << 20)
    return ["--blockdev", f"driver=file,node-name=f0,filename={folder}/disk.raw", "--export",
            f"type=vhost-user-blk,id=e0,addr.type=unix,addr.path={folder}/{SOCKET},node-name=f0,writable=on"]


def dpdk(folder):
    """A card whose network sends back what it gets. It polls, on any CPU, and ends with its standard input."""
    cpus = ",".join(str(cpu) for cpu in os.sched_getaffinity(0))
    return ["--lcores", f"0@({cpus}),1@({cpus})", "--no-huge", "-m", "128", "--no-pci", "--no-telemetry",
            "--file-prefix", folder.name, "--log-level", "lib.vhost.config:error",
            "--vdev", f"net_vhost0,iface={folder}/{SOCKET},queues=1", "--", "--auto-start", "--disable-link-check",
            "--no-flush-rx", "--total-num-mbufs=4096", "--forward-mode=io"]


PEERS = {
    "qemu-storage-daemon": Peer("qemu-storage-daemon", "version 7.2.", ("--version",), "blk", qemu_storage_daemon),
    "dpdk": Peer("dpdk-testpmd", "DPDK 22.11.", ("-v", "--help"), "net", dpdk),
}


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def fail(*reason):
    print("not ok -", *reason)
    sys.exit(1)


def check_version(peer):
    if not shutil.which(peer.program):
        skip(f"no {peer.program}")
    r = subprocess.run([peer.program, *peer.ask_version], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=30)
    if peer.version not in r.stdout:
        skip(f"what is known is about {peer.version}x, not: {' '.join(r.stdout.split())[:100]}")


def await_socket(peer, process, folder):
    deadline = time.monotonic() + 30
    while not (folder / SOCKET).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            fail(f"{peer.program} makes no socket:", (folder / LOG).read_text(errors="replace"))
        time.sleep(0.02)


def end(process, folder):
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # DPDK leaves this behind
    for runtime in ("/var/run", os.environ.get("XDG_RUNTIME_DIR", "/tmp")):
        shutil.rmtree(f"{runtime}/dpdk/{folder.name}", ignore_errors=True)


def run(peer, conform, folder):
    """The report of viodm-conform."""
    with open(folder / LOG, "wb") as log:
        process = subprocess.Popen([peer.program, *peer.command(folder)], stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        await_socket(peer, process, folder)
        r = subprocess.run([conform, "--device", peer.device, "--patience", PATIENCE, "--format", "json",
                            f"vhost-user:{folder}/{SOCKET}"], stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
        status = process.poll()
    finally:
        end(process, folder)
    if status is not None:
        fail(f"{peer.program} ended with {status} in the middle of it:", (folder / LOG).read_text(errors="replace"))
    if r.returncode not in (0, 1):
        fail("viodm-conform could not be run, exit status", r.returncode)
    return json.loads(r.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seen", action="store_true")
    parser.add_argument("peer", choices=PEERS, metavar="PEER")
    parser.add_argument("conform", type=os.path.realpath, metavar="CONFORM")
    args = parser.parse_args()
    check_version(PEERS[args.peer])
    with tempfile.TemporaryDirectory(prefix="viodm-conform.") as folder:
        checks = run(PEERS[args.peer], args.conform, pathlib.Path(folder))["checks"]
    if args.seen:
        for c in checks:
            for f in c.get("failures", []):
                print(c["name"], f["row"], f"{c['seconds']:.2f}", f["expected"], f["seen"], sep="\t")
        return 0
    seen = {(c["name"], f["row"]) for c in checks for f in c.get("failures", [])}
    with open(HERE / f"known-{args.peer}.tsv", newline="") as f:
        known = {(r["check"], r["row"]): r for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)}
    new = sorted(f for f in seen if f not in known)
    gone = sorted(f for f, r in known.items() if r["when"] == "always" and f not in seen)
    for f in new:
        print("not ok - fails and did not before:", *f)
    for f in gone:
        print("not ok - does not fail any more:", *f)
    print(f"{len(seen) - len(new)} failures are known; {sum(c['verdict'] == 'pass' for c in checks)} checks passed")
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main())
