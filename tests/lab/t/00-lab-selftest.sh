#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=180
#
# Is the lab itself sound? QEMU stands in for our VMM: a guest with an igb VF and an NVMe VF answers
# pings, and reads through its VF the bytes that were written on the PF.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"

lab_cleanup() {
	lab_nvme_offline /dev/nvme0 1 2>/dev/null
	lab_no_vfs "$nvme"
	lab_no_vfs "$igb"
	ip addr flush dev eth0
}

nic_vf() {
	lab_vfs "$igb" 1
	ip link set eth0 vf 0 mac 52:54:00:aa:bb:cc || lab_fail "no admin MAC"
	vf=$(lab_vf "$igb" 0)
	lab_bind "$vf" vfio-pci
	ip addr add 192.168.77.1/24 dev eth0
}

disk_vf() {
	lab_vfs "$nvme" 1
	dvf=$(lab_vf "$nvme" 0)
	lab_nvme_online /dev/nvme0 1 "$dvf"
	lab_bind "$dvf" vfio-pci
	dd if=/dev/urandom of="$LAB_WORK/pattern" bs=64k count=16 status=none
	dd if="$LAB_WORK/pattern" of=/dev/nvme0n1 bs=64k oflag=direct status=none || lab_fail "cannot write on the PF"
	sum=$(sha256sum <"$LAB_WORK/pattern")
}

igb=$(lab_bdf_of_net eth0)
nvme=$(lab_bdf_of_nvme nvme0)
nic_vf
disk_vf
lab_note "VFs $vf and $dvf ready at $(lab_now) s"

cat >"$LAB_WORK/guest.sh" <<-'END'
	cat /sys/class/net/eth0/address
	ip addr add 192.168.77.2/24 dev eth0
	ip link set eth0 up
	for i in $(seq 50); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.2; done
	ping -c 5 -i 0.2 -W 2 192.168.77.1 || exit 1
	dd if=/dev/nvme0n1 bs=64k count=16 2>/dev/null | sha256sum
END
lab_guest_initrd "$LAB_WORK/guest.sh" "$LAB_WORK/initrd"
ulimit -l unlimited
lab_qemu "$(lab_kernel "$LAB_KERNEL")" "$LAB_WORK/initrd" "console=ttyS0 quiet" 512M \
	-device "vfio-pci,host=$vf" -device "vfio-pci,host=$dvf"
lab_start qemu "${LAB_QEMU[@]}"
lab_wait_line "$LAB_WORK/qemu.log" "L2: init" 60 "$LAB_PID"
lab_note "guest in user space at $(lab_now) s"
lab_wait_line "$LAB_WORK/qemu.log" "L2: done" 60 "$LAB_PID"
lab_note "guest done at $(lab_now) s"
lab_end "$LAB_PID" 20
lab_match "$LAB_WORK/qemu.log" "^52:54:00:aa:bb:cc" "MAC of the guest"
lab_match "$LAB_WORK/qemu.log" " 0% packet loss" "ping"
lab_match "$LAB_WORK/qemu.log" "^$sum" "bytes read through the VF"
lab_match "$LAB_WORK/qemu.log" "^L2: done 0" "guest script"
