#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# Ports that do not get the VF they name come up in their next mode, and say why: the third machine of a PF
# limited to two VFs; a PF that is down, a group that is busy, a low limit of locked memory; and a VF that is taken
# already when it turns out useless, which is given back before the machine runs. 61-no-iommu has a host without IOMMU.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
tiny=${SLUICE%/cmd/sluice}/tests/guest/hello.elf # runs on until it is asked to quit
VHOSTD=${SLUICE%/cmd/sluice}/virtio/vhostd/sluice-vhostd
short=${SLUICE%/cmd/sluice}/tests/guest/poweroff.elf
[ -f "$tiny" ] || lab_skip "no payload in this build"
modprobe vfio-pci
nic=$(lab_bdf_of_net eth0)
entries=/sys/module/vfio_iommu_type1/parameters/dma_entry_limit
lab_cleanup() {
	ip link del tap0 2>/dev/null
	echo 65535 >$entries
}
lab_tap
lab_wait 20 grep -q 1 /sys/class/net/eth0/carrier || lab_fail "eth0 has no carrier"

state() { bash "$LAB_DIR/l1-state"; }
same() { [ "$(state)" = "$before" ]; }
lab_same() { lab_wait 20 same || { diff <(echo "$before") <(state); lab_fail "$1: the host is not as before"; }; }
before=$(state)

# explains REGEX: a port of eth0 with a tap behind it is planned on the tap, with this reason
explains() {
	"$SLUICE" run --kernel "$short" --memory 64M --net "pf=eth0,tap=tap0,vfs=2" --explain >"$LAB_WORK/explain" ||
		lab_fail "--explain: status $?"
	lab_match "$LAB_WORK/explain" "^net0 +vfio +no +.*$1" "--explain"
	lab_match "$LAB_WORK/explain" "^ +virtio +yes +tap interface tap0" "--explain"
}

# ---- reasons that are seen beforehand ----

ip link set eth0 down
explains 'eth0 .*is down, so its VFs have no link: ip link set eth0 up'
ip link set eth0 up
lab_wait 20 grep -q 1 /sys/class/net/eth0/carrier || lab_fail "eth0 has no carrier"

lab_vfs "$nic" 1
vf=$(lab_vf "$nic" 0)
lab_bind "$vf" vfio-pci
group=$(basename "$(readlink "$LAB_PCI/$vf/iommu_group")")
exec {fd}<>"/dev/vfio/$group"
explains "all 1 VFs of eth0 .*$vf is in use: group $group is open in another process"
exec {fd}>&-
lab_no_vfs "$nic"
lab_wait 20 grep -q 1 /sys/class/net/eth0/carrier || lab_fail "eth0 has no carrier"

setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock bash -c "ulimit -l 64; exec \"$SLUICE\" run --kernel \"$short\" \
	--memory 64M --net pf=eth0,tap=tap0 --explain" >"$LAB_WORK/explain" || lab_fail "memlock: status $?"
lab_match "$LAB_WORK/explain" '^net0 +vfio +no +.*ulimit -l' "memlock"
lab_same "looking"

# ---- what fails half way is undone ----

# falls REGEX: the machine runs on the tap all the same, having said this; nothing stays behind
falls() {
	timeout 60 "$SLUICE" run --serial null --kernel "$short" --memory 64M --control "$LAB_WORK/half.sock" --name half \
		--net "pf=eth0,tap=tap0,mac=52:54:00:00:00:0a,vlan=9" </dev/null >"$LAB_WORK/half" 2>&1
	lab_eq $? 0 "status of the machine ($(cat "$LAB_WORK/half"))"
	lab_match "$LAB_WORK/half" "port net0: comes up in mode virtio, since vfio: failed at $1"
	! compgen -G "/run/sluice/*.journal" >/dev/null || lab_fail "a journal is left"
}

echo 0 >$entries
falls 'memory map: the IOMMU has 0 map entries left'
echo 65535 >$entries
lab_same "no map entries"
lab_vfs "$nic" 1
vf=$(lab_vf "$nic" 0)
echo >"$LAB_PCI/$vf/reset_method" || lab_fail "the reset of a VF cannot be switched off"
falls "open: $vf cannot be reset"
lab_match <(ip link show eth0) 'vf 0 +link/ether 00:00:00:00:00:00' "the VF given back"
lab_no_vfs "$nic"
lab_same "no reset"
# asked for by name there is no other mode
echo 0 >$entries
lab_refused 1 'port net0: mode vfio: failed at memory map: ' "$SLUICE" run --serial null --kernel "$short" --memory 64M \
	--net pf=eth0,mode=vfio
echo 65535 >$entries
lab_same "mode=vfio"

# ---- three machines, two VFs ----

