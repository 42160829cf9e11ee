#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=200
#
# A guest that reboots comes back and may power off afterwards; one that panics is told as crashed.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

cat >"$LAB_WORK/guest.sh" <<-'END'
	echo "guest asks"
	read word </dev/console
	case $word in
	reboot) reboot -f ;;
	panic) modprobe pvpanic-mmio; echo c >/proc/sysrq-trigger ;;
	esac
END
lab_vm a "$LAB_WORK/guest.sh" --cpus 2
for i in 1 2; do
	lab_seen a "guest asks" 60
	lab_eq "$(grep -c "^L2: init" "$LAB_WORK/a.log")" $i "starts of the guest"
	: >"$LAB_WORK/seen"
	lab_say a reboot
	lab_wait 60 sh -c "[ \$(grep -c '^guest asks' $LAB_WORK/a.log) = $((i + 1)) ]" || lab_fail "reboot $i does not come back"
done
lab_eq "$(lab_ctl a stat --json | jq .resets)" 2 "resets that stat counts"
lab_say a poweroff
lab_done a 30

lab_vm b "$LAB_WORK/guest.sh"
lab_seen b "guest asks" 60
lab_say b panic
lab_end "$LAB_PID" 30
lab_eq "$LAB_STATUS" 3 "exit status after a panic"
lab_match "$LAB_WORK/b.log" "panic" "what is said of a panic"
