#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=250
#
# The control socket of a running machine: pause stands it still and resume lets it go on, powerdown is a
# power button that a stock guest hears, SIGTERM is the same, quit ends the run, and all of it gives the host back.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

cat >"$LAB_WORK/guest.sh" <<-'END'
	modprobe -a button evdev
	(while :; do echo tick; sleep 0.2; done) &
	# the power button: the first event of its input device is the key
	for e in /sys/class/input/event*; do
		grep -q "Power Button" "$e/device/name" && dev=/dev/input/${e##*/}
	done
	echo "guest listens to $dev"
	dd if="$dev" bs=24 count=1 2>/dev/null | hexdump -v | head -n 2
	echo "guest heard the button"
END

ticks() { grep -c '^tick' "$LAB_WORK/$1.log"; }

lab_vm a "$LAB_WORK/guest.sh" --cpus 2 --net id=net0,pf=eth0
lab_seen a "guest listens" 150
lab_ctl a pause || lab_fail "pause"
lab_refused 1 "paused already" "$SLUICE" ctl "$LAB_WORK/a.sock" pause
sleep 0.5
n=$(ticks a)
sleep 1.5
lab_eq "$(ticks a)" "$n" "lines that a paused guest prints"
lab_eq "$(lab_ctl a stat --json | jq -r .state)" paused "state"
lab_ctl a resume || lab_fail "resume"
lab_wait 30 sh -c "[ \$(grep -c '^tick' $LAB_WORK/a.log) -gt $n ]" || lab_fail "the guest does not go on"
lab_ctl a powerdown || lab_fail "powerdown"
lab_seen a "guest heard the button" 30
lab_done a 60

lab_vm b "$LAB_WORK/guest.sh"
lab_seen b "guest listens" 150
kill -TERM "$LAB_PID"
lab_seen b "guest heard the button" 30
lab_done b 60

# a guest that does not listen: the second SIGTERM stops it
echo 'echo "guest is deaf"; sleep 1000' >"$LAB_WORK/deaf.sh"
lab_vm c "$LAB_WORK/deaf.sh" --net id=net0,pf=eth0
lab_seen c "guest is deaf" 150
kill -TERM "$LAB_PID"
sleep 1
kill -0 "$LAB_PID" || lab_fail "one SIGTERM ended a guest that did not listen"
kill -TERM "$LAB_PID"
lab_end "$LAB_PID" 20
lab_note "stopped by a second SIGTERM: status $LAB_STATUS"

lab_vm d "$LAB_WORK/deaf.sh"
lab_seen d "guest is deaf" 150
lab_ctl d quit || lab_fail "quit"
lab_end "$LAB_PID" 20
lab_eq "$LAB_STATUS" 0 "status after quit"
lab_refused 1 "$LAB_WORK/d.sock" "$SLUICE" ctl "$LAB_WORK/d.sock" stat
