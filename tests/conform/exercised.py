#!/usr/bin/env python3
"""How many statements of the specification viodm-conform has really looked at.

  exercised.py REPORT...        JSON reports (viodm-conform --format json), or folders of them
  exercised.py --run BUILD [FOLDER]
                                makes those reports first, of each target of the suite "conform", in FOLDER

Over all reports together: for each area the statements above MAY that have a check ("checked"), those that some
check has looked at on some device ("exercised"), and then the others with the reasons of their skips.
"""
import collections
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
AREAS = ("basic", "split", "pci", "mmio", "blk", "net")  # as in report.c
SEEN = ("passed", "failed")


def statements():
    """{id: row} of what binds devices (MUST and SHOULD), of the areas that viodm-conform knows."""
    found = {}
    for name in ("normative.tsv", "implied.tsv"):
        with open(HERE / "spec" / name, newline="") as f:
            for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row["role"] == "device" and row["area"] in AREAS and row["level"].startswith(("MUST", "SHOULD")):
                    found[row["id"]] = row
    return found


def targets(build):
    """{name: command} of the suite conform, as meson has it."""
    r = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, text=True, check=True)
    return {t["name"]: t["cmd"] for t in json.loads(r.stdout) if t["cmd"][0] == str(HERE / "run")}


def run_all(build, folder):
    for name, command in targets(build).items():
        r = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, timeout=600,
                           cwd=build)
        if r.returncode not in (0, 1):
            sys.exit(f"{name}: exit status {r.returncode}: {r.stderr.strip()[-300:]}")
        print(f"{name}: {'all passed' if r.returncode == 0 else 'SOME FAILED'}", file=sys.stderr, flush=True)
        (folder / f"{name}.json").write_text(r.stdout)


def read(paths):
    for path in paths:
        path = pathlib.Path(path)
        for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
            yield json.loads(file.read_text())


def union(reports):
    """{id: states anywhere}, {id: why skipped}"""
    states, reasons = collections.defaultdict(set), collections.defaultdict(set)
    for report in reports:
        for row, state in report["statements"].items():
            states[row].add(state)
        for check in report["checks"]:
            if check["verdict"] == "skip":
                for row in check["rows"].split():
                    reasons[row].add(check["reason"])
    return states, reasons


def show(states, reasons):
    rows = statements()
    table = collections.defaultdict(lambda: [0, 0, 0])
    never = []
    for row, s in rows.items():
        checked = bool(states[row] - {"uncovered", "unobservable"})
        seen = bool(states[row] & set(SEEN))
        for name in (s["area"], "all"):
            for i, counts in enumerate((True, checked, seen)):
                table[name][i] += counts
        if checked and not seen:
            never.append(row)
    print("area     above MAY  checked  exercised")
    for area in [a for a in table if a != "all"] + ["all"]:
        print(f"{area:<8} {table[area][0]:9} {table[area][1]:8} {table[area][2]:10}")
    print(f"\nChecked, but looked at on no target ({len(never)}):")
    for row in never:
        why = reasons[row] - {"for another device", "for another transport"} or reasons[row]
        print(f"  {row:<14} {rows[row]['paraphrase']} [{rows[row]['feature_gate'] or '-'}]: {'; '.join(sorted(why)) or 'not run'}")


def main():
    args = sys.argv[1:]
    if len(args) >= 2 and args[0] == "--run":
        folder = pathlib.Path(args[2] if len(args) > 2 else tempfile.mkdtemp(prefix="viodm-conform."))
        folder.mkdir(parents=True, exist_ok=True)
        run_all(args[1], folder)
        args = [folder]
    if not args or str(args[0]).startswith("-"):
        sys.exit(__doc__)
    reports = list(read(args))
    if not reports:
        sys.exit("no reports there")
    show(*union(reports))


if __name__ == "__main__":
    main()
