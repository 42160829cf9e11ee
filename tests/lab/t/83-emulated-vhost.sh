#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=300
#
# The stock driver on an emulated e1000 whose wire is a port of sluice-vhostd: streams both ways with their checksum;
# the card reset under load (a change of the MTU does it), its driver unloaded and loaded, the machine paused, the
# back end killed and started again, the guest rebooted, all under load.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

back_end() {
	lab_vhostd --port "name=t,vdev=net_tap0,,iface=vt0,flood=0" --port "name=g,socket=$LAB_WORK/s/g,flood=0"
	lab_vhostd_ready
	ip addr replace 192.168.77.1/24 dev vt0
	ip link set vt0 up
}

modprobe tun
head -c 2M /dev/urandom >"$LAB_WORK/stream"
sum=$(sha256sum <"$LAB_WORK/stream" | cut -d' ' -f1)
{
	lab_guest_net 2
	cat <<-'END'
	echo "guest ready"
	read word </dev/console
	[ "$word" != second ] || { ping -q -c 20 -i 0.01 192.168.77.1 && echo "guest is back"; exit; }
	echo "guest net driver $(basename $(readlink /sys/class/net/eth0/device/driver))"
	nc 192.168.77.1 7001 </dev/null >/tmp/stream
	echo "guest received $(sha256sum </tmp/stream)"
	nc 192.168.77.1 7002 </tmp/stream
	again() {
		ip addr add 192.168.77.2/24 dev eth0 2>/dev/null
		ip link set eth0 up
		for k in $(seq 50); do ping -c 1 -W 1 192.168.77.1 >/dev/null && return; done
		echo "guest FAIL: no answer after $1"
		exit 1
	}
	for i in 1 2; do
		ping -q -c 50 -i 0.01 192.168.77.1 >/dev/null &
		ip link set eth0 mtu $((1400 + i)) || exit 1
		wait
		again "reset $i"
	done
	ping -q -c 50 -i 0.01 192.168.77.1 >/dev/null &
	rmmod e1000 && modprobe e1000 || exit 1
	wait
	again "the reload"
	echo "guest reloaded"
	read word </dev/console
	again "the back end's return"
	ping -q -i 0.01 192.168.77.1 >/dev/null &
	sleep 1
	echo "guest reboots"
	reboot -f
	END
} >"$LAB_WORK/guest.sh"

back_end
socat -u "FILE:$LAB_WORK/stream" TCP-LISTEN:7001,reuseaddr &
LAB_CHILDREN+=($!)
socat -u TCP-LISTEN:7002,reuseaddr "CREATE:$LAB_WORK/back" &
LAB_CHILDREN+=($!)
lab_vm a "$LAB_WORK/guest.sh" --net "id=net0,mode=emulated,socket=$LAB_WORK/s/g,mac=52:54:00:aa:bb:cc"
lab_seen a "guest ready" 120
lab_say a first
lab_seen a "guest (reloaded|FAIL)" 120
lab_match "$LAB_WORK/a.log" "guest net driver e1000"
lab_match "$LAB_WORK/a.log" "guest received $sum" "stream to the guest"
lab_eq "$(sha256sum <"$LAB_WORK/back" | cut -d' ' -f1)" "$sum" "stream from the guest"
lab_note "reloaded at $(lab_now)"

# what arrives while the machine stands still waits, or is lost as on a wire; then it answers again
lab_ctl a pause
ping -q -c 20 -i 0.01 -W 1 192.168.77.2 >/dev/null && lab_fail "a paused machine answers"
lab_ctl a resume
lab_wait 30 ping -q -c 1 -W 1 192.168.77.2 || lab_fail "no answer after the pause"
ping -q -i 0.05 192.168.77.2 >/dev/null &
LAB_CHILDREN+=($!)
lab_vhostd_kill
back_end
lab_wait 30 ping -q -c 1 -W 1 192.168.77.2 || lab_fail "no answer after the back end's return"
lab_say a go
lab_seen a "guest (reboots|FAIL)" 60
boots() { [ "$(grep -c "guest ready" "$LAB_WORK/a.log")" = 2 ]; }
lab_wait 120 boots || lab_fail "the guest did not come back"
lab_say a second
lab_done a 60
lab_match "$LAB_WORK/a.log" "guest is back"
lab_no_match "$LAB_WORK/a.log" "guest FAIL"
