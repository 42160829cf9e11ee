#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# The emulated NVMe controller under tools that know the standard: nvme-cli reads what it says of itself and has its
# format refused; fio verifies writes, trims and flushes on both kinds of doorbell, while the controller is reset
# again and again; the driver goes and comes; the guest reboots under load, and finds what it had written before.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
lab_cleanup() { ip link del tap0 2>/dev/null; }

lab_tap
truncate -s 16M "$LAB_WORK/disk-a" "$LAB_WORK/disk-b"

{
	lab_guest_net 2
	cat <<-'END'
	fail() { echo "guest FAIL: $*"; exit 1; }
	ctrl() { for c in /sys/class/nvme/nvme*; do [ "$(tr -d ' ' <$c/serial)" != "$1" ] || echo "${c##*/}"; done; }
	disk() { echo "$(ctrl $1)n1"; }
	# on both disks; the first 8 MiB are kept over the reboot, the rest is for everything else
	work() {
		fio --ioengine=libaio --direct=1 --thread --minimal --iodepth=16 --verify=crc32c --verify_fatal=1 "$@" \
			--name=a --filename=/dev/$(disk disk-a) --name=b --filename=/dev/$(disk disk-b) >/tmp/out 2>&1 ||
			{ tail -n 20 /tmp/out; fail "fio $*"; }
	}
	keep="--rw=randwrite --bs=4k --size=2M --randseed=7 --do_verify=1"
	rest="--offset=8M --size=4M"
	echo "guest ready"
	read word </dev/console
	if [ "$word" = second ]; then
		work $keep --verify_only
		echo "guest kept its data"
		exit 0
	fi

	a=/dev/$(ctrl disk-a)
	nvme id-ctrl $a || fail id-ctrl
	nvme id-ns ${a}n1 || fail id-ns
	nvme list-ns $a || fail list-ns
	nvme fw-log $a || fail fw-log
	nvme effects-log $a -c 0 || fail effects-log
	for f in 1 2 4 5 6 7 8 9 10 11; do nvme get-feature $a -f $f || fail "feature $f"; done
	nvme get-feature $a -f 12 2>&1 | sed 's/^/unknown feature: /'
	nvme set-feature $a -f 4 -v 0x157 && nvme get-feature $a -f 4 || fail "set-feature"
	dd if=/dev/urandom of=${a}n1 bs=64k count=16 conv=fsync 2>/dev/null
	before=$(sha256sum <${a}n1)
	nvme format ${a}n1 --force 2>&1 | sed 's/^/format: /'
	[ "$(sha256sum <${a}n1)" = "$before" ] || fail "a refused format changed the data"
	nvme error-log $a -e 1 || fail error-log
	nvme smart-log $a || fail smart-log
	nvme flush ${a}n1 -n 1 || fail flush
	echo "guest asked"

	work $keep --fdatasync=16
	work $rest --rw=randrw --bsrange=4k-128k --fdatasync=32
	work $rest --rw=randtrim --bs=64k --verify=0
	work $rest --rw=randwrite --bs=4k
	for d in disk-a disk-b; do
		/bin/blkdiscard -z -o 8388608 -l 1048576 /dev/$(disk $d) || fail "write zeroes"
		[ "$(dd if=/dev/$(disk $d) bs=1M skip=8 count=1 iflag=direct 2>/dev/null | tr -d '\000' | wc -c)" = 0 ] ||
			fail "$d: not zero"
	done
	echo "guest verified"

	work $rest --rw=randrw --bs=4k --time_based --runtime=6 &
	pid=$!
	for i in 1 2 3; do
		sleep 1
		for d in disk-a disk-b; do echo 1 >/sys/class/nvme/$(ctrl $d)/reset_controller || fail "reset $i"; done
	done
	wait $pid || exit 1
	echo "guest reset its controllers"
	dd if=/dev/$(disk disk-a) of=/dev/null bs=64k iflag=direct 2>/dev/null &
	rmmod nvme && modprobe nvme || fail "reload"
	wait
	for i in $(seq 100); do [ -b /dev/$(disk disk-a) ] && [ -b /dev/$(disk disk-b) ] && break; sleep 0.1; done
	work $keep --verify_only
	echo "guest reloaded its driver"

	(work $rest --rw=randrw --bs=4k --time_based --runtime=60) &
	ping -q -i 0.01 192.168.77.1 >/dev/null &
	sleep 2
	echo "guest reboots"
	reboot -f
	END
} >"$LAB_WORK/guest.sh"

lab_vm a "$LAB_WORK/guest.sh" --net id=net0,mode=emulated,tap=tap0 \
	--disk "id=disk-a,mode=emulated,path=$LAB_WORK/disk-a" \
	--disk "id=disk-b,mode=emulated,path=$LAB_WORK/disk-b,queues=2,shadow-doorbell=on,ioeventfd=on"
stage() {
	lab_seen a "guest ($1|FAIL)" "$2"
	lab_no_match "$LAB_WORK/a.log" "guest FAIL"
	lab_note "$1, at $(lab_now)"
}
stage "ready" 120
lab_say a first
stage "asked" 60
stage "verified" 60
stage "reset its" 60
stage "reloaded" 60
lab_ctl a stat --json | jq -c '.nvme[]'
stage "reboots" 30
boots() { [ "$(grep -c "guest ready" "$LAB_WORK/a.log")" = 2 ]; }
lab_wait 120 boots || lab_fail "the guest did not come back"
ping -q -c 3 -i 0.2 192.168.77.2 >/dev/null || lab_fail "the network port is gone after the reboot"
lab_say a second
lab_done a 60
lab_match "$LAB_WORK/a.log" "guest kept its data"

tr -d '\r' <"$LAB_WORK/a.log" >"$LAB_WORK/out"
said() { lab_match "$LAB_WORK/out" "$1" "what nvme-cli printed"; }
said '^sn +: disk-a'
said '^mn +: Sluice emulated NVMe'
said '^ver +: 0x10400'
said '^nn +: 1$'
said '^nsze +: 0x8000$'
said '^lbaf +0 : .*lbads:9 .*in use'
said '^\[ +0\]:0x1$'
said '^afi +: 0x1$'
said 'get-feature:0x0?7 .*Current value:0+$'
said 'get-feature:0x0?6 .*Current value:(0x)?0*1$'
said 'get-feature:0x0?4 .*Current value:0x0*157$'
said '^unknown feature: .*Invalid Field.*0x4002'
said 'Identify .*CSUPP|ACS6 '
said '^format: .*Invalid Command Opcode.*0x4001'
said '^status_field.*0x(4001|2001)'
said '^temperature.*300'
said '^critical_warning.*: 0'
said '^num_err_log_entries.*: [1-9]'
