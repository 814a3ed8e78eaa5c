# Functions shared by the host-side scripts of tests/guest (bash).
# shellcheck shell=bash

export PATH="$PATH:/usr/sbin:/sbin"

# The leading comment of a script is its manual.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"
}

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Exit code 77 is "skipped" for meson and for every caller here.
skip() {
  printf '%s: skipped: %s\n' "$(basename "$0")" "$*" >&2
  exit 77
}

need() {
  local tool missing=()
  for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    skip "not installed: ${missing[*]} (scripts/deps installs them)"
  fi
}

cache_dir() {
  if [ -n "${VIODM_GUEST_CACHE:-}" ]; then
    printf '%s\n' "$VIODM_GUEST_CACHE"
  elif [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ]; then
    printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/viodm"
  else
    printf '%s\n' "${TMPDIR:-/tmp}/viodm-cache-$(id -u)"
  fi
}

kernel_version() {
  basename "$1"/lib/modules/*
}

kernel_image() {
  printf '%s\n' "$1/boot/vmlinuz-$(kernel_version "$1")"
}

# For the command line of an emulated kernel: QEMU's time-stamp counter is this machine's. Without this
# word the kernel measures it against a timer, fails at that when the machine is busy, and may then
# hang before its first message.
tsc_hint() {
  awk '/^cpu MHz/ { printf "tsc_early_khz=%d\n", $4 * 1000; exit }' /proc/cpuinfo
}
