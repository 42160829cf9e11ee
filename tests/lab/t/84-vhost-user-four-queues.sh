#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=600 manual
#
# A guest of four processors with two vhost-user ports of four queue pairs, one on packed rings and one on split ones,
# and sluice-vhostd's switch between them: a stream each way on each pair, all at once. The ports are in two network
# namespaces of the guest; its driver gives each processor a pair of its own, so that the programs of stream N, held to
# processor N, are on pair N at both ends. No stream gets its second half before the first halves of all are on their
# way. Every queue carried its stream, streams came home unchanged, and the counts of all add up.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
NET_KINDS=(none packed)
# shellcheck source=tests/lab/user-matrix.sh
. "$LAB_DIR/user-matrix.sh"
MIB=${MIB:-4} # of a stream

guest() {
	net_guest_has 4
	cat <<-END
	HALF=$((MIB * 512))
	END
	cat <<-'END'
	# send.sh FILE ADDRESS PORT; get.sh FILE PORT: nc ends with its input or with the other side's, so the one that
	# gets has an input without an end
	mkfifo /tmp/never
	cat >/tmp/send.sh <<'EOF'
	{
		dd if=$1 bs=1k count=$HALF 2>/dev/null
		: >/tmp/half.$3
		while [ $(ls /tmp/half.* | wc -l) -lt 8 ]; do sleep 0.1; done
		dd if=$1 bs=1k skip=$HALF 2>/dev/null
	} | nc $2 $3 >/dev/null
	EOF
	cat >/tmp/get.sh <<'EOF'
	nc -l -p $2 0<>/tmp/never | cmp - $1 || { echo "guest FAIL: the stream to port $2"; exit 1; }
	: >/tmp/same.$2
	EOF
	export HALF
	for i in 0 1 2 3; do head -c ${HALF}k /dev/urandom >/tmp/s$i; head -c ${HALF}k /dev/urandom >>/tmp/s$i; done
	# nothing but the streams is to be on the wire
	unshare -n sleep 9999 &
	ns=$!
	there() { nsenter -t $ns -n "$@"; }
	while [ "$(readlink /proc/$ns/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
	up() {
		$3 sh -c "echo 1 >/proc/sys/net/ipv6/conf/eth$1/disable_ipv6"
		$3 ip addr add 10.84.1.$(($1 + 1))/24 dev eth$1
		$3 ip link set eth$1 up || fail "eth$1"
		$3 arp -s 10.84.1.$(($2 + 1)) 02:71:00:00:00:0$2 || fail "arp"
	}
	ip link set eth1 netns $ns || fail "no namespace"
	up 0 1 ""
	up 1 0 there
	echo "guest begins"
	# streams FROM TO ADDRESS PORTS: one from and to each processor
	streams() {
		for i in 0 1 2 3; do
			cpu=$(printf %x $((1 << i)))
			$2 taskset $cpu sh /tmp/get.sh /tmp/s$i $4$i &
			until $2 netstat -ltn | grep -q ":$4$i "; do sleep 0.2; done
			$1 taskset $cpu sh /tmp/send.sh /tmp/s$i $3 $4$i &
		done
	}
	streams "" there 10.84.1.2 500
	streams there "" 10.84.1.1 501
	while [ $(ls /tmp/same.* 2>/dev/null | wc -l) -lt 8 ]; do sleep 0.2; done
	echo "guest streamed"
	read word </dev/console
	# received packets; interrupts of the queues received on
	awk '/eth0/ { print "guest got 0", $3 }' /proc/net/dev
	there awk '/eth1/ { print "guest got 1", $3 }' /proc/net/dev
	awk '/virtio.*-input/ { n = 0; for (i = 2; i < 6; i++) n += $i; print "guest irq", $NF, n }' /proc/interrupts
	kill $ns
	END
}

# of_port N QUEUES EXPRESSION: what the back end counted
of_port() { jq "[.ports[] | select(.port == \"n$1\") | .queues[] | select($2) | $3] | add // 0" "$LAB_WORK/stat"; }

# port_counts N PEER: every queue carried a stream; what one end sent is what the other was given, or told to be dropped
port_counts() {
	local q way
	for q in 0 1 2 3; do
		lab_note "port $1, without ${NET_KINDS[$1]}, queue $q: in $(of_port "$1" ".queue == $q" .in.packets) packets," \
			"$(of_port "$1" ".queue == $q" .in.bytes) bytes; out $(of_port "$1" ".queue == $q" .out.packets) packets," \
			"$(of_port "$1" ".queue == $q" .out.bytes) bytes"
		for way in in out; do
			[ "$(of_port "$1" ".queue == $q" .$way.bytes)" -ge $((MIB << 20)) ] || lab_fail "queue $q of port $1 did not carry a stream $way"
		done
	done
	lab_eq "$(of_port "$1" true "(.in.packets - (.in.drops | add // 0))")" \
		"$(of_port "$2" true "(.out.packets + (.out.drops | add // 0))")" "packets that came from port $1, and went to port $2"
	lab_eq "$(tr -d '\r' <"$LAB_WORK/q4.log" | sed -n "s/^guest got $1 //p")" "$(of_port "$1" true .out.packets)" \
		"packets that the guest got on port $1, and that it was sent"
}

user_ports
net_args 4
guest >"$LAB_WORK/guest.sh"
lab_vm q4 "$LAB_WORK/guest.sh" --cpus 4 "${NET_ARGS[@]}"
lab_seen q4 "guest (begins|FAIL)" 300
net_features q4
lab_note "the streams begin at $(lab_now)"
lab_seen q4 "guest (streamed|FAIL)" 300
lab_match "$LAB_WORK/q4.log" "^guest streamed"
lab_note "4 streams of $MIB MiB, each way, came home at $(lab_now)"
lab_vhostd_ask stat --json >"$LAB_WORK/stat"
lab_say q4 end
lab_done q4 60
port_counts 0 1
port_counts 1 0
tr -d '\r' <"$LAB_WORK/q4.log" | sed -n 's/^guest irq/# interrupts of/p' | tee "$LAB_WORK/irqs"
lab_eq "$(awk '$NF > 0' "$LAB_WORK/irqs" | wc -l)" 8 "queues with interrupts"
