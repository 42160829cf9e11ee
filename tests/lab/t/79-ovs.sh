#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240 manual
#
# Our vhost-user front end with Open vSwitch as its backend, in both socket roles: it owns the socket of one port, and
# comes to ours with the other, which has split rings. Pings and a stream there and back on each; then it is killed, comes back, and both
# ports go on. (Open vSwitch as a front end of sluice-vhostd: tests/vhostd/ovs.py.)
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
VSWITCHD=/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk
[ -x $VSWITCHD ] || lab_skip "no Open vSwitch with DPDK: run tests/deps lab"
modprobe tun
d=$LAB_WORK/ovs
mkdir -m 700 "$d"
export OVS_RUNDIR=$d OVS_DBDIR=$d OVS_LOGDIR=$d OVS_SYSCONFDIR=$d
head -c 2M /dev/urandom >"$LAB_WORK/stream"

vsctl() { ovs-vsctl --db="unix:$d/db.sock" --timeout=60 "$@" || lab_fail "ovs-vsctl $*: $(tail -n 5 "$LAB_WORK/vswitchd.log")"; }
vswitchd() {
	rm -f "$d/ctl" "$d/a" # it does not replace a socket that is left over
	lab_start vswitchd $VSWITCHD "unix:$d/db.sock" --unixctl="$d/ctl" --pidfile="$d/vswitchd.pid"
	vswitchd=$LAB_PID
}
lab_cleanup() { for i in br0 br1 ovs-netdev; do ip link del $i 2>/dev/null; done; }

ovsdb-tool create "$d/conf.db" /usr/share/openvswitch/vswitch.ovsschema || lab_fail "no database"
lab_start ovsdb ovsdb-server "$d/conf.db" --remote="punix:$d/db.sock" --pidfile="$d/db.pid" --unixctl="$d/dbctl"
ovsdb=$LAB_PID
lab_wait 30 test -S "$d/db.sock" || lab_fail "no database server"
# a pool for each port, since the one for all is sized for huge pages; and a poll loop that sleeps when idle
vsctl --no-wait -- init -- set Open_vSwitch . other_config:dpdk-init=true other_config:per-port-memory=true \
	other_config:dpdk-lcore-mask=1 other_config:pmd-cpu-mask=2 other_config:pmd-maxsleep=500 \
	"other_config:dpdk-extra=--no-pci --no-shconf --no-telemetry --legacy-mem --no-huge -m 192"
vswitchd
vsctl add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 a -- set Interface a type=dpdkvhostuser \
	-- add-br br1 -- set bridge br1 datapath_type=netdev -- add-port br1 b -- set Interface b type=dpdkvhostuserclient \
	"options:vhost-server-path=$d/b"
for i in 0 1; do
	ip addr add "10.79.$i.1/24" dev br$i
	ip link set br$i up
done
lab_note "Open vSwitch is up at $(lab_now)"

cat >"$LAB_WORK/guest.sh" <<'END'
for i in 0 1; do
	ip addr add 10.79.$i.2/24 dev eth$i
	ip link set eth$i up
	echo "guest packed $i $(cut -c35 /sys/class/net/eth$i/device/features)"
done
for i in 0 1; do
	nc -l -p 5001 </dev/null >/tmp/f
	nc -l -p 5002 </tmp/f >/dev/null
done
echo "guest streamed"
read word </dev/console
END

states() { lab_ctl a ports --json | jq -r '[.[].state | split(" ")[0]] | unique | join(" ")'; }
are() { [ "$(states)" = "$1" ]; }
pings() {
	local i
	for i in 0 1; do
		lab_wait 30 ping -c 1 -W 1 10.79.$i.2 || { lab_ctl a ports; lab_fail "port $i is not reached $1"; }
		ping -q -c 50 -i 0.02 10.79.$i.2 >"$LAB_WORK/ping.log"
		lab_match "$LAB_WORK/ping.log" " 0% packet loss" "pings to port $i $1"
	done
}

lab_vm a "$LAB_WORK/guest.sh" --net "id=net0,mode=vhost-user,socket=$d/a,mac=52:54:00:00:79:00" \
	--net "id=net1,mode=vhost-user,socket=$d/b,role=server,hide=packed,mac=52:54:00:00:79:01"
vm=$LAB_PID
lab_seen a "^L2: init" 60
lab_wait 60 ping -c 1 -W 1 10.79.0.2 || { lab_ctl a ports; lab_fail "the guest is not reached"; }
pings "at first"
for i in 0 1; do
	lab_wait 30 bash -c "exec 3<>/dev/tcp/10.79.$i.2/5001 && cat $LAB_WORK/stream >&3" || lab_fail "no stream to port $i"
	lab_wait 30 bash -c "exec 3</dev/tcp/10.79.$i.2/5002 && cmp - $LAB_WORK/stream <&3" || lab_fail "the stream from port $i differs"
done
LAB_PID=$vm
lab_seen a "guest streamed" 30
lab_match "$LAB_WORK/a.log" "guest packed 0 1" "packed rings"
lab_match "$LAB_WORK/a.log" "guest packed 1 0" "split rings"
lab_ctl a ports
lab_note "streams compared at $(lab_now)"
kill -9 "$vswitchd"
wait "$vswitchd" 2>/dev/null
lab_wait 10 are lost || lab_fail "the loss is not seen: $(states)"
vswitchd
lab_wait 60 are connected || { tail -n 20 "$LAB_WORK/vswitchd.log"; lab_ctl a ports; lab_fail "the ports do not come back"; }
pings "after a kill"
lab_note "back at $(lab_now)"
lab_say a end
LAB_PID=$vm
lab_done a 60
ovs-appctl -t "$d/ctl" exit --cleanup
lab_end "$vswitchd" 20
kill "$ovsdb"
lab_end "$ovsdb" 20
