#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# The transport under a stock driver, with the entropy device and the console: no kick leaves the
# kernel; drivers come and go, the function is reset, the machine pauses and reboots, and the device
# is there each time.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

cat >"$LAB_WORK/guest.sh" <<'END'
fail() { echo "guest FAIL: $*"; exit 1; }
rng() { [ "$(head -c "$1" /dev/hwrng | wc -c)" = "$1" ] || fail "short read of entropy $2"; }
function_of() { for d in /sys/bus/pci/devices/*; do [ "$(cat "$d/device")" = "$1" ] && echo "${d##*/}"; done; }
[ -e /dev/hwrng ] || modprobe virtio_rng
rng 4096 "at first"
rngdev=$(function_of 0x1044)
[ -n "$rngdev" ] || fail "no entropy device"
vdev=$(basename "/sys/bus/pci/devices/$rngdev"/virtio*)
[ "$(grep -c " $vdev-" /proc/interrupts)" = 2 ] || fail "not two vectors"
echo "guest ready"
read word </dev/console
[ "$word" = reboot-done ] && exit 0
rng 65536 "when counted"
echo "guest counted"
read word </dev/console
for i in $(seq 20); do
	modprobe -r virtio_rng || fail "rmmod $i"
	modprobe virtio_rng || fail "modprobe $i"
	rng 256 "after $i reloads"
done
# all of the function, with its interrupts and BAR, and a function level reset while nobody has it
for i in 1 2 3; do
	echo "$rngdev" >/sys/bus/pci/drivers/virtio-pci/unbind || fail "unbind $i"
	echo 1 >"/sys/bus/pci/devices/$rngdev/reset" || fail "reset $i"
	echo "$rngdev" >/sys/bus/pci/drivers/virtio-pci/bind || fail "bind $i"
	rng 256 "after reset $i"
done
echo "hello from the guest" >/dev/hvc0 || fail "console"
echo "guest reads"
for i in $(seq 20); do rng 8192 "round $i"; done
echo "guest has read"
read word </dev/console
reboot -f
END

# a guest that failed is gone, and would leave the next lab_say without a reader
stage() {
	lab_seen a "guest ($1|FAIL)" "$2"
	lab_no_match "$LAB_WORK/a.log" "guest FAIL"
}

counted() { lab_stat "$1" '[.regions[] | select(.name | startswith("rng0")) | .pages[]? | select(.page == 3) | .reads + .writes] | add // 0'; }

lab_vm a "$LAB_WORK/guest.sh" --rng --console "file=$LAB_WORK/console"
stage "ready" 120
lab_settled a "$LAB_WORK/s0"
lab_say a go
stage "counted" 60
lab_settled a "$LAB_WORK/s1"
exits=$(($(lab_stat "$LAB_WORK/s1" "$LAB_EXITS") - $(lab_stat "$LAB_WORK/s0" "$LAB_EXITS")))
lab_note "$exits exits to user space over 1024 requests and as many interrupts"
lab_eq "$exits" 0 "exits to user space on the path of data"
lab_eq "$(counted "$LAB_WORK/s1")" 0 "notifications that were trapped"
lab_say a go
stage "reads" 100
for i in 1 2 3 4 5; do
	lab_ctl a pause >/dev/null || lab_fail "pause $i"
	sleep 0.1
	lab_ctl a resume >/dev/null || lab_fail "resume $i"
	sleep 0.1
done
stage "has read" 60
lab_match "$LAB_WORK/console" "hello from the guest"
boots() { [ "$(grep -c "guest ready" "$LAB_WORK/a.log")" -ge 2 ]; }
lab_say a go
lab_wait 120 boots || lab_fail "the guest did not come back"
lab_say a reboot-done
lab_done a 60
lab_no_match "$LAB_WORK/a.log" "guest FAIL"
