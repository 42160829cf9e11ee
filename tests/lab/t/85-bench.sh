#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=300
#
# "sluice bench": a disk in all four modes under the stock kernel, by counts. What each request costs in exits to
# user space is what the textbook says of the mode; what cannot run is there with the planner's reason.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
TESTS=${TESTS:-disk-read-4k-d1}

bench() {
	"$SLUICE" bench disk --guest linux --kernel "$(lab_kernel)" --initrd "$LAB_WORK/initrd" --runs 1 --ops 200 \
		--only "${TESTS// /,}" --disk-pf /dev/nvme0 --out "$LAB_WORK/$1" "${@:2}" >"$LAB_WORK/$1.log" 2>&1 || {
		tail -n 5 "$LAB_WORK/$1.log"
		lab_fail "sluice bench: status $?"
	}
	out=$LAB_WORK/$1/result.json
}

# user_exits TEST MODE: exits to user space for each request, in hundredths
user_exits() {
	jq -r --arg t "$1" --arg m "$2" '.tests[] | select(.name == $t) | .columns[] | select(.mode == $m) | .samples[0] |
		100 * (.exits.pio + .exits.mmio) / .ops | floor' "$out"
}

modprobe vfio-pci
lab_guest_initrd "$LAB_DIR/../../bench/guest-linux.sh" "$LAB_WORK/initrd"
bench four --modes emulated,virtio,vhost-user,vfio
jq -r '.skipped[]? | "skipped: \(.mode) \(.test) \(.reason)"' "$out"
for t in $TESTS; do
	echo "$t: user-space exits of 100 requests: emulated $(user_exits "$t" emulated), virtio $(user_exits "$t" virtio)," \
		"vhost-user $(user_exits "$t" vhost-user), vfio $(user_exits "$t" vfio)"
done
[ "$(user_exits disk-read-4k-d1 emulated)" -ge 195 ] || lab_fail "emulated: fewer than two exits a read"
for m in virtio vhost-user vfio; do
	[ "$(user_exits disk-read-4k-d1 $m)" -le 20 ] || lab_fail "$m: the VMM is on the way of data"
done
lab_eq "$(jq '[.tests[].columns[].samples[] | select(.errors > 0)] | length' "$out")" 0 "loads with errors"
lab_eq "$(jq -r '[.warnings[] | select(.about == "kvm")][0].level' "$out")" refuse "times of an emulated host"

# the reason, when a mode cannot run
"$SLUICE" bench disk --guest linux --kernel "$(lab_kernel)" --modes vfio --out "$LAB_WORK/none" >"$LAB_WORK/none.log" 2>&1
lab_match "$LAB_WORK/none.log" "vfio under sluice: .*pf= or bdf="
