#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=300
#
# Stock drivers on the emulated e1000 and NVMe controller: data both ways with its checksum, the drivers unloaded
# and loaded under load, a reboot under load; and how the doorbells' two improvements change the exits.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
lab_cleanup() { ip link del tap0 2>/dev/null; }

lab_tap
for d in a b c; do head -c 8M /dev/urandom >"$LAB_WORK/disk-$d"; done
head -c 4M /dev/urandom >"$LAB_WORK/stream"
sum=$(sha256sum <"$LAB_WORK/stream" | cut -d' ' -f1)

{
	lab_guest_net 2
	cat <<-'END'
	boot=$(cat /proc/sys/kernel/random/boot_id)
	nvme() { for c in /sys/class/nvme/nvme*; do [ "$(tr -d ' ' <$c/serial)" = "$1" ] && basename $c/nvme*n1; done; }
	a=$(nvme disk-a)
	echo "guest mac $(cat /sys/class/net/eth0/address)"
	echo "guest net driver $(basename $(readlink /sys/class/net/eth0/device/driver))"
	echo "guest model $(cat /sys/block/$a/device/model)"
	echo "guest read $(sha256sum </dev/$a)"
	ping -q -c 100 -i 0.01 192.168.77.1 || exit 1
	nc 192.168.77.1 7001 </dev/null >/tmp/stream
	echo "guest received $(sha256sum </tmp/stream)"
	nc 192.168.77.1 7002 </tmp/stream
	dd if=/tmp/stream of=/dev/$a bs=100k oflag=direct conv=fsync 2>/dev/null || exit 1
	echo 3 >/proc/sys/vm/drop_caches
	echo "guest wrote $(head -c 4194304 /dev/$a | sha256sum)"
	for d in disk-a disk-b disk-c; do
		echo "guest before $d"
		read word </dev/console
		dd if=/dev/$(nvme $d) of=/dev/null bs=4k count=300 iflag=direct 2>/dev/null || exit 1
		echo "guest after $d"
		read word </dev/console
	done
	for i in 1 2; do
		dd if=/dev/$(nvme disk-a) of=/dev/null bs=64k iflag=direct 2>/dev/null &
		ping -q -c 20 -i 0.01 192.168.77.1 >/dev/null
		rmmod e1000 && modprobe e1000 || exit 1
		echo 1 >/sys/class/nvme/$(nvme disk-a | sed 's/n1$//')/reset_controller || exit 1
		wait
		ip addr add 192.168.77.2/24 dev eth0
		ip link set eth0 up
		for k in $(seq 50); do ping -c 1 -W 1 192.168.77.1 >/dev/null && break; done
	done
	echo "guest alive $(sha256sum </dev/$(nvme disk-b))"
	END
} >"$LAB_WORK/guest.sh"

socat -u "FILE:$LAB_WORK/stream" TCP-LISTEN:7001,reuseaddr &
LAB_CHILDREN+=($!)
socat -u TCP-LISTEN:7002,reuseaddr "CREATE:$LAB_WORK/back" &
LAB_CHILDREN+=($!)
lab_vm a "$LAB_WORK/guest.sh" --net id=net0,mode=emulated,tap=tap0,mac=52:54:00:aa:bb:cc \
	--disk "id=disk-a,mode=emulated,path=$LAB_WORK/disk-a,queues=2" \
	--disk "id=disk-b,mode=emulated,path=$LAB_WORK/disk-b,shadow-doorbell=on" \
	--disk "id=disk-c,mode=emulated,path=$LAB_WORK/disk-c,shadow-doorbell=on,ioeventfd=on"

# exits to user space for a read at depth 1, by how the doorbells are rung
for d in disk-a disk-b disk-c; do
	lab_seen a "guest before $d" 200
	lab_settled a "$LAB_WORK/s0"
	lab_say a go
	lab_seen a "guest after $d" 60
	lab_settled a "$LAB_WORK/s1"
	lab_say a go
	# the network driver reads its statistics every two seconds, so only this controller's registers count
	regs="[.regions[] | select(.name == \"$d BAR0\") | .reads + .writes] | add"
	n=$(($(lab_stat "$LAB_WORK/s1" "$regs") - $(lab_stat "$LAB_WORK/s0" "$regs")))
	lab_note "$d: $n exits to user space for 300 reads"
	eval "n_${d#disk-}=$n"
done
lab_ctl a ports
lab_ctl a stat | sed -n '/^e1000:/,$p'
lab_done a 120
# shellcheck disable=SC2154 # set by eval
{
	[ "$n_a" -ge 600 ] || lab_fail "a doorbell write did not trap: $n_a exits for 300 reads and their completions"
	[ "$n_b" -lt "$n_a" ] || lab_fail "shadow doorbells spare nothing: $n_b exits, $n_a without"
	[ "$n_c" -le 10 ] || lab_fail "doorbells with ioeventfd left to user space $n_c times"
}
lab_match "$LAB_WORK/a.log" "guest mac 52:54:00:aa:bb:cc"
lab_match "$LAB_WORK/a.log" "guest net driver e1000"
lab_match "$LAB_WORK/a.log" "100 packets transmitted, 100 packets received"
lab_match "$LAB_WORK/a.log" "guest received $sum" "stream to the guest"
lab_match "$LAB_WORK/a.log" "guest wrote $sum" "what the guest wrote and read"
lab_eq "$(sha256sum <"$LAB_WORK/back" | cut -d' ' -f1)" "$sum" "stream from the guest"
lab_eq "$(head -c 4M "$LAB_WORK/disk-a" | sha256sum | cut -d' ' -f1)" "$sum" "disk after the guest"
lab_match "$LAB_WORK/a.log" "guest alive $(sha256sum <"$LAB_WORK/disk-b" | cut -d' ' -f1)"
