#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=200
#
# sluice-vhostd polls a VF of eth0 with DPDK's own igb driver; a station behind another of its ports (a tap in a network
# namespace) reaches the PF through it.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"

VHOSTD=$(dirname "$SLUICE")/../virtio/vhostd/sluice-vhostd
[ -x "$VHOSTD" ] || lab_skip "sluice-vhostd is not built"
igb=$(lab_bdf_of_net eth0)
lab_cleanup() {
	ip netns del g 2>/dev/null
	ip addr flush dev eth0
	lab_no_vfs "$igb"
}

ip link set eth0 up
lab_vfs "$igb" 1
vf=$(lab_vf "$igb" 0)
ip link set eth0 vf 0 mac 02:00:00:00:00:77
ip link set eth0 vf 0 spoofchk off
lab_bind "$vf" vfio-pci
modprobe tun
ip addr add 10.77.0.1/24 dev eth0
ulimit -l unlimited
lab_start vhostd "$VHOSTD" --no-huge --memory 96 --mbufs 4096 --lcores 1 --control "$LAB_WORK/control" \
	--port "name=vf,pci=$vf,flood=0" --port "name=t,vdev=net_tap0,,iface=vt0,flood=0"
lab_wait_line "$LAB_WORK/vhostd.log" "ready: 1 poll loop" 60 "$LAB_PID"
ip netns add g
ip link set vt0 netns g
ip -n g link set vt0 address 02:00:00:00:00:77
ip -n g addr add 10.77.0.2/24 dev vt0
ip -n g link set vt0 up
ip netns exec g ping -q -c 50 -i 0.05 -W 5 10.77.0.1 >"$LAB_WORK/ping.log"
"$SLUICE" ctl "$LAB_WORK/control" ports
"$SLUICE" ctl "$LAB_WORK/control" macs
lab_match "$LAB_WORK/ping.log" " 0% packet loss" "pings through the VF"
lab_eq "$("$SLUICE" ctl --json "$LAB_WORK/control" macs | jq -r '.[] | select(.mac == "02:00:00:00:00:77") | .port')" t "the station's port"
"$SLUICE" ctl "$LAB_WORK/control" quit
wait "$LAB_PID" || lab_fail "sluice-vhostd ended with $?"
