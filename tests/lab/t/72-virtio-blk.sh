#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# Stock guests on virtio-blk: every kind of ring and one queue or four, sixteen disks of one machine, random reads
# and writes verified by fio, flushes, discards, zeros; what the guest read and wrote is what the files hold.
# Then a guest with an older kernel: read-only, resize, a reboot with requests under way.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
# shellcheck source=tests/lab/blk-matrix.sh
. "$LAB_DIR/blk-matrix.sh"

disk_opts() { echo "id=$1,path=$2,mode=virtio${3:+,$3}"; }

# four processors, so that there are four queues; two of them are started, which is quicker here
run_matrix() {
	blk_args 1 4
	blk_guest >"$LAB_WORK/guest.sh"
	LAB_CMDLINE=maxcpus=2 LAB_VM_MEMORY=384M lab_vm m "$LAB_WORK/guest.sh" --cpus 4 "${BLK_ARGS[@]}"
	lab_seen m "^disk vda" 120
	lab_note "the guest is up at $(lab_now)"
	lab_seen m "^fio verified 16" 200
	lab_note "verified at $(lab_now)"
	lab_done m 100
	blk_check m 1 4
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

lab_note "at $(lab_now)"
run_matrix
lab_note "the other guest, at $(lab_now)"
run_rest
lab_note "done at $(lab_now)"
