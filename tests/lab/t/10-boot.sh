#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# Stock Debian kernels reach user space and end: both kernels, both images, 1 and 2 vCPUs.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"

# boot KERNEL IMAGE CPUS END STATUS [ARG]...
boot() {
	local log=$LAB_WORK/$1-$2-$3.log got
	timeout 100 "$SLUICE" run --kernel "$(lab_kernel "$1" "$2")" --initrd "$(lab_guest_min_initrd)" --cpus "$3" \
		--memory 256M --cmdline "console=ttyS0 quiet panic=-1 $4" "${@:6}" </dev/null >"$log" 2>&1
	got=$?
	lab_note "$1 $2, $3 vCPUs, $4: status $got at $(lab_now) s"
	[ $got = "$5" ] || tail -n 20 "$log"
	lab_eq "$got" "$5" "exit status"
	lab_match "$log" "^L2: init" "$1 $2"
}

# comes_back KERNEL IMAGE CPUS: reboot -f, and up again, from the same files; 11 does it with vmlinux and a login
comes_back() {
	local name=$1-$2-$3-again
	lab_start "$name" "$SLUICE" run --kernel "$(lab_kernel "$1" "$2")" --initrd "$(lab_guest_min_initrd)" --cpus "$3" \
		--memory 256M --cmdline "console=ttyS0 quiet panic=-1 l2=reboot" --control "$LAB_WORK/$name.sock"
	lab_wait 90 sh -c "[ \$(grep -c '^L2: init' $LAB_WORK/$name.log) -ge 2 ]" || {
		tail -n 20 "$LAB_WORK/$name.log"
		lab_fail "$1 $2 does not come back from a reboot"
	}
	lab_status 0 "$SLUICE" ctl "$LAB_WORK/$name.sock" quit
	lab_end "$LAB_PID" 30
	lab_eq "$LAB_STATUS" 0 "exit status of $name"
	lab_note "$1 $2, $3 vCPUs, came back at $(lab_now) s"
}

for kernel in 6.1 6.12; do
	for image in vmlinuz vmlinux; do
		for cpus in 1 2; do
			boot $kernel $image $cpus l2=poweroff 0
		done
	done
done
comes_back 6.1 vmlinuz 1
comes_back 6.12 vmlinuz 2
boot 6.12 vmlinux 2 l2=reboot 4 --no-reboot
boot 6.12 vmlinux 1 "l2=reboot reboot=t" 3
lab_match "$LAB_WORK/6.12-vmlinux-1.log" "triple fault"
