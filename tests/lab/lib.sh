# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Helpers for what runs inside L1: lab tests, the demo, the benchmarks. Source it:
#
#     . "$LAB_DIR/lib.sh"
#
# Given by the lab: LAB_DIR (this folder), LAB_REPO, LAB_CACHE, LAB_KERNEL (L1's: 6.1 or 6.12), LAB_OUT
# (what is left there stays on the host), SLUICE (the program under test). From here: LAB_WORK, a
# directory that goes away with the test. A test ends by its exit status: 0, 77 (skipped), else failed.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
: "${LAB_DIR:?is set by tests/lab/lab}"

LAB_PCI=/sys/bus/pci/devices
LAB_WORK=$(mktemp -d /run/lab-work.XXXXXX)
LAB_CHILDREN=()

# ---- verdicts -------------------------------------------------------------------------------

lab_note() { echo "# $*"; }
lab_fail() { echo "FAIL: $*"; exit 1; }
lab_skip() { echo "SKIP: $*"; exit 77; }

# lab_eq GOT WANTED WHAT
lab_eq() { [ "$1" = "$2" ] || lab_fail "$3: '$1', wanted '$2'"; }

# lab_match FILE REGEX [WHAT]: some line of FILE matches
lab_match() {
	grep -Eq -- "$2" "$1" && return
	tail -n 30 "$1"
	lab_fail "${3:-$1}: no line matches '$2'"
}

lab_no_match() {
	if grep -E -- "$2" "$1"; then
		lab_fail "${3:-$1}: a line matches '$2'"
	fi
}

# lab_status WANTED COMMAND...: the exit status of a command
lab_status() {
	local want=$1 got
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || lab_fail "status $got, wanted $want: $*"
}

# lab_refused STATUS REGEX COMMAND...: bad input is refused with this status, and with one clear
# line on stderr that matches. The output is in $LAB_WORK/refused.*
lab_refused() {
	local want=$1 regex=$2 got
	shift 2
	timeout 60 "$@" </dev/null >"$LAB_WORK/refused.out" 2>"$LAB_WORK/refused.err"
	got=$?
	[ "$got" = "$want" ] || tail -n 5 "$LAB_WORK/refused.err"
	lab_eq "$got" "$want" "exit status of $*"
	lab_match "$LAB_WORK/refused.err" "$regex" "message of $*"
}

# lab_expect_dmesg REGEX: the kernel may say this during the test
lab_expect_dmesg() { echo "$1" >>"${LAB_EXPECT:-/dev/null}"; }

# lab_expect_state REGEX: these lines of l1-state may differ after the test
lab_expect_state() { echo "$1" >>"${LAB_EXPECT_STATE:-/dev/null}"; }

# ---- time and processes -----------------------------------------------------------------------

lab_now() { awk '{ print $1 }' /proc/uptime; }

# A wait was in vain. An emulated machine loses an interrupt or stands still now and then: the runner gives a test
# that fails after this another L1, once.
lab_in_vain() { echo "$*" >>"${LAB_LATE:-/dev/null}"; }

# lab_wait SECONDS COMMAND...: until it succeeds; status 1 when it never does
lab_wait() {
	local limit=$1 end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			lab_in_vain "$limit s for $*"
			return 1
		fi
		sleep 0.1
	done
}

# lab_wait_line FILE REGEX SECONDS [PID]: until a line matches; fails at once when PID is gone
lab_wait_line() {
	local end=$((SECONDS + $3))
	until grep -Eqs -- "$2" "$1"; do
		if [ -n "${4:-}" ] && ! kill -0 "$4" 2>/dev/null; then
			grep -Eqs -- "$2" "$1" && return
			tail -n 40 "$1"
			lab_fail "process $4 ended before '$2' came in $1"
		fi
		if [ $SECONDS -ge $end ]; then
			tail -n 40 "$1"
			lab_in_vain "$3 s for '$2'"
			lab_fail "no '$2' in $1 within $3 s"
		fi
		sleep 0.2
	done
}

# lab_start NAME COMMAND...: in the background, output in $LAB_WORK/NAME.log; its id is in LAB_PID.
# It is killed when the test ends.
lab_start() {
	local name=$1
	shift
	"$@" </dev/null >"$LAB_WORK/$name.log" 2>&1 &
	LAB_PID=$!
	LAB_CHILDREN+=("$LAB_PID")
}

# lab_end PID SECONDS: waits for a process of lab_start; its exit status is in LAB_STATUS
lab_end() {
	local end=$((SECONDS + $2))
	while kill -0 "$1" 2>/dev/null; do
		if [ $SECONDS -ge $end ]; then
			lab_in_vain "$2 s for the end of a process"
			lab_fail "process $1 still runs after $2 s"
		fi
		sleep 0.1
	done
	wait "$1"
	# shellcheck disable=SC2034 # for the caller
	LAB_STATUS=$?
}

