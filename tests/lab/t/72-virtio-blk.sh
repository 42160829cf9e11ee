#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# Stock guests on virtio-blk: every kind of ring and one queue or four, sixteen disks of one machine, random reads
# and writes verified by fio, flushes, discards, zeros; what the guest read and wrote is what the files hold.
# Then a guest with an older kernel: read-only, resize, a reboot with requests under way.
#
# disk_opts ID PATH OPTIONS prints the --disk argument, so that another back end can run the same matrix.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
MIB=4

disk_opts() { echo "id=$1,path=$2,mode=virtio${3:+,$3}"; }

# one line for each disk: its id and its options; the id says split/packed, event index, indirect, queues
matrix() {
	local r e i q hide
	for r in s p; do for e in 0 1; do for i in 0 1; do for q in 1 4; do
		hide=
		[ $r = p ] || hide=packed
		[ $e = 1 ] || hide=${hide:+$hide:}event-idx
		[ $i = 1 ] || hide=${hide:+$hide:}indirect
		echo "$r-e$e-i$i-q$q queues=$q${hide:+,hide=$hide}"
	done; done; done; done
}

guest_matrix() {
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
		/bin/blkdiscard -o 0 -l 1048576 /dev/$d || exit 1
		/bin/blkdiscard -z -o 1048576 -l 1048576 /dev/$d || exit 1
		sync
		[ "$(dd if=/dev/$d bs=1M skip=1 count=1 iflag=direct 2>/dev/null | tr -d '\000' | wc -c)" = 0 ] || { echo "$d: not zero"; exit 1; }
		echo "sum $(cat $b/serial) $(dd if=/dev/$d bs=1M iflag=direct 2>/dev/null | sha256sum | cut -c1-64)"
	done
	END
}

run_matrix() {
	local id opts args=() sum
	while read -r id opts; do
		truncate -s ${MIB}M "$LAB_WORK/$id"
		args+=(--disk "$(disk_opts "$id" "$LAB_WORK/$id" "$opts")")
	done < <(matrix)
	guest_matrix >"$LAB_WORK/guest.sh"
	LAB_VM_MEMORY=512M lab_vm m "$LAB_WORK/guest.sh" --cpus 4 "${args[@]}"
	lab_done m 300
	tr -d '\r' <"$LAB_WORK/m.log" >"$LAB_WORK/m.out"
	while read -r id opts; do
		sum=$(sha256sum <"$LAB_WORK/$id" | cut -c1-64)
		lab_match "$LAB_WORK/m.out" "^sum $id $sum"
		lab_match "$LAB_WORK/m.out" "^disk vd[a-p] $id queues ${id##*q}"
		features_of "$id"
	done < <(matrix)
}

# the guest's list of accepted bits, bit 0 first: ring features are as the id says
features_of() {
	local f
	f=$(sed -n "s/^disk vd[a-p] $1 queues . features //p" "$LAB_WORK/m.out")
	lab_eq "${f:34:1}${f:29:1}${f:28:1}" "$(echo "$1" | sed -E 's/^p/1/; s/^s/0/; s/-q.*//; s/-[ei]//g')" "ring features of $1"
}

guest_rest() {
	cat <<-'END'
	dev() { for b in /sys/block/vd*; do [ "$(cat $b/serial)" != "$1" ] || echo "${b##*/}"; done; }
	ro=$(dev ro) rw=$(dev rw)
	echo "ro is $(cat /sys/block/$ro/ro)"
	if dd if=/dev/zero of=/dev/$ro bs=4k count=1 conv=fsync 2>/dev/null; then exit 1; fi
	dd if=/dev/$ro bs=1M iflag=direct 2>/dev/null | sha256sum | sed 's/^/ro sum /'
	fio --name=v --filename=/dev/$rw --rw=randwrite --bs=4k --ioengine=libaio --direct=1 --iodepth=16 --size=2M \
		--verify=crc32c --fdatasync=16 --thread --minimal >/tmp/out || exit 1
	echo "guest asks"
	read word </dev/console
	for i in $(seq 100); do [ "$(cat /sys/block/$rw/size)" = 16384 ] && break; sleep 0.1; done
	echo "rw has $(cat /sys/block/$rw/size) sectors"
	grep -q again /proc/cmdline && exit 0
	fio --name=l --filename=/dev/$rw --rw=randrw --bs=4k --ioengine=libaio --direct=1 --iodepth=32 --offset=4M \
		--size=2M --time_based --runtime=60 --thread --minimal >/tmp/out 2>&1 &
	sleep 2
	echo "rebooting under load"
	reboot -f
	END
}

run_rest() {
	local sum
	head -c 1M /dev/urandom >"$LAB_WORK/ro"
	chmod 400 "$LAB_WORK/ro"
	truncate -s 4M "$LAB_WORK/rw"
	sum=$(sha256sum <"$LAB_WORK/ro")
	guest_rest >"$LAB_WORK/guest.sh"
	LAB_GUEST=6.1 lab_vm r "$LAB_WORK/guest.sh" --cpus 2 --disk "$(disk_opts ro "$LAB_WORK/ro" readonly=on)" \
		--disk "$(disk_opts rw "$LAB_WORK/rw" queues=2)"
	lab_seen r "guest asks" 120
	truncate -s 8M "$LAB_WORK/rw"
	lab_ctl r resize rw || lab_fail "resize"
	lab_say r go
	lab_seen r "rw has 16384 sectors" 30
	lab_seen r "rebooting under load" 60
	lab_wait 120 sh -c "[ \$(grep -c 'guest asks' '$LAB_WORK/r.log') = 2 ]" || lab_fail "no second start"
	lab_ctl r ports --json >"$LAB_WORK/ports"
	lab_eq "$(jq -r '.[] | select(.port == "rw") | .state' "$LAB_WORK/ports")" ok "state after the reboot"
	# nobody in this guest listens to the power button: twice is a stop
	kill -TERM "$LAB_PID"
	sleep 1
	kill -TERM "$LAB_PID"
	lab_end "$LAB_PID" 30
	lab_match "$LAB_WORK/r.log" "ro is 1"
	lab_match "$LAB_WORK/r.log" "ro sum $sum"
}

run_matrix
run_rest
