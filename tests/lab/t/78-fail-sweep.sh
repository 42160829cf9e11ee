#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=600
#
# sluice run with one call to the kernel failing, on ports that have a way out: it comes up all the same or ends
# with status 1 and a message, and the host is as before. Every 200th call is tried; the argument is another stride.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
fail=${SLUICE%/cmd/sluice}/tests/crash/sluice-fail
guest=${SLUICE%/cmd/sluice}/tests/guest/poweroff.elf
{ [ -x "$fail" ] && [ -f "$guest" ]; } || lab_skip "no sluice-fail or no payload in this build"
modprobe -a vfio-pci tun
stride=${1:-200}

state() { bash "$LAB_DIR/l1-state" >"$LAB_WORK/$1"; }
same() { state after && cmp -s "$LAB_WORK/before" "$LAB_WORK/after"; }
vm() {
	timeout 90 "$fail" run --kernel "$guest" --memory 64M --serial null --name fail \
		--net id=net0,pf=eth0,mac=52:54:00:aa:bb:cc,vlan=7,tap=tap0 \
		--disk id=disk0,pf=/dev/nvme0,path=null:1G </dev/null >"$LAB_WORK/out" 2>&1
}

state before
SLUICE_FAIL_COUNT=$LAB_WORK/count vm || { cat "$LAB_WORK/out"; lab_fail "without a failure"; }
calls=$(cat "$LAB_WORK/count")
[ "$calls" -gt 500 ] || lab_fail "only $calls calls"
fell=0 ended=0
for ((n = 1; n <= calls; n += stride)); do
	SLUICE_FAIL_AT=$n vm
	status=$?
	case $status in
	0) ! grep -q 'comes up in mode virtio' "$LAB_WORK/out" || fell=$((fell + 1)) ;;
	1) ended=$((ended + 1)); grep -q '^sluice: ' "$LAB_WORK/out" || lab_fail "call $n: no message" ;;
	*) cat "$LAB_WORK/out"; lab_fail "call $n: status $status" ;;
	esac
	# what could not be undone because the call that failed was one of the undoing
	"$SLUICE" vf restore >"$LAB_WORK/restore" 2>&1 || { cat "$LAB_WORK/restore"; lab_fail "call $n: vf restore"; }
	lab_wait 20 same || { diff "$LAB_WORK/before" "$LAB_WORK/after"; cat "$LAB_WORK/out"; lab_fail "call $n: the host is not as before"; }
done
lab_note "$calls calls, every ${stride}th failed: $ended runs ended, $fell fell back to virtio"
[ $fell -gt 0 ] || lab_fail "nothing fell back: the sweep did not hit what it should"
