# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The disk half of the guest matrix: a guest with a disk of each kind of ring (split and packed, event index
# and indirect descriptors on and off). Random reads and writes verified by fio, flushes, discards, zeros; what the
# guest read and wrote is what the files hold. Source lib.sh and vm.sh first. The test says how a disk is asked for:
#
#     disk_opts ID PATH OPTIONS    the --disk argument

BLK_KIB=${BLK_KIB:-2048}

# blk_kinds QUEUES...: one line for each disk: its id and its options; the id says split/packed, event index,
# indirect, queues
blk_kinds() {
	local r e i q hide
	for r in s p; do for e in 0 1; do for i in 0 1; do for q in "$@"; do
		hide=
		[ $r = p ] || hide=packed
		[ $e = 1 ] || hide=${hide:+$hide:}event-idx
		[ $i = 1 ] || hide=${hide:+$hide:}indirect
		echo "$r-e$e-i$i-q$q queues=$q${hide:+,hide=$hide}"
	done; done; done; done
}

# blk_args QUEUES...: the files, and the disks of a machine in BLK_ARGS
blk_args() {
	local id opts
	BLK_ARGS=()
	while read -r id opts; do
		truncate -s "${BLK_KIB}K" "$LAB_WORK/$id"
		BLK_ARGS+=(--disk "$(disk_opts "$id" "$LAB_WORK/$id" "$opts")")
	done < <(blk_kinds "$@")
}

# the guest's part
blk_guest() {
	cat <<-'END'
	: >/tmp/jobs
	for b in /sys/block/vd*; do
		d=${b##*/}
		echo "disk $d $(cat $b/serial) queues $(ls $b/mq | wc -l) features $(cat $b/device/features)"
		printf '[%s]\nfilename=/dev/%s\n' "$d" "$d" >>/tmp/jobs
	done
	fio --rw=randrw --bsrange=4k-64k --ioengine=libaio --direct=1 --iodepth=8 --fsync=32 \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --thread --minimal --size=100% /tmp/jobs >/tmp/out 2>&1 || {
		tail -n 20 /tmp/out
		exit 1
	}
	echo "fio verified $(wc -l </tmp/out)"
	for b in /sys/block/vd*; do
		d=${b##*/}
		/bin/blkdiscard -o 0 -l 262144 /dev/$d || exit 1
		/bin/blkdiscard -z -o 262144 -l 262144 /dev/$d || exit 1
		sync
		[ "$(dd if=/dev/$d bs=256k skip=1 count=1 iflag=direct 2>/dev/null | tr -d '\000' | wc -c)" = 0 ] || { echo "$d: not zero"; exit 1; }
		echo "sum $(cat $b/serial) $(dd if=/dev/$d bs=1M iflag=direct 2>/dev/null | sha256sum | cut -c1-64)"
	done
	END
}

# blk_check NAME QUEUES...: what guest NAME printed is what the files hold and what was asked for
blk_check() {
	local id opts sum out=$LAB_WORK/$1.out
	tr -d '\r' <"$LAB_WORK/$1.log" >"$out"
	shift
	while read -r id opts; do
		sum=$(sha256sum <"$LAB_WORK/$id" | cut -c1-64)
		lab_match "$out" "^sum $id $sum"
		lab_match "$out" "^disk vd[a-p] $id queues ${id##*q}"
		blk_features "$id" "$out"
	done < <(blk_kinds "$@")
}

# the guest's list of accepted bits, bit 0 first: ring features are as the id says
blk_features() {
	local f
	f=$(sed -n "s/^disk vd[a-p] $1 queues . features //p" "$2")
	lab_eq "${f:34:1}${f:29:1}${f:28:1}" "$(echo "$1" | sed -E 's/^p/1/; s/^s/0/; s/-q.*//; s/-[ei]//g')" "ring features of $1"
}
