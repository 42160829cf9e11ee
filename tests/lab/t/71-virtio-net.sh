#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=600
#
# A stock guest on virtio-net over taps: each kind of ring (split and packed, event index and
# indirect descriptors on and off) with 1 and with 4 queues. Ping, a TCP stream there and back that
# comes home unchanged, drivers that go and come, a reboot under traffic; and what a packet costs in
# notifications, interrupts and exits. 64 MiB go over one port of each
# boot (NET_BIG=8: over all), less over the others.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
modprobe tun

# net_port I QUEUES HIDE: how a port is asked for; the same matrix serves other modes
net_port() { echo "id=net$1,tap=vt$1,mode=virtio,queues=$2,hide=$3"; }

KINDS=(none packed event-idx indirect packed:event-idx packed:indirect event-idx:indirect packed:event-idx:indirect)
head -c 64M /dev/urandom >"$LAB_WORK/big"
head -c 4M "$LAB_WORK/big" >"$LAB_WORK/small"

# net_guest PORTS PAIRS: with so many pairs in use (no more than it has processors), takes the streams in order of the ports, and sends them back
net_guest() {
	cat <<-END
	fail() { echo "guest FAIL: \$*"; exit 1; }
	up() { for i in \$(seq 0 $(($1 - 1))); do
		ip addr add 10.71.\$i.2/24 dev eth\$i; ip link set eth\$i up || fail "eth\$i"
	done; }
	streams() { for i in \$(seq 0 $(($1 - 1))); do
		nc -l -p 5001 </dev/null >/tmp/f; nc -l -p 5002 </tmp/f >/dev/null
	done; }
	up
	for i in \$(seq 0 $(($1 - 1))); do
		[ \$(ls -d /sys/class/net/eth\$i/queues/rx-* | wc -l) = $2 ] || fail "queues of eth\$i"
		echo "features \$i \$(cut -c29,30,35 /sys/class/net/eth\$i/device/features)"
	done
	echo "guest ready"
	streams
	echo "guest streamed"
	read word </dev/console
	[ "\$word" = end ] && exit 0
	for n in 1 2 3; do modprobe -r virtio_net; modprobe virtio_net || fail "modprobe"; up; done
	echo "guest reloaded"
	read word </dev/console
	reboot -f
	END
}

# stuck WHAT: what the machine's queues and its guest said last, so that a stream that stands can be told from
# one whose guest is gone
stuck() {
	tail -n 5 "$LAB_WORK/$VM.log"
	lab_ctl "$VM" ports
	lab_ctl "$VM" stat --json | jq -c '.net_queues[], .exits'
	lab_fail "$1"
}

# connects as soon as the guest listens
send() { lab_wait 60 timeout 60 bash -c "exec 3<>/dev/tcp/$1/5001 && cat $2 >&3" || stuck "no stream to $1"; }
back() { lab_wait 60 timeout 60 bash -c "exec 3</dev/tcp/$1/5002 && cmp - $2 <&3" || stuck "the stream from $1 differs"; }

# what all queues of a machine have in a counter
queues() { lab_stat "$1" "[.net_queues[].$2] | add"; }
cost() {
	local d=() c
	for c in bufs kicks calls calls_spared errors; do d+=($(($(queues "$2" $c) - $(queues "$1" $c)))); done
	lab_note "$3: ${d[0]} packets, ${d[1]} kicks, ${d[2]} interrupts, ${d[3]} spared, ${d[4]} dropped," \
		"$(($(lab_stat "$2" "$LAB_EXITS") - $(lab_stat "$1" "$LAB_EXITS"))) exits"
}

addresses() { for i in $(seq 0 $(($1 - 1))); do ip addr add "10.71.$i.1/24" dev "vt$i"; done; }
pings() { for i in $(seq 0 $(($1 - 1))); do lab_wait 20 ping -c 1 -W 1 "10.71.$i.2" || lab_fail "port $i $2"; done; }

# matrix QUEUES CPUS: all kinds of ring at once. A guest of four processors takes minutes to boot here,
# so of four pairs two are in use
matrix() {
	local args=() i queues=$1 name=q$1 n=${#KINDS[@]} size want
	VM=$name
	for i in "${!KINDS[@]}"; do
		args+=(--net "$(net_port "$i" "$queues" "${KINDS[i]}" | sed s/,hide=none//)")
	done
	net_guest "$n" "$2" >"$LAB_WORK/guest.sh"
	lab_vm "$name" "$LAB_WORK/guest.sh" --cpus "$2" "${args[@]}"
	lab_seen "$name" "guest (ready|FAIL)" 120
	addresses "$n"
	pings "$n" "with ${KINDS[*]}"
	for i in "${!KINDS[@]}"; do
		want=$([[ ${KINDS[i]} = *indirect* ]] && echo 0 || echo 1)
		want+=$([[ ${KINDS[i]} = *event-idx* ]] && echo 0 || echo 1)
		want+=$([[ ${KINDS[i]} = *packed* ]] && echo 0 || echo 1)
		lab_match "$LAB_WORK/$name.log" "^features $i $want" "features of port $i"
	done
	lab_settled "$name" "$LAB_WORK/s0"
	ping -q -c 200 -i 0.02 10.71.0.2 | grep transmitted
	lab_settled "$name" "$LAB_WORK/s1"
	cost "$LAB_WORK/s0" "$LAB_WORK/s1" "$queues queues, light load"
	for i in "${!KINDS[@]}"; do
		size=small
		[ "$i" -ge "${NET_BIG:-1}" ] || size=big
		send "10.71.$i.2" "$LAB_WORK/$size"
		back "10.71.$i.2" "$LAB_WORK/$size"
		lab_note "$queues queues, without ${KINDS[i]}: $size there and back, at $(lab_now)"
	done
	lab_seen "$name" "guest (streamed|FAIL)" 30
	lab_settled "$name" "$LAB_WORK/s2"
	cost "$LAB_WORK/s1" "$LAB_WORK/s2" "$queues queues, full load"
}

lab_note "at $(lab_now)"
matrix 1 1
lab_say q1 reload
lab_seen q1 "guest (reloaded|FAIL)" 60
pings 8 "after the driver came back"
ping -q -i 0.01 10.71.0.2 >/dev/null 2>&1 &
flood=$!
lab_say q1 reboot
again() { [ "$(grep -c "guest ready" "$LAB_WORK/q1.log")" -ge 2 ]; }
lab_wait 120 again || lab_fail "the guest did not come back under traffic"
pings 8 "after a reboot"
kill $flood
lab_ctl q1 quit >/dev/null 2>&1 || kill "$LAB_PID"
lab_wait 30 bash -c "! kill -0 $LAB_PID" || lab_fail "the machine does not end"
[ ! -e /sys/class/net/vt0 ] || lab_fail "the tap is still there"
matrix 4 2
[ "$(lab_stat "$LAB_WORK/s2" '[.net_queues[] | select(.queue > 1 and .queue < 8) | .bufs] | add')" -gt 0 ] ||
	lab_fail "all packets went through one pair of queues"
lab_say q4 end
lab_done q4 60
