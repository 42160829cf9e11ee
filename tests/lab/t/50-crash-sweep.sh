#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=900
#
# sluice run is killed before each call that changes the host or the journal, on its way up and down;
# each time `sluice vf restore` must bring back the state from before. Every fifth step is tried, since all of
# them take half an hour; `tests/lab/lab run --timeout 3600 bash tests/lab/t/50-crash-sweep.sh 1` tries all.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
crash=${SLUICE%/cmd/sluice}/tests/crash/sluice-crash
guest=${SLUICE%/cmd/sluice}/tests/guest/poweroff.elf
{ [ -x "$crash" ] && [ -f "$guest" ]; } || lab_skip "no sluice-crash or no payload in this build"
modprobe vfio-pci
stride=${1:-5}

state() { bash "$LAB_DIR/l1-state" >"$LAB_WORK/$1"; }
# The NIC's link comes back some seconds after its number of VFs has changed.
same() { state after && cmp -s "$LAB_WORK/before" "$LAB_WORK/after"; }

vm() {
	timeout 60 "$crash" run --kernel "$guest" --memory 64M --serial null --name crash \
		--net id=net0,pf=eth0,mac=52:54:00:aa:bb:cc,vlan=7,trust=on --disk id=disk0,pf=/dev/nvme0 </dev/null
}

state before
SLUICE_CRASH_LIST=1 vm 2>"$LAB_WORK/steps"
status=$?
steps=$(grep -c '^crash: step' "$LAB_WORK/steps")
[ $status = 0 ] || { tail -n 5 "$LAB_WORK/steps"; lab_fail "status $status without a crash"; }
[ "$steps" -gt 20 ] || lab_fail "only $steps steps"
lab_wait 20 same || diff "$LAB_WORK/before" "$LAB_WORK/after" || lab_fail "a run without a crash leaves something behind"
lab_note "$steps steps, every ${stride}th is tried"

left=0
for ((n = 1; n <= steps; n += stride)); do
	SLUICE_CRASH_AT=$n vm >/dev/null 2>"$LAB_WORK/crash.log"
	status=$?
	# The number of waits differs from run to run, so the last steps may not come.
	[ $status = 137 ] || [ $n -gt $((steps - 10)) ] || lab_fail "step $n: status $status, wanted 137"
	[ -z "$(find /run/sluice -name '*.journal' -size +0 2>/dev/null)" ] || left=$((left + 1))
	"$SLUICE" vf restore >"$LAB_WORK/restore.log" 2>&1 || {
		cat "$LAB_WORK/restore.log"
		lab_fail "vf restore after $(sed -n "${n}p" "$LAB_WORK/steps")"
	}
	lab_wait 20 same || diff "$LAB_WORK/before" "$LAB_WORK/after" ||
		lab_fail "after a crash before $(sed -n "${n}p" "$LAB_WORK/steps")"
done
[ $left -gt 0 ] || lab_fail "no crash left a journal: the sweep did not hit what it should"
lab_note "$left crashes left a journal; all were restored"
