#!/usr/bin/env python3
"""Does viodm-conform notice when a device breaks a rule?

  defects.py [--full] [--seen] CONFORM VIODM [DEFECT...]

For each line of defects.tsv, in a build with -Ddefects=true: switches that defect on alone, runs the tool on
the target, and requires that a check fails naming the row, and that no check names any row but that and
those listed as following from it (*: all may fail, and only checks of the row are run).
And without a defect nothing may fail.

Long random checks (kind stress) are run without a defect, and where no other check names the row.

  --full   every check for each defect
  --seen   print what is seen instead: each defect, its target and all rows that fail
"""
import argparse
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

# Seconds for one request, and for one check. On a machine with much else to do that may be too little for a
# device: what is wrong then is looked at again.
HASTE = ("--patience", "0.5", "--timeout", "6")
PATIENCE = ("--patience", "3", "--timeout", "30")


def table():
    with open(HERE / "defects.tsv", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def scratch():
    """Where disks are: not on one whose other users can hold up a flush."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else os.environ.get("TMPDIR", "/var/tmp")


def run(args, line, *options):
    """{row: [what was seen]} of the checks that fail, or a string: the run could not be made."""
    target = line["target"].split("/")
    r = subprocess.run([HERE / "run", args.conform, args.viodm, *target, *options, "--format", "json"],
                       capture_output=True, text=True, timeout=400,
                       env={**os.environ, "TMPDIR": scratch(), "VIODM_DEFECT": line["defect"]})
    if "no check, and no statement" in r.stderr:
        return {}
    try:
        report = json.loads(r.stdout)
    except ValueError:
        return f"exit status {r.returncode}: {r.stderr.strip()[-300:]}"
    rows = {}
    for check in report["checks"]:
        for failure in check.get("failures", []):
            rows.setdefault(failure["row"], []).append(f"{check['name']}: {failure['seen']}")
    return rows


def failing_rows(args, line, *patience):
    if line["follows"] == "*":
        return run(args, line, "--only", line["row"], *patience)
    # A network that gives frames back keeps them until somebody receives, which other checks do not.
    only = ("--only", "net-*") if line["target"].startswith("net-") else ()
    if args.full or not line["row"]:
        return run(args, line, *only, *patience)
    rows = run(args, line, "--kind", "requirement", "--kind", "robustness", *only, *patience)
    if isinstance(rows, str) or line["row"] in rows:
        return rows
    more = run(args, line, "--kind", "stress", "--only", line["row"], *patience)
    return more if isinstance(more, str) else {**rows, **more}


def wrong_with(line, rows):
    """What is wrong, or ''."""
    if isinstance(rows, str):
        return rows
    if line["row"] and line["row"] not in rows:
        return f"nobody noticed: {line['row']} holds; failing: {sorted(rows) or 'nothing'}"
    allowed = [line["row"], *(line["follows"] or "").split()]
    stray = {r: seen for r, seen in rows.items() if not any(fnmatch.fnmatch(r, a) for a in allowed)}
    return f"others fail without reason: {stray}" if stray else ""


def judge(args, line):
    """A line to print, and whether it is a bad one."""
    start = time.monotonic()
    rows = failing_rows(args, line, *HASTE)
    if args.seen:
        seen = rows if isinstance(rows, str) else " ".join(f"{r}:{len(rows[r])}" for r in sorted(rows))
        return f"{line['defect'] or '(none)'}\t{line['target']}\t{line['row']}\t| {seen}", False
    wrong = wrong_with(line, rows)
    if wrong:
        wrong = wrong_with(line, failing_rows(args, line, *PATIENCE))
    name = f"{line['defect'] or 'no defect'} on {line['target']}: {line['row'] or 'nothing'} fails"
    took = f"({time.monotonic() - start:.1f} s)"
    return (f"not ok - {name} {took}: {wrong}", True) if wrong else (f"ok - {name} {took}", False)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--full", action="store_true")
    p.add_argument("--seen", action="store_true")
    p.add_argument("conform")
    p.add_argument("viodm")
    p.add_argument("defect", nargs="*")
    args = p.parse_args()
    lines = table()
    sound = [{"defect": "", "target": t, "row": "", "follows": ""} for t in sorted({x["target"] for x in lines})]
    lines = [x for x in sound + lines if not args.defect or x["defect"] in args.defect]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(4, (os.cpu_count() or 1) * 2)) as pool:
        for text, bad in pool.map(lambda line: judge(args, line), lines):
            failed += bad
            print(text, flush=True)
    print(f"{len(lines) - failed} of {len(lines)} held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
