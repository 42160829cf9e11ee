#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=250
#
# The guest resets its VF (FLR) and goes on using it; then the host takes the VF back: the unbind
# does not hang, the guest sees a device that has gone, and the machine lives on.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

lab_cleanup() { lab_pf_down; }

{
	lab_guest_net 2
	cat <<-'END'
	f=$(readlink -f /sys/class/net/eth0/device)
	ping -c 3 -i 0.2 192.168.77.1 || exit 1
	# igbvf asks the PF to let it send again only when it probes
	echo "${f##*/}" >/sys/bus/pci/drivers/igbvf/unbind
	echo 1 >"$f/reset" || exit 2
	echo "${f##*/}" >/sys/bus/pci/drivers/igbvf/bind || exit 3
	END
	lab_guest_net 2
	cat <<-'END'
	ping -c 3 -i 0.2 192.168.77.1 || exit 4
	echo "guest after reset"
	read word </dev/console
	echo "guest sees $(hexdump -n 4 -e '4/1 "%02x"' "$f/config")"
	END
} >"$LAB_WORK/guest.sh"
lab_pf_up
lab_vm a "$LAB_WORK/guest.sh" --net id=net0,pf=eth0,mac=52:54:00:aa:bb:cc
lab_seen a "guest after reset" 150
vf=$(lab_ctl a ports --json | jq -r '.[0].host')
lab_eq "$(lab_ctl a ports --json | jq -r '.[0].state')" ok "state of the port"
lab_status 0 timeout 30 sh -c "echo $vf >/sys/bus/pci/drivers/vfio-pci/unbind"
lab_eq "$(lab_ctl a ports --json | jq -r '.[0].state')" gone "state of the port after the unbind"
lab_match <(lab_ctl a ports --json | jq -r '.[0].event') "wanted back by the host" "event of the port"
lab_say a go
lab_done a 60
lab_match "$LAB_WORK/a.log" "guest sees ffffffff" "config space of a device that has gone"
