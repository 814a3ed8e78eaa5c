#!/usr/bin/env python3
"""Makes C out of the table of feature bits: features.py OUT features.tsv"""
import csv
import re
import sys


def groups(text, bits):
    """"A, B or C and D" is (A) and (B or C) and (D); what is only recommended is left out."""
    if "SHOULD" in text:
        return []
    text = re.sub(r"\(.*?\)", "", text)
    parts = re.split(r",| and | along with ", text)
    masks = [[bits[name] for name in part.split(" or ")] for part in map(str.strip, parts) if part]
    return [sum(1 << b for b in m) for m in masks if all(b < 64 for b in m)]


out, table = sys.argv[1:]
with open(table, newline="") as f:
    rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
with open(out, "w") as f:
    f.write('#include "feature_bits.h"\n\nconst struct feature feature_table[] = {\n')
    for r in rows:
        bits = {re.sub(r"VIRTIO_[A-Z]+_F_", "", s["name"]): int(s["bit"])
                for s in rows if s["scope"] == r["scope"]}
        masks = groups(r["requires"] or "", bits)
        f.write('\t{"%s", "%s", %s, %s, {%s}},\n' % (
            r["scope"], r["name"], r["bit"], "true" if r["legacy_only"] else "false",
            ", ".join("UINT64_C(%#x)" % m for m in masks) or "0"))
    f.write("};\n\nconst unsigned n_features = sizeof(feature_table) / sizeof(feature_table[0]);\n")
