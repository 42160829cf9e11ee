#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240
#
# A stock guest on what the VMM serves itself: a disk from a file, a network port from a tap interface, an
# entropy device. It boots, reads and writes the disk, pings; the link is pulled and the disk grows meanwhile.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
lab_cleanup() { ip link del tap0 2>/dev/null; }

lab_tap
head -c 8M /dev/urandom >"$LAB_WORK/disk"
sum=$(sha256sum <"$LAB_WORK/disk")
{
	lab_guest_net 2
	cat <<-'END'
	echo "guest mac $(cat /sys/class/net/eth0/address)"
	echo "guest disk $(cat /sys/block/vda/size) sectors, serial $(cat /sys/block/vda/serial)"
	echo "guest read $(sha256sum </dev/vda)"
	echo "guest rng $(cat /sys/class/misc/hw_random/rng_current)"
	ping -q -c 100 -i 0.05 192.168.77.1 || exit 1
	dd if=/dev/zero of=/dev/vda bs=64k count=16 conv=fsync 2>/dev/null || exit 1
	echo "guest asks"
	read word </dev/console
	for i in $(seq 100); do [ "$(cat /sys/class/net/eth0/carrier)" = 0 ] && break; sleep 0.1; done
	echo "guest carrier $(cat /sys/class/net/eth0/carrier)"
	read word </dev/console
	for i in $(seq 100); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.1; done
	ping -q -c 20 -i 0.05 192.168.77.1 || exit 1
	for i in $(seq 100); do [ "$(cat /sys/block/vda/size)" = 32768 ] && break; sleep 0.1; done
	echo "guest disk now $(cat /sys/block/vda/size) sectors"
	END
} >"$LAB_WORK/guest.sh"
lab_vm a "$LAB_WORK/guest.sh" --net id=net0,tap=tap0,mac=52:54:00:aa:bb:cc --disk "id=disk0,path=$LAB_WORK/disk" --rng
lab_seen a "guest asks" 120
lab_ctl a ports
lab_ctl a ports --json >"$LAB_WORK/ports"
lab_eq "$(jq -r '.[] | "\(.port) \(.mode) \(.host) \(.state)"' "$LAB_WORK/ports")" \
	"net0 virtio tap0 ok
disk0 virtio $LAB_WORK/disk ok" "ctl ports"
lab_ctl a stat --json >"$LAB_WORK/stat"
[ "$(jq '[.net_queues[].bufs] | add' "$LAB_WORK/stat")" -ge 200 ] || lab_fail "buffers of the network port"
[ "$(jq '.disk_queues[0].bytes_read' "$LAB_WORK/stat")" -ge $((8 << 20)) ] || lab_fail "bytes read from the disk"
lab_refused 1 'net9' "$SLUICE" ctl "$LAB_WORK/a.sock" link net9 down
lab_refused 1 'neither up nor down' "$SLUICE" ctl "$LAB_WORK/a.sock" link net0 sideways
lab_refused 1 'only a disk' "$SLUICE" ctl "$LAB_WORK/a.sock" resize net0
lab_ctl a link net0 down || lab_fail "link down"
lab_say a link
lab_seen a "guest carrier 0" 30
lab_ctl a link net0 up || lab_fail "link up"
truncate -s 16M "$LAB_WORK/disk"
lab_ctl a resize disk0 || lab_fail "resize"
lab_say a go
lab_done a 60
lab_match "$LAB_WORK/a.log" "guest mac 52:54:00:aa:bb:cc"
lab_match "$LAB_WORK/a.log" "guest disk 16384 sectors, serial disk0"
lab_match "$LAB_WORK/a.log" "guest read $sum"
lab_match "$LAB_WORK/a.log" "guest rng virtio_rng"
lab_match "$LAB_WORK/a.log" "100 packets transmitted, 100 packets received"
lab_match "$LAB_WORK/a.log" "guest disk now 32768 sectors"
cmp -n $((1 << 20)) "$LAB_WORK/disk" /dev/zero || lab_fail "what the guest wrote is not in the file"
