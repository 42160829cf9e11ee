# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Helpers for tests that run machines with sluice. Source lib.sh first.
: "${SLUICE:?is set by tests/lab/lab}"

# lab_vm NAME SCRIPT ARG...: starts "sluice run" with a guest that runs SCRIPT. Serial output in
# $LAB_WORK/NAME.log, input from lab_say, control socket $LAB_WORK/NAME.sock, its process in LAB_PID.
# LAB_GUEST chooses the guest's kernel (default L1's), LAB_CMDLINE adds words to its command line.
lab_vm() {
	local name=$1 script=$2 kernel=${LAB_GUEST:-$LAB_KERNEL} tty
	shift 2
	lab_guest_initrd "$script" "$LAB_WORK/$name.initrd" "$kernel"
	mkfifo "$LAB_WORK/$name.tty" 2>/dev/null
	# both ends, so that neither the open nor a guest that reads ever sees an end of file
	exec {tty}<>"$LAB_WORK/$name.tty"
	"$SLUICE" run --name "$name" --kernel "$(lab_kernel "$kernel")" --initrd "$LAB_WORK/$name.initrd" \
		--cmdline "console=ttyS0 quiet panic=-1 ${LAB_CMDLINE:-}" --memory "${LAB_VM_MEMORY:-256M}" \
		--control "$LAB_WORK/$name.sock" --stats "$LAB_WORK/$name.stats" "$@" \
		<&$tty >"$LAB_WORK/$name.log" 2>&1 &
	LAB_PID=$!
	exec {tty}>&-
	LAB_CHILDREN+=("$LAB_PID")
}

# lab_say NAME WORD: a line typed on the guest's serial console
lab_say() { echo "$2" >"$LAB_WORK/$1.tty"; }

# lab_seen NAME REGEX SECONDS: waits until the guest printed a line that matches
lab_seen() { lab_wait_line "$LAB_WORK/$1.log" "$2" "$3" "$LAB_PID"; }

# lab_done NAME SECONDS: the guest's script ended with status 0 and the machine with 0
lab_done() {
	lab_end "$LAB_PID" "$2"
	lab_eq "$LAB_STATUS" 0 "exit status of machine $1 ($(tail -n 3 "$LAB_WORK/$1.log"))"
	lab_match "$LAB_WORK/$1.log" "^L2: done 0" "guest $1"
}

lab_ctl() { "$SLUICE" ctl "$LAB_WORK/$1.sock" "${@:2}"; }

# lab_stat FILE JQ-EXPRESSION: a number out of an answer of "ctl stat --json"
lab_stat() { jq -r "$2" "$1"; }

# what user space was left for, without the serial console the test itself talks over
LAB_EXITS='(.exits.pio + .exits.mmio) - ([.regions[] | select(.name | startswith("serial")) | .reads + .writes] | add)'

# lab_settled NAME FILE: "ctl stat" of a machine whose guest waits for a line: the serial console may still
# be finishing what it printed, and a reading takes the counters one after the other
lab_settled() {
	local i before="" now
	for ((i = 0; i < 50; i++)); do
		lab_ctl "$1" stat --json >"$2"
		now=$(lab_stat "$2" '.exits.pio + .exits.mmio')
		[ "$now" != "$before" ] || return 0
		before=$now
		sleep 0.2
	done
	lab_fail "the exits of guest $1 do not settle"
}

# the address of L1 on the wire of PF eth0
lab_pf_up() {
	ip addr add 192.168.77.1/24 dev eth0
	lab_wait 20 grep -q 1 /sys/class/net/eth0/carrier || lab_fail "eth0 has no carrier"
}

lab_pf_down() { ip addr flush dev eth0; }

# the same address on the host's end of a guest's tap0; who calls it removes tap0 at the end
lab_tap() {
	modprobe tun
	ip tuntap add tap0 mode tap || lab_fail "no tap interface"
	ip addr add 192.168.77.1/24 dev tap0
	ip link set tap0 up
}

# a guest's part of either: address 192.168.77.$1
lab_guest_net() {
	cat <<-END
	ip addr add 192.168.77.$1/24 dev eth0
	ip link set eth0 up
	for i in \$(seq 100); do [ "\$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = 1 ] && break; sleep 0.1; done
	# the first packets go with the switch's learning and with ARP
	for i in \$(seq 50); do ping -c 1 -W 1 192.168.77.1 >/dev/null && break; done
	END
}

# lab_vhostd ARG...: starts the back end, with one loop and no huge pages; its process in LAB_BACKEND, its log in
# $LAB_WORK/vhostd.log, its control socket $LAB_WORK/s/ctl, other sockets belong in $LAB_WORK/s. LAB_PID stays.
lab_vhostd() {
	local vm=${LAB_PID:-} vhostd=${SLUICE%/cmd/sluice}/virtio/vhostd/sluice-vhostd
	[ -x "$vhostd" ] || lab_skip "sluice-vhostd is not built: DPDK is missing"
	mkdir -p -m 700 "$LAB_WORK/s"
	export XDG_RUNTIME_DIR=$LAB_WORK # DPDK keeps its runtime files here
	: >"$LAB_WORK/vhostd.log" # what the last one said is not this one's
	lab_start vhostd "$vhostd" --no-huge --memory 96 --mbufs 4096 --lcores 1 --control "$LAB_WORK/s/ctl" "$@"
	LAB_BACKEND=$LAB_PID
	LAB_PID=$vm
}

lab_vhostd_ready() { lab_wait_line "$LAB_WORK/vhostd.log" "ready: " 60 "$LAB_BACKEND"; }

lab_vhostd_kill() {
	kill -9 "$LAB_BACKEND"
	wait "$LAB_BACKEND" 2>/dev/null
}

lab_vhostd_ask() { "$SLUICE" ctl "$LAB_WORK/s/ctl" "$@"; }

# lab_port_state NAME PORT: in the words of "ctl ports"
lab_port_state() { lab_ctl "$1" ports --json | jq -r ".[] | select(.port == \"$2\") | .state"; }
lab_port_is() { [[ "$(lab_port_state "$1" "$2")" == "$3"* ]]; }
