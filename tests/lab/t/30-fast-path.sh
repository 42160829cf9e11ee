#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# The fast path is free of the VMM: over 10,000 packets and 10,000 reads on VFs, no exit to user space
# and no trapped access, but for writes to MSI-X mask bits, which are counted; and the DMA map is made
# of as many ioctls as there are pieces of RAM.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
lab_cleanup() { lab_pf_down; }

{
	lab_guest_net 2
	cat <<-'END'
	echo "guest ready"
	read word </dev/console
	ping -q -c 5000 -i 0.002 192.168.77.1 || exit 1
	echo "guest sent"
	read word </dev/console
	dd if=/dev/nvme0n1 of=/dev/null bs=4k count=10000 iflag=direct || exit 1
	echo "guest has read"
	read word </dev/console
	END
} >"$LAB_WORK/guest.sh"

# delta BEFORE AFTER EXPRESSION
delta() { echo $(($(lab_stat "$2" "$3") - $(lab_stat "$1" "$3"))); }

check() {
	local exits trapped masks
	exits=$(delta "$1" "$2" "$LAB_EXITS")
	trapped=$(delta "$1" "$2" '[.ports[] | .bar_reads + .bar_writes + .config_reads + .config_writes] | add')
	masks=$(delta "$1" "$2" '[.ports[] | .mask_writes] | add')
	lab_note "$3: $exits exits to user space, $trapped trapped accesses of which $masks MSI-X mask writes"
	lab_eq "$((exits - masks))" 0 "exits to user space during $3"
	lab_eq "$((trapped - masks))" 0 "trapped accesses during $3"
}

lab_pf_up
lab_vm a "$LAB_WORK/guest.sh" --net id=net0,pf=eth0,mac=52:54:00:aa:bb:cc --disk id=disk0,pf=/dev/nvme0
lab_seen a "guest ready" 120
lab_settled a "$LAB_WORK/s0"
lab_say a go
lab_seen a "guest sent" 200
lab_settled a "$LAB_WORK/s1"
lab_say a go
lab_seen a "guest has read" 200
lab_settled a "$LAB_WORK/s2"
lab_ctl a dma
lab_ctl a dma --json >"$LAB_WORK/dma"
lab_ctl a stat
lab_say a go
lab_done a 60
# what this is about is exits; an emulated machine on a busy host may lose a packet
received=$(sed -n 's/.*5000 packets transmitted, \([0-9]*\) packets received.*/\1/p' "$LAB_WORK/a.log")
lab_note "${received:-no} of 5000 pings answered"
[ "${received:-0}" -ge 4950 ] || lab_fail "only ${received:-0} of 5000 pings were answered"
check "$LAB_WORK/s0" "$LAB_WORK/s1" "10,000 packets"
check "$LAB_WORK/s1" "$LAB_WORK/s2" "10,000 reads"
maps=$(lab_stat "$LAB_WORK/s2" .dma.map_ioctls)
lab_note "$maps DMA map calls for $(jq length "$LAB_WORK/dma") pieces of RAM"
[ "$maps" -le "$(jq length "$LAB_WORK/dma")" ] || lab_fail "more DMA map calls than pieces of RAM"
[ "$maps" -gt 0 ] || lab_fail "nothing was mapped"
