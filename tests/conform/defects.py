#!/usr/bin/env python3
"""Does viodm-conform notice when a device breaks a rule?

  defects.py [--seen] CONFORM VIODM [DEFECT...]

For each line of defects.tsv, in a build with -Ddefects=true: switches that defect on alone, runs the tool on
the target, and requires that a check fails naming the row, and that no check names any row but that and
those listed as following from it (*: all may fail, and only checks of the row are run).
And without a defect nothing may fail.

  --seen   print what is seen instead: each defect, its target and all rows that fail
"""
import concurrent.futures
import csv
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def table():
    with open(HERE / "defects.tsv", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def scratch():
    """Where disks are: not on one whose other users can hold up a flush."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else os.environ.get("TMPDIR", "/var/tmp")


def failing_rows(conform, viodm, line):
    """{row: [what was seen]}, or a string: the run could not be made."""
    device, transport, backend = line["target"].split("/")
    only = ("--only", "net-*") if device == "net-loop" else ()
    if line["follows"] == "*":
        only = ("--only", line["row"])
    r = subprocess.run([HERE / "run", conform, viodm, device, transport, backend, *only,
                        "--timeout", "6", "--patience", "0.5", "--format", "json"], capture_output=True, text=True, timeout=400,
                       env={**os.environ, "TMPDIR": scratch(), "VIODM_DEFECT": line["defect"]})
    try:
        report = json.loads(r.stdout)
    except ValueError:
        return f"exit status {r.returncode}: {r.stderr.strip()[-300:]}"
    rows = {}
    for check in report["checks"]:
        for failure in check.get("failures", []):
            rows.setdefault(failure["row"], []).append(f"{check['name']}: {failure['seen']}")
    return rows


def timed(conform, viodm, line):
    start = time.monotonic()
    return failing_rows(conform, viodm, line), time.monotonic() - start


def judge(line, rows):
    """What is wrong with it, or ''."""
    if isinstance(rows, str):
        return rows
    if line["row"] and line["row"] not in rows:
        return f"nobody noticed: {line['row']} holds; failing: {sorted(rows) or 'nothing'}"
    allowed = [line["row"], *(line["follows"] or "").split()]
    stray = {r: seen for r, seen in rows.items() if not any(fnmatch.fnmatch(r, a) for a in allowed)}
    return f"others fail without reason: {stray}" if stray else ""


def main():
    args = sys.argv[1:]
    only_seen = "--seen" in args
    conform, viodm, *names = [a for a in args if a != "--seen"]
    lines = table()
    sound = [{"defect": "", "target": t, "row": "", "follows": ""} for t in sorted({x["target"] for x in lines})]
    lines = [x for x in sound + lines if not names or x["defect"] in names]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(4, (os.cpu_count() or 1) * 2)) as pool:
        runs = [pool.submit(timed, conform, viodm, x) for x in lines]
        for line, future in zip(lines, runs):
            rows, seconds = future.result()
            if only_seen:
                seen = rows if isinstance(rows, str) else " ".join(f"{r}:{len(rows[r])}" for r in sorted(rows))
                print(line["defect"] or "(none)", line["target"], line["row"], "|", seen, sep="\t", flush=True)
                continue
            wrong = judge(line, rows)
            failed += bool(wrong)
            name = (f"{line['defect'] or 'no defect'} on {line['target']}: {line['row'] or 'nothing'} fails"
                    f" ({seconds:.1f} s)")
            print(f"not ok - {name}: {wrong}" if wrong else f"ok - {name}", flush=True)
    print(f"{len(lines) - failed} of {len(lines)} held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
