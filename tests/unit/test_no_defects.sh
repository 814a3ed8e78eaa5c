#!/bin/sh
# What breaks a rule on purpose is in builds with the option `defects` only: an ordinary one has neither the
# function that asks which (vio_defect), nor its environment variable, nor any of their names, so every
# question was answered by the compiler.
#
#   test_no_defects.sh DEFECTS.TSV LIBRARY...
set -u
table=$1
shift
bad=0
names=$(cut -f1 "$table" | tail -n +2 | sort -u)
[ -n "$names" ] || { echo "no defects in $table"; exit 1; }
for file in "$@"; do
  [ -s "$file" ] || { echo "$file: nothing there"; exit 1; }
  # as a whole string: each ends with a NUL, and the one before it did, too
  found=$(tr '\000' '\n' <"$file" | LC_ALL=C grep -axF "$names
vio_defect
VIODM_DEFECT")
  [ -z "$found" ] || { echo "$file:" $found; bad=1; }
done
exit $bad