lab_at_exit() {
	local status=$? p
	for p in ${LAB_CHILDREN[@]+"${LAB_CHILDREN[@]}"}; do
		kill -9 "$p" 2>/dev/null && wait "$p" 2>/dev/null
	done
	if declare -F lab_cleanup >/dev/null; then
		lab_cleanup
	fi
	if [ $status != 0 ] && [ $status != 77 ] && [ -n "${LAB_KEEP_LOGS:-}" ]; then
		mkdir -p "$LAB_KEEP_LOGS"
		cp -r "$LAB_WORK"/*.log "$LAB_KEEP_LOGS/" 2>/dev/null
	fi
	rm -rf "$LAB_WORK"
	exit $status
}
trap lab_at_exit EXIT
trap 'exit 143' TERM

# ---- guests -----------------------------------------------------------------------------------

# lab_kernel [6.1|6.12] [vmlinuz|vmlinux]: prints the path of a guest kernel
# shellcheck disable=SC2120
lab_kernel() { echo "$LAB_CACHE/${1:-$LAB_KERNEL}/${2:-vmlinuz}"; }

# lab_guest_initrd SCRIPT OUT [6.1|6.12]: the guest's RAM disk, which runs SCRIPT (busybox sh), says
# "L2: init" first and "L2: done STATUS" last, and powers off
lab_guest_initrd() {
	local dir
	dir=$(mktemp -d "$LAB_WORK/initrd.XXXXXX")
	cp "$1" "$dir/test.sh"
	{
		cat "$LAB_CACHE/${3:-$LAB_KERNEL}/guest.cpio"
		(cd "$dir" && echo test.sh | cpio --quiet -R 0:0 -o -H newc)
	} >"$2"
	rm -rf "$dir"
}

# lab_bench_initrd OUT: that of "sluice bench --guest linux"
lab_bench_initrd() {
	local dir
	lab_guest_initrd "$LAB_REPO/bench/guest-linux.sh" "$1"
	dir=$(mktemp -d "$LAB_WORK/initrd.XXXXXX")
	install -D "$(dirname "$SLUICE")/../bench/netload" "$dir/bin/netload"
	(cd "$dir" && echo bin/netload | cpio --quiet -R 0:0 -o -H newc) >>"$1"
	rm -rf "$dir"
}

# lab_guest_min_initrd: prints the path of the smallest one. It says "L2: init" and ends as l2= on the
# kernel command line says: poweroff (default), reboot, halt, panic; "l2=reboot reboot=t" triple faults
lab_guest_min_initrd() { echo "$LAB_CACHE/min.cpio"; }

# ---- VFs by hand: for the yardsticks, and for tests of what sluice finds ------------------------

lab_bdf_of_net() { basename "$(readlink -f "/sys/class/net/$1/device")"; }
lab_bdf_of_nvme() { basename "$(readlink -f "/sys/class/nvme/${1##*/}/device")"; }
lab_driver() { basename "$(readlink "$LAB_PCI/$1/driver" 2>/dev/null || echo none)"; }
lab_vf() { basename "$(readlink "$LAB_PCI/$1/virtfn$2")"; }

# lab_vfs PF-BDF N [AUTOPROBE]
lab_vfs() {
	echo "${3:-0}" >"$LAB_PCI/$1/sriov_drivers_autoprobe"
	echo "$2" >"$LAB_PCI/$1/sriov_numvfs"
}

lab_no_vfs() { lab_vfs "$1" 0 1; }

# lab_bind BDF DRIVER ("" gives the function back to whatever claims it)
lab_bind() {
	[ ! -e "$LAB_PCI/$1/driver" ] || echo "$1" >"$LAB_PCI/$1/driver/unbind"
	echo "$2" >"$LAB_PCI/$1/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ -z "$2" ] || lab_eq "$(lab_driver "$1")" "$2" "driver of $1"
}

# lab_nvme_online /dev/nvmeN CNTLID VF-BDF: gives a secondary controller its resources
lab_nvme_online() {
	nvme virt-mgmt "$1" -c "$2" -r 0 -n 2 -a 8 >/dev/null || lab_fail "no VQ resources for controller $2"
	nvme virt-mgmt "$1" -c "$2" -r 1 -n 1 -a 8 >/dev/null || lab_fail "no VI resources for controller $2"
	echo 1 >"$LAB_PCI/$3/reset"
	nvme virt-mgmt "$1" -c "$2" -a 9 >/dev/null || lab_fail "controller $2 does not go online"
}

lab_nvme_offline() {
	nvme virt-mgmt "$1" -c "$2" -a 7 >/dev/null
	nvme virt-mgmt "$1" -c "$2" -r 0 -n 0 -a 8 >/dev/null
	nvme virt-mgmt "$1" -c "$2" -r 1 -n 0 -a 8 >/dev/null
}

# lab_qemu KERNEL INITRD CMDLINE MEMORY [ARG]...: the command line of the native peer, in LAB_QEMU
lab_qemu() {
	# shellcheck disable=SC2034 # for the caller
	LAB_QEMU=(qemu-system-x86_64 -accel kvm -cpu host -M q35 -nodefaults -no-user-config -no-reboot
		-display none -monitor none -serial stdio -m "$4" -kernel "$1" -initrd "$2" -append "$3" "${@:5}")
}
