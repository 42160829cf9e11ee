#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=600
#
# A stock guest on virtio-net over taps: each kind of ring (split and packed, event index and
# indirect descriptors on and off) with 1 and with 4 queues. Ping, a TCP stream there and back that
# comes home unchanged, drivers that go and come, a reboot under traffic; and what a packet costs in
# notifications, interrupts and exits. 64 MiB go over one port
# (NET_BIG=8: over all of both machines), less over the others.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
# shellcheck source=tests/lab/net-matrix.sh
. "$LAB_DIR/net-matrix.sh"
modprobe tun

net_port() { echo "id=net$1,tap=vt$1,mode=virtio,queues=$2,hide=$3"; }
net_dev() { echo "vt$1"; }

guest_rest() {
	cat <<-'END'
	read word </dev/console
	[ "$word" = end ] && exit 0
	modprobe -r virtio_net; modprobe virtio_net || fail "modprobe"; up
	echo "guest reloaded"
	read word </dev/console
	reboot -f
	END
}

# what all queues of a machine have in a counter
queues() { lab_stat "$1" "[.net_queues[].$2] | add"; }
cost() {
	local d=() c
	for c in bufs kicks calls calls_spared errors; do d+=($(($(queues "$2" $c) - $(queues "$1" $c)))); done
	lab_note "$3: ${d[0]} packets, ${d[1]} kicks, ${d[2]} interrupts, ${d[3]} spared, ${d[4]} dropped," \
		"$(($(lab_stat "$2" "$LAB_EXITS") - $(lab_stat "$1" "$LAB_EXITS"))) exits"
}

# matrix QUEUES CPUS: all kinds of ring at once. A guest of four processors takes minutes to boot here,
# so of four pairs two are in use
matrix() {
	local queues=$1 name=q$1
	net_args "$queues"
	{ net_guest "$2"; guest_rest; } >"$LAB_WORK/guest.sh"
	lab_vm "$name" "$LAB_WORK/guest.sh" --cpus "$2" "${NET_ARGS[@]}"
	net_ready "$name"
	lab_note "$queues queues: the guest is up at $(lab_now)"
	lab_settled "$name" "$LAB_WORK/s0"
	ping -q -c 100 -i 0.02 10.71.0.2 | grep transmitted
	lab_settled "$name" "$LAB_WORK/s1"
	cost "$LAB_WORK/s0" "$LAB_WORK/s1" "$queues queues, light load"
	net_streams "$name"
	lab_settled "$name" "$LAB_WORK/s2"
	cost "$LAB_WORK/s1" "$LAB_WORK/s2" "$queues queues, full load"
}

lab_note "at $(lab_now)"
matrix 1 1
lab_say q1 reload
lab_seen q1 "guest (reloaded|FAIL)" 60
pings "after the driver came back"
lab_note "reloaded at $(lab_now)"
ping -q -i 0.01 10.71.0.2 >/dev/null 2>&1 &
flood=$!
lab_say q1 reboot
again() { [ "$(grep -c "guest ready" "$LAB_WORK/q1.log")" -ge 2 ]; }
lab_wait 120 again || lab_fail "the guest did not come back under traffic"
pings "after a reboot"
kill $flood
lab_note "rebooted at $(lab_now)"
lab_ctl q1 quit >/dev/null 2>&1 || kill "$LAB_PID"
lab_wait 30 bash -c "! kill -0 $LAB_PID" || lab_fail "the machine does not end"
[ ! -e /sys/class/net/vt0 ] || lab_fail "the tap is still there"
[ "$NET_BIG" != 1 ] || NET_BIG=0
matrix 4 2
[ "$(lab_stat "$LAB_WORK/s2" '[.net_queues[] | select(.queue > 1 and .queue < 8) | .bufs] | add')" -gt 0 ] ||
	lab_fail "all packets went through one pair of queues"
lab_say q4 end
lab_done q4 60
