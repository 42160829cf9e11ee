#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240
#
# sluice-vhostd with front ends that are not ours: a machine of QEMU has a network port (vhost-user-net) and two disks
# (vhost-user-blk-pci, split rings and packed ones) of it. What the guest wrote, verified and flushed is in the image
# files; a stream goes through the switch to a tap and comes home unchanged. Then the backend is killed under load
# and comes back: the disks and the network go on.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
VHOSTD=${SLUICE%/cmd/sluice}/virtio/vhostd/sluice-vhostd
[ -x "$VHOSTD" ] || lab_skip "sluice-vhostd is not built: DPDK is missing"
modprobe tun
mkdir -m 700 "$LAB_WORK/s"
truncate -s 16M "$LAB_WORK/a" "$LAB_WORK/b"
head -c 4M /dev/urandom >"$LAB_WORK/stream"
export XDG_RUNTIME_DIR=$LAB_WORK # DPDK keeps its runtime files here

vhostd() {
	lab_start vhostd "$VHOSTD" --no-huge --memory 96 --mbufs 4096 --lcores 1 --control "$LAB_WORK/s/ctl" \
		--disk "name=a,socket=$LAB_WORK/s/a,path=$LAB_WORK/a" --disk "name=b,socket=$LAB_WORK/s/b,path=$LAB_WORK/b,queues=2" \
		--port "name=g,socket=$LAB_WORK/s/g,flood=0" --port "name=t,vdev=net_tap0,,iface=vt0,flood=0"
	vhostd=$LAB_PID
	lab_wait_line "$LAB_WORK/vhostd.log" "ready: 1 poll loop" 60 "$vhostd"
	ip addr add 10.75.0.1/24 dev vt0
	ip link set vt0 up
}

ask() { "$SLUICE" ctl "$LAB_WORK/s/ctl" "$1" --json; }
disks_up() { [ "$(ask disks | jq -c '[.[].connected]')" = "[true,true]" ]; }
seen() { lab_wait_line "$LAB_WORK/qemu.log" "$1" "$2" "$qemu"; }
reached() { lab_wait 60 ping -c 1 -W 1 10.75.0.2 || { ask ports; lab_fail "the guest is not reached $1"; }; }

cat >"$LAB_WORK/guest.sh" <<'END'
fail() { echo "guest FAIL: $*"; exit 1; }
load() {
	fio --ioengine=libaio --direct=1 --thread --minimal --verify=crc32c --verify_fatal=1 --rw=randwrite --bs=4k-32k \
		--iodepth=8 --fdatasync=64 --size=100% --name=a --filename=/dev/vda --name=b --filename=/dev/vdb >/tmp/out 2>&1 ||
		{ tail -n 5 /tmp/out; fail fio; }
}
sums() { echo "guest sums $1 $(sha256sum </dev/vda | cut -c1-64) $(sha256sum </dev/vdb | cut -c1-64)"; }
ip addr add 10.75.0.2/24 dev eth0
ip link set eth0 up
for d in vda vdb; do echo "guest features $d $(cut -c35 /sys/block/$d/device/features)"; done
load
sums first
nc -l -p 5001 </dev/null >/tmp/f
nc -l -p 5002 </tmp/f >/dev/null
echo "guest streamed"
while [ ! -e /tmp/stop ]; do load; echo x >>/tmp/rounds; done &
pid=$!
read word </dev/console
touch /tmp/stop
wait $pid || exit 1
echo "guest verified $(wc -l </tmp/rounds) rounds"
sums last
read word </dev/console
END

same() {
	lab_eq "$(tr -d '\r' <"$LAB_WORK/qemu.log" | sed -n "s/^guest sums $1 //p")" \
		"$(sha256sum <"$LAB_WORK/a" | cut -c1-64) $(sha256sum <"$LAB_WORK/b" | cut -c1-64)" "what the guest and the files hold"
}

vhostd
lab_guest_initrd "$LAB_WORK/guest.sh" "$LAB_WORK/initrd"
lab_qemu "$(lab_kernel "$LAB_KERNEL")" "$LAB_WORK/initrd" "console=ttyS0 quiet" 256M \
	-object memory-backend-memfd,id=ram,size=256M,share=on -machine memory-backend=ram \
	-chardev "socket,id=g,path=$LAB_WORK/s/g,reconnect-ms=200" -netdev vhost-user,id=n,chardev=g \
	-device virtio-net-pci,netdev=n,mac=52:54:00:00:00:75 \
	-chardev "socket,id=a,path=$LAB_WORK/s/a,reconnect-ms=200" -device vhost-user-blk-pci,chardev=a \
	-chardev "socket,id=b,path=$LAB_WORK/s/b,reconnect-ms=200" -device vhost-user-blk-pci,chardev=b,packed=on,num-queues=2
mkfifo "$LAB_WORK/tty"
exec 5<>"$LAB_WORK/tty"
"${LAB_QEMU[@]}" <&5 >"$LAB_WORK/qemu.log" 2>&1 &
qemu=$!
LAB_CHILDREN+=("$qemu")
seen "guest (sums first|FAIL)" 120
lab_match "$LAB_WORK/qemu.log" "guest features vda 0" "split rings"
lab_match "$LAB_WORK/qemu.log" "guest features vdb 1" "packed rings"
same first
lab_note "what the guest wrote is in the files at $(lab_now)"
reached "through the switch"
ping -q -c 50 -i 0.02 10.75.0.2 >"$LAB_WORK/ping.log"
lab_match "$LAB_WORK/ping.log" " 0% packet loss" "pings to the guest"
lab_wait 20 bash -c "exec 3<>/dev/tcp/10.75.0.2/5001 && cat $LAB_WORK/stream >&3" || lab_fail "no stream to the guest"
lab_wait 20 bash -c "exec 3</dev/tcp/10.75.0.2/5002 && cmp - $LAB_WORK/stream <&3" || lab_fail "the stream from the guest differs"
seen "guest streamed" 20
ask ports | jq -c '.[]'
lab_eq "$(ask macs | jq -r '.[] | select(.mac == "52:54:00:00:00:75") | .port')" g "the guest's port"
sleep "1.$((RANDOM % 10))"
kill -9 "$vhostd"
wait "$vhostd" 2>/dev/null
vhostd
lab_wait 30 disks_up || { ask disks; lab_fail "QEMU does not come back to the disks"; }
reached "after the kill"
sleep 1
echo stop >&5
seen "guest sums last" 90
lab_match "$LAB_WORK/qemu.log" "guest verified [1-9]"
lab_note "$(grep -ao 'guest verified.*' "$LAB_WORK/qemu.log") at $(lab_now)"
same last
echo end >&5
lab_end "$qemu" 60
lab_match "$LAB_WORK/qemu.log" "^L2: done 0" "the guest"
"$SLUICE" ctl "$LAB_WORK/s/ctl" quit
lab_end "$vhostd" 20
lab_eq "$LAB_STATUS" 0 "exit status of sluice-vhostd"
