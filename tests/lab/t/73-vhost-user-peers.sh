#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# Our vhost-user front end with backends that are not ours: a network port at dpdk-testpmd, which forwards to a
# tap interface, and a disk at qemu-storage-daemon. Neither is there when the machine starts. Then each is
# killed under load and comes back: no block is wrong, packets flow again; the guest reboots meanwhile.
# qemu-storage-daemon keeps no inflight memory, so the guest has one request at a time under way: what was done
# out of order could not be taken up again. One page a request: a guest that came up without a backend was not told that
# a request may have more than one segment, and makes several requests of a larger one.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
for t in dpdk-testpmd qemu-storage-daemon; do
	command -v $t >/dev/null || lab_skip "no $t"
done
modprobe tun
truncate -s 16M "$LAB_WORK/disk"

disk_up() {
	lab_start qsd qemu-storage-daemon --blockdev "driver=file,filename=$LAB_WORK/disk,node-name=f" \
		--export "type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=$LAB_WORK/disk.sock,writable=on"
	QSD=$LAB_PID
}

# it does not replace a socket that is left over
net_up() {
	rm -f "$LAB_WORK/net.sock"
	lab_start testpmd dpdk-testpmd --no-pci --no-huge -m 192 --lcores '0@0,1@0' --file-prefix "lab$1" \
		--vdev "net_vhost0,iface=$LAB_WORK/net.sock" --vdev net_tap0,iface=vt0 -- \
		--no-mlockall --total-num-mbufs=4096 --forward-mode=io --auto-start --stats-period 60
	TESTPMD=$LAB_PID
	lab_wait 60 test -e /sys/class/net/vt0 || lab_fail "no tap interface: $(tail -n 5 "$LAB_WORK/testpmd.log")"
	ip addr add 192.168.77.1/24 dev vt0
	ip link set vt0 up
}

killed() {
	kill -9 "$1"
	wait "$1" 2>/dev/null
}

# port_is PORT STATE: as it begins
port_is() { [[ "$(lab_ctl a ports --json | jq -r ".[] | select(.port == \"$1\") | .state")" == "$2"* ]]; }

cat >"$LAB_WORK/guest.sh" <<'END'
ip addr add 192.168.77.2/24 dev eth0
ip link set eth0 up
for i in 0 1 2; do head -c 64k /dev/urandom >/tmp/r$i; done
# a round: write, read back, compare, with another content each time
load() {
	n=0
	# of a disk that nobody has told about yet
	while [ "$(cat /sys/block/vda/size)" = 0 ]; do sleep 0.1; done
	while [ ! -f /tmp/stop ]; do
		at=$((n * 7 % 16)) r=/tmp/r$((n % 3))
		dd if=$r of=/dev/vda bs=4k seek=$((at * 16)) oflag=direct status=none || touch /tmp/bad
		dd if=/dev/vda bs=4k skip=$((at * 16)) count=16 iflag=direct status=none | cmp - $r || touch /tmp/bad
		n=$((n + 1))
		echo $n >/tmp/n.new && mv /tmp/n.new /tmp/n
	done
	touch /tmp/stopped
}
echo 0 >/tmp/n
load &
echo "guest up"
while read word x </dev/console; do
	case $word in
	net)
		for i in $(seq 300); do ping -c 1 -W 1 192.168.77.1 >/dev/null && break; done
		ping -q -c 50 -i 0.02 192.168.77.1 >/tmp/ping
		echo "guest net $x: $(grep transmitted /tmp/ping)"
		;;
	disk)
		n=$(cat /tmp/n)
		while [ "$(cat /tmp/n)" -lt $((n + 2)) ]; do sleep 0.1; done
		[ ! -f /tmp/bad ] && echo "guest disk $x: good"
		;;
	reboot) reboot -f ;;
	end)
		touch /tmp/stop
		while [ ! -f /tmp/stopped ]; do sleep 0.1; done
		[ ! -f /tmp/bad ]
		exit
		;;
	esac
done
END

# neither backend is there
LAB_VM_MEMORY=192M lab_vm a "$LAB_WORK/guest.sh" --net "id=net0,socket=$LAB_WORK/net.sock,mac=52:54:00:aa:bb:cc" \
	--disk "id=disk0,socket=$LAB_WORK/disk.sock"
vm=$LAB_PID
lab_seen a "^L2: init" 60
lab_ctl a ports
disk_up
net_up 0
LAB_PID=$vm
lab_seen a "guest up" 60
lab_wait 20 port_is net0 connected || lab_fail "net0 is not connected: $(lab_ctl a ports)"
lab_wait 20 port_is disk0 connected || lab_fail "disk0 is not connected: $(lab_ctl a ports)"
lab_say a "net 0"
lab_seen a "guest net 0: 50 packets transmitted, 50 packets received" 60
lab_say a "disk 0"
lab_seen a "guest disk 0: good" 60

for i in 1 2 3 4; do
	killed "$QSD"
	lab_wait 5 port_is disk0 "lost" || lab_fail "disk0 is not lost: $(lab_ctl a ports)"
	sleep "0.$((i * 3))"
	disk_up
	LAB_PID=$vm
	lab_say a "disk $i"
	lab_seen a "guest disk $i: good" 60
done
for i in 1 2; do
	killed "$TESTPMD"
	sleep 1
	net_up "$i"
	LAB_PID=$vm
	lab_say a "net $i"
	lab_seen a "guest net $i: 50 packets transmitted, 50 packets received" 90
done

# the guest reboots while both are away
killed "$QSD"
killed "$TESTPMD"
lab_say a reboot
second() { [ "$(grep -c "$1" "$LAB_WORK/a.log")" = 2 ]; }
lab_wait 60 second "^L2: init" || lab_fail "the guest does not come back"
disk_up
net_up 3
LAB_PID=$vm
lab_wait 60 second "guest up" || lab_fail "the guest does not come up"
lab_say a "net 9"
lab_seen a "guest net 9: 50 packets transmitted, 50 packets received" 90
lab_say a "disk 9"
lab_seen a "guest disk 9: good" 60
lab_ctl a ports
lab_say a end
lab_done a 60
