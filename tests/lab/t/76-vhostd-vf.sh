#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=200
#
# sluice-vhostd polls a VF of eth0 with DPDK's own igb driver; a station behind another of its ports reaches the PF
# through it: first a tap in a network namespace, then, in its place and with its address (a VF gets only frames for the
# address it has), a machine on vhost-user, with a stream there and back.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

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
head -c 2M /dev/urandom >"$LAB_WORK/stream"
mkdir -m 700 "$LAB_WORK/s"
cat >"$LAB_WORK/guest.sh" <<-'END'
	ip addr add 10.77.0.3/24 dev eth0
	ip link set eth0 up
	nc -l -p 5001 </dev/null >/tmp/f
	nc -l -p 5002 </tmp/f >/dev/null
	ping -q -c 50 -i 0.05 -W 5 10.77.0.1
	echo "guest pinged"
	read word </dev/console
END

export XDG_RUNTIME_DIR=$LAB_WORK # DPDK keeps its runtime files here
lab_start vhostd "$VHOSTD" --no-huge --memory 96 --mbufs 4096 --lcores 1 --control "$LAB_WORK/control" \
	--port "name=vf,pci=$vf,flood=0" --port "name=t,vdev=net_tap0,,iface=vt0,flood=0" \
	--port "name=g,socket=$LAB_WORK/s/g,flood=0"
vhostd=$LAB_PID
ask() { "$SLUICE" ctl "$LAB_WORK/control" "$@"; }
port_of_station() { ask macs --json | jq -r '.[] | select(.mac == "02:00:00:00:00:77") | .port'; }
lab_wait_line "$LAB_WORK/vhostd.log" "ready: 1 poll loop" 60 "$vhostd"
ip netns add g
ip link set vt0 netns g
ip -n g link set vt0 address 02:00:00:00:00:77
ip -n g addr add 10.77.0.2/24 dev vt0
ip -n g link set vt0 up
ip netns exec g ping -q -c 50 -i 0.05 -W 5 10.77.0.1 >"$LAB_WORK/ping.log"
ask ports
lab_match "$LAB_WORK/ping.log" " 0% packet loss" "pings through the VF"
lab_eq "$(port_of_station)" t "the station's port"
ask port-del t
lab_eq "$(port_of_station)" "" "the port of a station whose port is gone"

lab_vm a "$LAB_WORK/guest.sh" --net "id=net0,mode=vhost-user,socket=$LAB_WORK/s/g,mac=02:00:00:00:00:77"
lab_seen a "^L2: init" 60
lab_wait 60 bash -c "exec 3<>/dev/tcp/10.77.0.3/5001 && cat $LAB_WORK/stream >&3" || { ask ports; lab_fail "no stream to the guest"; }
lab_wait 30 bash -c "exec 3</dev/tcp/10.77.0.3/5002 && cmp - $LAB_WORK/stream <&3" || lab_fail "the stream from the guest differs"
lab_seen a "guest pinged" 60
lab_match "$LAB_WORK/a.log" " 0% packet loss" "the guest's pings through the VF"
lab_ctl a ports
ask ports
lab_eq "$(port_of_station)" g "the guest's port"
lab_say a end
lab_done a 60
ask quit
lab_end "$vhostd" 20
lab_eq "$LAB_STATUS" 0 "exit status of sluice-vhostd"
