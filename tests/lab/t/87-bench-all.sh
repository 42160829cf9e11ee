#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=3000 manual
#
# "sluice bench all" under the stock kernel, each load of disk and network in all four modes, by counts: every mode has
# a figure for every load, without errors, and a read of 4 KiB costs what is said of its mode. The table goes to the
# log, it and result.json and report.html stay in $LAB_OUT. OPS and RUNS may be set; a round is eight boots.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
OPS=${OPS:-300} RUNS=${RUNS:-4}

# user_exits MODE TEST: exits to user space for each operation, the median of the rounds
user_exits() {
	jq -r --arg t "$2" --arg m "$1" '.tests[] | select(.name == $t) | .columns[] | select(.mode == $m) |
		[.samples[] | (.exits.pio + .exits.mmio) / .ops] | sort | .[(length - 1) / 2 | floor]' "$LAB_OUT/result.json"
}

# at MODE TEST LEAST MOST
at() {
	user_exits "$1" "$2" | awk -v l="$3" -v m="$4" '{ exit !($1 >= l && $1 <= m) }' ||
		lab_fail "$2, $1: $(user_exits "$1" "$2") exits to user space for each operation, $3 to $4 wanted"
}

modprobe -a vfio-pci tun
lab_bench_initrd "$LAB_WORK/initrd"
"$SLUICE" bench all --guest linux --kernel "$(lab_kernel)" --initrd "$LAB_WORK/initrd" --runs "$RUNS" --ops "$OPS" \
	--disk-pf /dev/nvme0 --net-pf eth0 --net-tap tap0 --out "$LAB_OUT" >"$LAB_OUT/table" || lab_fail "sluice bench: status $?"
cat "$LAB_OUT/table"
out=$LAB_OUT/result.json
lab_eq "$(jq '[.tests[].columns[].samples[] | select(.errors > 0)] | length' "$out")" 0 "loads with errors"
jq -r '.tests[] | select(.columns | length != 4) | .name' "$out" >"$LAB_WORK/missing"
[ ! -s "$LAB_WORK/missing" ] || lab_fail "not in all modes: $(tr '\n' ' ' <"$LAB_WORK/missing")"
lab_eq "$(jq '.tests | length' "$out")" 13 "loads"
at emulated disk-read-4k-d1 2 10
at virtio disk-read-4k-d1 0 2
at vhost-user disk-read-4k-d1 0 1
at vfio disk-read-4k-d1 0 0.1
