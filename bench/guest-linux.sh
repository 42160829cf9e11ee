#!/bin/busybox sh
# shellcheck shell=dash disable=SC2013
# SPDX-License-Identifier: BSD-3-Clause
#
# The linux guest of "sluice bench": runs loads of disks with fio, of the network with netload (bench/netload.c), and
# prints the runner's protocol (bench/proto.h) on the console. The lab's init runs it as /test.sh; any RAM disk with
# busybox, fio and netload will do. On the kernel command line: bench.loads=NAME:KIND:DEPTH:SIZE,... and
# bench.seconds=N, or bench.ops=N in its place.

word() {
	for w in $(cat /proc/cmdline); do
		case $w in "bench.$1="*) echo "${w#*=}" ;; esac
	done
}

# mark WORD NAME: says it; the runner reads the machine's counters, then sends a byte
mark() {
	echo "$1 test=$2"
	dd bs=1 count=1 </dev/console >/dev/null 2>&1
}

disk() {
	for d in /dev/nvme0n1 /dev/vda; do
		[ ! -b $d ] || { echo $d; return; }
	done
}

# the first interface that has a device behind it
nic() {
	for n in /sys/class/net/*; do
		[ ! -e "$n/device" ] || { echo "${n##*/}"; return; }
	done
}

# the name of the driver of an interface
driver() { basename "$(readlink -f "/sys/class/net/$1/device/driver")"; }

# net NAME KIND DEPTH SIZE: netload says all that is to be said; a wire that is dead once is not tried again
net() {
	if [ -n "$dead" ]; then
		echo "skip test=$1 reason=$dead"
	elif [ -z "$(nic)" ]; then
		echo "skip test=$1 reason=there is no network interface"
	else
		netload "$(nic)" "$@" "$ops" "$seconds" </dev/console
		[ $? != 3 ] || dead="nobody answers on the wire"
	fi
}

# what fio says in JSON, a member a line: of the part that was asked for
result() {
	awk -v test="$1" -v want="$2" -v size="$3" '
	function num(s) { gsub(/[^0-9.]/, "", s); return int(s) }
	/^ *"(read|write|trim|sync)" : \{/ { part = $1; gsub(/"/, "", part); lat = "" }
	/"(slat|clat|lat)_ns" : \{/ { lat = $1; gsub(/"/, "", lat) }
	/"runtime"/ && num($3) > ms { ms = num($3) }
	part != want { next }
	/"total_ios"/ { ops = num($3) }
	lat != (want == "sync" ? "lat_ns" : "clat_ns") { next }
	/"max"/ { max = num($3) }
	/"50.000000"/ { p50 = num($3) }
	/"99.000000"/ { p99 = num($3) }
	/"99.900000"/ { p999 = num($3) }
	/"error"/ { errors = num($3) }
	END {
		printf "result test=%s ops=%.0f ns=%.0f bytes=%.0f p50_ns=%.0f p99_ns=%.0f p999_ns=%.0f max_ns=%.0f errors=%d\n",
			test, ops, ms * 1000000, ops * size, p50, p99, p999, max, errors
	}'
}

# disk_load NAME KIND DEPTH SIZE
disk_load() {
	dev=$(disk) part="read"
	set -- "$@" --name=bench --filename="$dev" --bs="$4" --iodepth="$3" --ioengine=libaio --direct=1 --thread \
		--norandommap --randseed=1 --output-format=json --output=/tmp/fio \
		--exec_prerun="sh $0 start $1" --exec_postrun="sh $0 stop $1"
	case $2 in
	disk-read) set -- "$@" --rw=randread ;;
	disk-write) set -- "$@" --rw=randwrite; part="write" ;;
	disk-flush) set -- "$@" --rw=randwrite --fsync=1; part="sync" ;;
	*) echo "skip test=$1 reason=the linux guest has no $2"; return ;;
	esac
	[ -n "$dev" ] || { echo "skip test=$1 reason=there is no disk"; return; }
	if [ "$ops" != 0 ]; then
		set -- "$@" --number_ios="$ops"
	else
		set -- "$@" --time_based --runtime="$seconds"
	fi
	name=$1 size=$4
	shift 4
	if fio "$@" >/tmp/fio.err 2>&1; then
		result "$name" $part "$size" </tmp/fio
	else
		echo "skip test=$name reason=fio: $(tail -n 1 /tmp/fio.err)"
	fi
}

# load NAME KIND DEPTH SIZE
load() {
	case $2 in
	net-*) net "$@" ;;
	*) disk_load "$@" ;;
	esac
}

# fio calls it around its requests, so that its own start is not counted
case ${1:-} in
start|stop) mark "$@" >/dev/console; exit 0 ;;
esac
# what a system says on the network unasked is no part of a load
for f in default all; do
	echo 1 2>/dev/null >/proc/sys/net/ipv6/conf/$f/disable_ipv6
done
seconds=$(word seconds) ops=$(word ops) dead=""
stty -F /dev/console -icanon -echo min 1
echo "SLUICE-BENCH 1"
echo "info guest=linux kernel=$(uname -r) disk=$(disk) nic=$(nic) driver=$([ -z "$(nic)" ] || driver "$(nic)")"
for l in $(word loads | tr , ' '); do
	# shellcheck disable=SC2046 # four words
	load $(echo "$l" | tr : ' ')
done
echo "end status=0"
