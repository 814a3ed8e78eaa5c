#!/usr/bin/env python3
"""Makes C out of the statement tables: statements.py OUT normative.tsv implied.tsv unobservable.tsv"""
import csv
import sys

FIELDS = ["id", "area", "section", "level", "paraphrase", "observable", "feature_gate", "profile", "src"]


def rows(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def quote(text):
    return '"' + (text or "").replace("\\", "\\\\").replace('"', '\\"') + '"'


out, normative, implied, unobservable = sys.argv[1:]
reasons = {r["id"]: r["reason"] for r in rows(unobservable)}
statements = [r for path in (normative, implied) for r in rows(path) if r["role"] == "device"]
unknown = set(reasons) - {r["id"] for r in statements}
if unknown:
    sys.exit(f"{unobservable}: no such device statements: {' '.join(sorted(unknown))}")
with open(out, "w") as f:
    f.write('#include "statements.h"\n\nconst struct statement statements[] = {\n')
    for r in statements:
        fields = [quote(r.get(k)) for k in FIELDS]
        fields.append(quote(reasons[r["id"]]) if r["id"] in reasons else "0")
        f.write("\t{" + ", ".join(fields) + "},\n")
    f.write("};\n\nconst unsigned n_statements = sizeof(statements) / sizeof(statements[0]);\n")
