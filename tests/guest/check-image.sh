# Does an image file hold what the guest said it wrote? Sourced by run-cases, which runs beside the
# VMM, and by run, which checks the same images again on the host.
# shellcheck shell=sh

# fact FILE KIND KEY: the value in the last line of that kind, empty when there is none.
fact() {
  sed -n "s/^$2 \(.* \)\{0,1\}$3=\([^ ]*\).*/\2/p" "$1" | tail -n 1
}

# region FILE OFFSET BYTES: all of it multiples of 64 KiB
region() {
  dd if="$1" bs=65536 skip=$(($2 / 65536)) count=$(($3 / 65536)) 2>/dev/null
}

sum() {
  sha256sum | cut -c 1-64
}

# check_image IMAGE FACTS: prints "ok CHECK ..." or "not CHECK ..." for every fact.
#
#   image offset= bytes= sha256=   this region has this checksum
#   fs bytes=                      an ext4 file system from offset 0, clean
#   hole offset= bytes= blocks=    the region reads as zeros
#   freed bytes= blocks=           the file gave back so many bytes of its blocks 512-byte blocks
#   whole sha256=                  the file is what it was
check_image() {
  bytes=$(fact "$2" image bytes)
  if [ -n "$bytes" ]; then
    got=$(region "$1" "$(fact "$2" image offset)" "$bytes" | sum)
    if [ "$got" = "$(fact "$2" image sha256)" ]; then
      echo "ok image-data bytes=$bytes sha256=$got"
    else
      echo "not image-data bytes=$bytes sha256=$got, the guest wrote $(fact "$2" image sha256)"
    fi
  fi

  if [ -n "$(fact "$2" fs bytes)" ]; then
    if out=$(e2fsck -f -n "$1" 2>&1); then
      echo "ok image-fsck clean: $(echo "$out" | tail -n 1 | sed 's/^[^ ]*: //')"
    else
      echo "not image-fsck $(echo "$out" | tail -n 4 | tr '\n' ' ')"
    fi
  fi

  bytes=$(fact "$2" hole bytes)
  if [ -n "$bytes" ]; then
    got=$(region "$1" "$(fact "$2" hole offset)" "$bytes" | tr -d '\000' | wc -c)
    if [ "$got" = 0 ]; then
      echo "ok image-discarded bytes=$bytes read as zeros"
    else
      echo "not image-discarded $got of $bytes bytes are not zero"
    fi
  fi

  bytes=$(fact "$2" freed bytes)
  if [ -n "$bytes" ]; then
    before=$(fact "$2" freed blocks)
    after=$(stat -c %b "$1")
    if [ $(((before - after) * 512)) -ge "$bytes" ]; then
      echo "ok image-freed blocks before=$before after=$after"
    else
      echo "not image-freed blocks before=$before after=$after, wanted $bytes bytes less"
    fi
  fi

  want=$(fact "$2" whole sha256)
  if [ -n "$want" ]; then
    got=$(sum <"$1")
    if [ "$got" = "$want" ]; then
      echo "ok image-untouched sha256=$got"
    else
      echo "not image-untouched sha256=$got, was $want"
    fi
  fi
}
