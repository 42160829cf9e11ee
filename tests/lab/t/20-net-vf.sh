#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# A stock guest on a VF of eth0: the MAC as asked, 1,000 pings, TCP each way, across two reboots.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
lab_cleanup() { lab_pf_down; }

{
	lab_guest_net 2
	cat <<-'END'
	echo "guest mac $(cat /sys/class/net/eth0/address)"
	ping -q -c 10 -i 0.05 192.168.77.1
	echo "guest asks"
	read word </dev/console
	[ "$word" != reboot ] || reboot -f
	ping -q -c 1000 -i 0.005 192.168.77.1 || exit 1
	iperf3 -c 192.168.77.1 -t 4 || exit 1
	iperf3 -c 192.168.77.1 -t 4 -R || exit 1
	END
} >"$LAB_WORK/guest.sh"
lab_pf_up
lab_start iperf iperf3 -s
lab_vm a "$LAB_WORK/guest.sh" --net id=net0,pf=eth0,mac=52:54:00:aa:bb:cc
lab_ctl_pid=$LAB_PID
for i in 1 2; do
	lab_wait 100 sh -c "[ \$(grep -c '^guest asks' $LAB_WORK/a.log) = $i ]" || { tail -n 30 "$LAB_WORK/a.log"; lab_fail "start $i"; }
	lab_say a reboot
done
lab_wait 100 sh -c "[ \$(grep -c '^guest asks' $LAB_WORK/a.log) = 3 ]" || lab_fail "third start"
lab_ctl a ports
lab_eq "$(lab_ctl a ports --json | jq -r '.[0].irq')" msix "interrupts of the port"
lab_say a go
LAB_PID=$lab_ctl_pid
lab_done a 200
lab_eq "$(grep -c 'guest mac 52:54:00:aa:bb:cc' "$LAB_WORK/a.log")" 3 "MAC after each start"
lab_match "$LAB_WORK/a.log" "1000 packets transmitted, 1000 packets received" "1,000 pings"
lab_eq "$(grep -c 'receiver' "$LAB_WORK/a.log")" 2 "iperf3 runs"
grep -E 'sender|receiver' "$LAB_WORK/a.log"
