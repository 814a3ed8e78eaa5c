#!/usr/bin/env python3
"""viodm-conform on qemu-storage-daemon's vhost-user disk: third_party.py [--seen] CONFORM

The failures have to be those of known-qemu-storage-daemon.tsv, which says for each who is wrong; one more or
one less is a change that somebody has to look at. --seen prints them instead. Exits with 77, and says why,
when there is no such program here, or another version than the table is about."""
import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM, VERSION = "qemu-storage-daemon", "7.2"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def failures(conform, directory):
    image, path = directory / "disk.raw", directory / "disk.sock"
    image.touch()
    os.truncate(image, 16 << 20)
    server = subprocess.Popen([PROGRAM, "--blockdev", f"driver=file,node-name=f0,filename={image}", "--export",
                               f"type=vhost-user-blk,id=e0,addr.type=unix,addr.path={path},node-name=f0,writable=on"],
                              stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if path.exists():
                break
            time.sleep(0.1)
        r = subprocess.run([conform, "--kind", "requirement", "--kind", "robustness", "--format", "json",
                            f"vhost-user:{path}"], stdout=subprocess.PIPE, text=True, timeout=400)
    finally:
        server.kill()
        server.wait()
    return {(c["name"], f["row"]) for c in json.loads(r.stdout)["checks"] for f in c.get("failures", [])}


def main():
    only_seen = "--seen" in sys.argv
    conform = os.path.realpath(sys.argv[-1])
    if not shutil.which(PROGRAM):
        skip(f"no {PROGRAM}")
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    if f" {VERSION}." not in version:
        skip(f"what is known is about {PROGRAM} {VERSION}, not: {version}")
    with tempfile.TemporaryDirectory(prefix="viodm-conform.") as directory:
        seen = failures(conform, pathlib.Path(directory))
    if only_seen:
        print("\n".join("\t".join(f) for f in sorted(seen)))
        return 0
    with open(HERE / f"known-{PROGRAM}.tsv", newline="") as f:
        known = {(r["check"], r["row"]): r for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)}
    new = sorted(f for f in seen if f not in known)
    gone = sorted(f for f, r in known.items() if r["when"] == "always" and f not in seen)
    for f in new:
        print("not ok - fails and did not before:", *f)
    for f in gone:
        print("not ok - does not fail any more:", *f)
    print(f"{len(seen) - len(new)} failures are known")
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main())
