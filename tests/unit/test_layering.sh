#!/usr/bin/env bash
# Which folder may include what. usage: test_layering.sh SOURCEDIR
set -euo pipefail
cd "$1"
bad=0

complain() {
	echo "$1"
	bad=1
}

# The folder a public header belongs to: include/viodm/x.h is a link into it.
owner() {
	local target
	target=$(readlink "include/viodm/$1") || { echo none; return; }
	target=${target#../../}
	echo "${target%%/*}"
}

# check FOLDER ALLOWED-OWNERS ALLOWED-LIBRARIES (extended regular expressions)
check() {
	local folder=$1 owners=$2 libraries=$3 file header
	while IFS=: read -r file header; do
		case $header in
		'<viodm/'*)
			header=${header#<viodm/}
			grep -qxE "$owners" <<<"$(owner "${header%>}")" ||
				complain "$file includes <viodm/${header%>}> of $(owner "${header%>}")/"
			;;
		'<'*) grep -qxE "<($libraries|linux/.*|sys/.*|$libc)>" <<<"$header" ||
			complain "$file includes $header" ;;
		*) # a private header: in the same top folder
			header=${header//\"/}
			[ -e "$(dirname "$file")/$header" ] ||
				complain "$file includes \"$header\", which is not beside it"
			;;
		esac
	done < <(grep -rHoE '^#include *[<"][^>"]*[>"]' "$folder" --include='*.[ch]' | sed -E 's/#include *//')
}

libc='(endian|errno|fcntl|inttypes|limits|poll|pthread|sched|signal|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|time|unistd|assert|ctype)\.h'
none='-'

check core core "$none"
check transports 'core|transports' "$none"
check devices 'core|devices' "$none"
check backends 'core|backends' 'event2/.*|liburing\.h|libaio\.h|pcap/pcap\.h|slirp/libslirp\.h|arpa/inet\.h|netinet/in\.h'

# libevent in one file only; so that another loop can take its place
while read -r file; do
	case $file in
	./backends/loop_event.c | ./tools/* | ./examples/* | ./tests/*) ;;
	*) complain "$file includes libevent" ;;
	esac
done < <(grep -rlE '#include *<event' --include='*.[ch]' .)

# io_uring, libaio, libpcap and libslirp stay in backends/ (benches drive their own)
while read -r file; do
	case $file in
	./backends/* | ./tests/*) ;;
	*) complain "$file includes liburing, libaio, libpcap or libslirp" ;;
	esac
done < <(grep -rlE '#include *<(liburing|libaio|pcap|slirp)' --include='*.[ch]' .)

# the ring, the cursor and the memory map know nothing above them
for file in core/queue.[ch] core/iov.[ch] core/mem.[ch]; do
	if grep -nE '#include *<viodm/(device|backend|transport|loop|storage)\.h>' "$file"; then
		complain "$file includes something above it"
	fi
done

# every public header has its link, every link its header
for link in include/viodm/*.h; do
	[ -e "$link" ] || complain "$link leads nowhere"
done

exit $bad
