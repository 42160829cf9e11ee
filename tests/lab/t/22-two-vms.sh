#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=300
#
# Two machines at once, each with a network VF and an NVMe VF of the same two PFs; and a third finds out
# who has the VF it asks for by name.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
lab_cleanup() { lab_pf_down; }

script() {
	lab_guest_net "$1"
	cat <<-END
	echo "guest up"
	read word </dev/console
	ping -q -c 50 -i 0.05 192.168.77.1 || exit 1
	ping -q -c 50 -i 0.05 192.168.77.$2 || exit 1
	echo "guest read \$(dd if=/dev/nvme0n1 bs=64k count=64 2>/dev/null | sha256sum)"
	read word </dev/console
	END
}

script 2 3 >"$LAB_WORK/a.sh"
script 3 2 >"$LAB_WORK/b.sh"
lab_pf_up
sum=$(dd if=/dev/nvme0n1 bs=64k count=64 iflag=direct status=none | sha256sum)
lab_vm a "$LAB_WORK/a.sh" --net id=net0,pf=eth0,mac=52:54:00:00:00:0a --disk id=disk0,pf=/dev/nvme0
a=$LAB_PID
lab_seen a "guest up" 120
lab_vm b "$LAB_WORK/b.sh" --net id=net0,pf=eth0,mac=52:54:00:00:00:0b --disk id=disk0,pf=/dev/nvme0
b=$LAB_PID
lab_seen b "guest up" 120
vf=$(lab_ctl a ports --json | jq -r '.[] | select(.port == "net0").host')
lab_refused 1 "$vf.*in use|$vf.*taken|$vf.*belongs" "$SLUICE" run --kernel "$(lab_kernel)" --memory 256M --net "id=net0,bdf=$vf"
cat "$LAB_WORK/refused.err"
lab_say a go
lab_say b go
lab_seen b "guest read $sum" 60
LAB_PID=$a lab_seen a "guest read $sum" 60
"$SLUICE" vf list
lab_say a end
LAB_PID=$a
lab_done a 60
# the other one is not disturbed by the first one's leaving
lab_ctl b ports >"$LAB_WORK/ports" || lab_fail "machine b is gone"
lab_say b end
LAB_PID=$b
lab_done b 60
