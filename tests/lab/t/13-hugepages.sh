#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=150
#
# Guest memory of 2M pages, bound to a node: a stock kernel boots on them, they are taken from the host's
# pool at the start and all back at the end; too few of them are refused with the number.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"

pool=/sys/devices/system/node/node0/hugepages/hugepages-2048kB
free() { cat $pool/free_hugepages; }

before=$(cat $pool/nr_hugepages)
lab_cleanup() { echo "$before" >$pool/nr_hugepages; }
echo 130 >$pool/nr_hugepages
[ "$(free)" -ge 128 ] || lab_skip "no 130 pages of 2M in one piece"
have=$(free)

run=("$SLUICE" run --kernel "$(lab_kernel 6.12 vmlinux)" --initrd "$(lab_guest_min_initrd)"
	--cmdline "console=ttyS0 quiet panic=-1 l2=poweroff $LAB_LEAN")
lab_refused 1 "pages of 2 MiB are needed, $have are free" "${run[@]}" --memory 512M,page=2M,node=0
lab_start vm "${run[@]}" --memory 256M,page=2M,node=0
lab_wait 20 sh -c "[ \$(cat $pool/free_hugepages) = $((have - 128)) ]" || lab_fail "128 pages are not taken: $(free) of $have are free"
lab_end "$LAB_PID" 90
lab_eq "$LAB_STATUS" 0 "exit status"
lab_match "$LAB_WORK/vm.log" "^L2: init" "the guest"
lab_eq "$(free)" "$have" "free pages afterwards"