for i in 1 2; do
	lab_start "vm$i" "$SLUICE" run --name "vm$i" --serial null --kernel "$tiny" --memory 64M \
		--control "$LAB_WORK/vm$i.sock" --net "pf=eth0,vfs=2,mac=52:54:00:00:00:0$i" --disk pf=/dev/nvme0,vfs=2
	pids[i]=$LAB_PID
	lab_wait 60 "$SLUICE" ctl "$LAB_WORK/vm$i.sock" ports || { cat "$LAB_WORK/vm$i.log"; lab_fail "machine $i"; }
	lab_eq "$("$SLUICE" ctl "$LAB_WORK/vm$i.sock" ports --json | jq -r '.[0].mode')" vfio "mode of machine $i"
done
why="all 2 VFs of eth0 .*belongs to vm1 .pid ${pids[1]}.*belongs to vm2 .pid ${pids[2]}"
explains "$why"
# the ways out are backends in other processes: the switch, where it is built, and a disk of qemu-storage-daemon
mode=virtio host=tap0 how=ok socket=""
if [ -x "$VHOSTD" ]; then
	export XDG_RUNTIME_DIR=$LAB_WORK # DPDK keeps its runtime files here
	mode=vhost-user host=$LAB_WORK/switch how=connected socket=,socket=$LAB_WORK/switch
	lab_start vhostd "$VHOSTD" --no-huge --memory 64 --mbufs 2048 --lcores 1 --control "$LAB_WORK/control" \
		--port "name=g,socket=$LAB_WORK/switch,flood=0" --port "name=t,vdev=net_tap0,,iface=vt0,flood=0"
	vhostd=$LAB_PID
	lab_wait_line "$LAB_WORK/vhostd.log" "ready: 1 poll loop" 60 "$vhostd"
	ip addr del 192.168.77.1/24 dev tap0
	ip addr add 192.168.77.1/24 dev vt0
	ip link set vt0 up
fi
backend=""
if command -v qemu-storage-daemon >/dev/null; then
	head -c 4M /dev/urandom >"$LAB_WORK/disk"
	lab_start qsd qemu-storage-daemon --blockdev "driver=file,node-name=f,filename=$LAB_WORK/disk" \
		--export "type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=$LAB_WORK/qsd,writable=on"
	qsd=$LAB_PID
	lab_wait 20 test -S "$LAB_WORK/qsd" || { cat "$LAB_WORK/qsd.log"; lab_fail "no backend"; }
	backend="--disk pf=/dev/nvme0,vfs=2,socket=$LAB_WORK/qsd"
fi
{
	lab_guest_net 3
	cat <<-'END'
	echo "guest mac $(cat /sys/class/net/eth0/address)"
	ping -q -c 20 -i 0.05 192.168.77.1 || exit 1
	[ ! -e /dev/vda ] || echo "guest read $(sha256sum </dev/vda)"
	echo "guest up"
	read word </dev/console
	END
} >"$LAB_WORK/guest.sh"
# shellcheck disable=SC2086 # two words or none
lab_vm third "$LAB_WORK/guest.sh" --net "pf=eth0,vfs=2,tap=tap0,mac=52:54:00:00:00:03$socket" $backend
lab_seen third "guest up" 100
lab_ctl third ports
lab_ctl third ports --json >"$LAB_WORK/ports"
lab_eq "$(jq -r '.[0] | "\(.mode) \(.host) \(.mac) \(.state)"' "$LAB_WORK/ports")" \
	"$mode $host 52:54:00:00:00:03 $how" "the third machine"
lab_match <(jq -r '.[0].plan[] | select(.mode == "vfio").why' "$LAB_WORK/ports") "$why" "its plan"
lab_match "$LAB_WORK/third.log" "port net0: comes up in mode $mode, since vfio: $why"
lab_match "$LAB_WORK/third.log" "guest mac 52:54:00:00:00:03"
if [ -n "$backend" ]; then
	lab_eq "$(jq -r '.[1] | "\(.mode) \(.host) \(.state)"' "$LAB_WORK/ports")" "vhost-user $LAB_WORK/qsd connected" \
		"its disk"
	lab_match "$LAB_WORK/third.log" "port disk0: comes up in mode vhost-user, since vfio: all 2 VFs of nvme0"
	lab_match "$LAB_WORK/third.log" "guest read $(sha256sum <"$LAB_WORK/disk")"
fi
lab_say third end
lab_done third 60
if [ -n "$socket" ]; then
	"$SLUICE" ctl "$LAB_WORK/control" quit
	lab_end "$vhostd" 20
	ip addr add 192.168.77.1/24 dev tap0
fi
if [ -n "$backend" ]; then
	kill "$qsd"
	lab_end "$qsd" 20
fi
for i in 1 2; do
	lab_ctl "vm$i" quit
	lab_end "${pids[i]}" 60
done
lab_same "three machines"
