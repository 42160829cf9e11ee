#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400 manual
#
# One guest with the same device in each mode, side by side: 1000 reads of 4 KiB, one at a time, from an emulated
# controller, virtio, vhost-user and an NVMe VF; 500 pings over an emulated card, virtio and a VF. What each cost, in
# accesses that went to user space, exits of the CPU, and interrupts. docs/how-it-works.md explains the table.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
lab_cleanup() {
	lab_pf_down
	for t in tap0 tap1; do ip link del $t 2>/dev/null; done
}

modprobe tun
for i in 0 1; do
	ip tuntap add tap$i mode tap || lab_fail "no tap interface"
	ip addr add 192.168.8$i.1/24 dev tap$i
	ip link set tap$i up
done
lab_pf_up
for d in emulated shadow virtio user; do truncate -s 8M "$LAB_WORK/$d"; done
lab_start qsd qemu-storage-daemon --blockdev "driver=file,filename=$LAB_WORK/user,node-name=f" \
	--export "type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=$LAB_WORK/user.sock,writable=on"
lab_wait 20 test -S "$LAB_WORK/user.sock" || lab_fail "no backend: $(cat "$LAB_WORK/qsd.log")"

cat >"$LAB_WORK/guest.sh" <<'END'
nic() { for n in /sys/class/net/*; do [ "$(cat $n/address)" != "$1" ] || echo "${n##*/}"; done; }
disk() {
	for b in /sys/block/nvme* /sys/block/vd*; do
		[ -b /dev/${b##*/} ] || continue # a path of a multipath disk
		s=$(cat $b/serial $b/device/serial 2>/dev/null | tr -d ' ')
		case $1:${b##*/}:$s in
		$s:*:$s) echo ${b##*/} ;;
		vfio:nvme*:emulated|vfio:nvme*:shadow|user:vd*:virtio) ;;
		vfio:nvme*|user:vd*) echo ${b##*/} ;;
		esac
	done
}
# step NAME COMMAND...: a line before, a line after, a word from the host to go on
step() {
	echo "guest before $1"
	read word </dev/console
	n=$1
	shift
	"$@" >/tmp/out 2>&1 || { cat /tmp/out; exit 1; }
	echo "guest after $n"
	read word </dev/console
}
net() { # NAME ADDRESS MAC
	d=$(nic $3)
	ip addr add $2.2/24 dev $d
	ip link set $d up
	for i in $(seq 100); do ping -c 1 -W 1 $2.1 >/dev/null && break; done
	step $1 ping -q -c 500 -i 0.002 $2.1
	ip link set $d down
}
for d in emulated shadow virtio user vfio; do
	step disk-$d dd if=/dev/$(disk $d) of=/dev/null bs=4k count=1000 iflag=direct
done
net net-vfio 192.168.77 52:54:00:00:00:01
net net-virtio 192.168.81 52:54:00:00:00:02
net net-emulated 192.168.80 52:54:00:00:00:03
END

LAB_VM_MEMORY=256M lab_vm a "$LAB_WORK/guest.sh" \
	--disk "id=disk-emulated,mode=emulated,path=$LAB_WORK/emulated,serial=emulated" \
	--disk "id=disk-shadow,mode=emulated,path=$LAB_WORK/shadow,serial=shadow,shadow-doorbell=on,ioeventfd=on" \
	--disk "id=disk-virtio,mode=virtio,path=$LAB_WORK/virtio,serial=virtio" \
	--disk "id=disk-user,mode=vhost-user,socket=$LAB_WORK/user.sock" \
	--disk "id=disk-vfio,pf=/dev/nvme0" \
	--net "id=net-vfio,pf=eth0,mac=52:54:00:00:00:01" \
	--net "id=net-virtio,mode=virtio,tap=tap1,mac=52:54:00:00:00:02" \
	--net "id=net-emulated,mode=emulated,tap=tap0,mac=52:54:00:00:00:03"

# accesses to the registers of one device that went to user space; not those to the statistics that the driver of
# an e1000 reads every other second
trapped() {
	lab_stat "$1" "[.regions[] | select(.name | startswith(\"$2 \")) |
		.reads + .writes - ([.pages[]? | select(.page == 4) | .reads + .writes] | add // 0)] | add // 0"
}
vcpu() { lab_stat "$1" "[.vcpus[].accel.$2] | add"; }

measure() {
	local user all irqs
	lab_seen a "guest before $1" 120
	lab_settled a "$LAB_WORK/s0"
	lab_say a go
	lab_seen a "guest after $1" 60
	lab_settled a "$LAB_WORK/s1"
	lab_say a go
	user=$(($(trapped "$LAB_WORK/s1" "$1") - $(trapped "$LAB_WORK/s0" "$1")))
	all=$(($(vcpu "$LAB_WORK/s1" exits) - $(vcpu "$LAB_WORK/s0" exits)))
	irqs=$(($(vcpu "$LAB_WORK/s1" irq_injections) - $(vcpu "$LAB_WORK/s0" irq_injections)))
	lab_note "$(awk -v n="$1" -v c="$2" -v u=$user -v a=$all -v i=$irqs \
		'BEGIN { printf "%-14s %10.2f %10.1f %12.2f", n, u / c, a / c, i / c }')"
	eval "${1//-/_}=$user"
}
lab_note "$(printf '%-14s %10s %10s %12s' 'for each' 'user space' 'all exits' 'interrupts')"
for d in emulated shadow virtio user vfio; do measure disk-$d 1000; done
for n in vfio virtio emulated; do measure net-$n 500; done
lab_ctl a ports
lab_ctl a dma
lab_done a 60
# shellcheck disable=SC2154 # set by eval
{
	[ "$disk_emulated" -ge 2000 ] || lab_fail "an emulated controller's doorbells did not trap: $disk_emulated"
	[ "$net_emulated" -ge 1000 ] || lab_fail "an emulated card's registers did not trap: $net_emulated"
	for n in disk_shadow disk_virtio disk_user disk_vfio net_virtio net_vfio; do
		[ "${!n}" -le 20 ] || lab_fail "$n went to user space ${!n} times"
	done
}
