# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The network half of the guest matrix: a guest with a port of each kind of ring (split and packed, event index
# and indirect descriptors on and off). Ping, a TCP stream there and back that comes home unchanged. Source lib.sh
# and vm.sh first. The test says how a port is asked for and where its other end is:
#
#     net_port I QUEUES HIDE    the --net argument of port I, without the features HIDE ("none": with all)
#     net_dev I                 the interface here that port I talks to; it gets the address 10.71.I.1

# a test may set fewer
[ -n "${NET_KINDS:-}" ] ||
	NET_KINDS=(none packed event-idx indirect packed:event-idx packed:indirect event-idx:indirect packed:event-idx:indirect)
NET_N=${#NET_KINDS[@]}
# over how many ports 64 MiB go, each way; 2 MiB over the others
NET_BIG=${NET_BIG:-1}

# net_args QUEUES: the ports of a machine, in NET_ARGS
net_args() {
	local i
	NET_ARGS=()
	for i in "${!NET_KINDS[@]}"; do
		NET_ARGS+=(--net "$(net_port "$i" "$1" "${NET_KINDS[i]}" | sed s/,hide=none//)")
	done
}

# net_guest_has PAIRS: the guest has its ports, with so many pairs of each in use (no more than it has processors)
net_guest_has() {
	cat <<-END
	fail() { echo "guest FAIL: \$*"; exit 1; }
	for i in \$(seq 0 $((NET_N - 1))); do
		[ \$(ls -d /sys/class/net/eth\$i/queues/rx-* | wc -l) = $1 ] || fail "queues of eth\$i"
		echo "features \$i \$(cut -c29,30,35 /sys/class/net/eth\$i/device/features)"
	done
	END
}

# net_guest PAIRS: the guest's part: takes the streams in order of the ports, and sends them back
net_guest() {
	net_guest_has "$1"
	cat <<-END
	# ports on one wire answer each for itself
	echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
	up() { for i in \$(seq 0 $((NET_N - 1))); do
		ip addr add 10.71.\$i.2/24 dev eth\$i; ip link set eth\$i up || fail "eth\$i"
	done; }
	up
	echo "guest ready"
	for i in \$(seq 0 $((NET_N - 1))); do
		nc -l -p 5001 </dev/null >/tmp/f; nc -l -p 5002 </tmp/f >/dev/null
	done
	echo "guest streamed"
	END
}

# moved NAME: what went through the queues so far, here or at the back end
moved() {
	lab_ctl "$1" stat --json | jq -c '.net_queues[]?, .exits.total'
	[ -z "${LAB_BACKEND:-}" ] || lab_vhostd_ask ports --json | jq -c '.[] | [.port, .in, .out, .drops]'
}

# stuck NAME WHAT: what the machine and its guest said last, and what still moves, so that a stream that stands can be
# told from a slow one, and from one whose guest is gone
stuck() {
	tail -n 5 "$LAB_WORK/$1.log"
	lab_ctl "$1" ports
	moved "$1"
	sleep 2
	moved "$1"
	lab_fail "$2"
}

# stream COMMAND: again until it succeeds, which is as soon as the guest listens; not longer than the machine is there.
# 64 MiB may take minutes on a busy host.
stream() {
	local end=$((SECONDS + 240)) pid
	while [ $SECONDS -lt $end ] && kill -0 "$LAB_PID" 2>/dev/null; do
		timeout $((end - SECONDS)) bash -c "$1" >/dev/null 2>&1 &
		pid=$!
		while kill -0 "$pid" 2>/dev/null && kill -0 "$LAB_PID" 2>/dev/null; do sleep 0.1; done
		kill "$pid" 2>/dev/null
		wait "$pid" && return
		sleep 0.1
	done
	lab_in_vain "for a stream"
	return 1
}

send() { stream "exec 3<>/dev/tcp/$2/5001 && cat $3 >&3" || stuck "$1" "no stream to $2"; }
back() { stream "exec 3</dev/tcp/$2/5002 && cmp - $3 <&3" || stuck "$1" "the stream from $2 differs"; }

# pings WHEN: each port answers
pings() {
	local i
	for i in "${!NET_KINDS[@]}"; do
		lab_wait 20 ping -c 1 -W 1 "10.71.$i.2" || lab_fail "port $i, without ${NET_KINDS[i]}, $1"
	done
}

# net_features NAME: the guest has the features it was offered and no others
net_features() {
	local i want
	for i in "${!NET_KINDS[@]}"; do
		want=$([[ ${NET_KINDS[i]} = *indirect* ]] && echo 0 || echo 1)
		want+=$([[ ${NET_KINDS[i]} = *event-idx* ]] && echo 0 || echo 1)
		want+=$([[ ${NET_KINDS[i]} = *packed* ]] && echo 0 || echo 1)
		lab_match "$LAB_WORK/$1.log" "^features $i $want" "features of port $i"
	done
}

# net_ready NAME: the guest is up, and answers on all ports
net_ready() {
	local i
	lab_seen "$1" "guest (ready|FAIL)" 120
	net_features "$1"
	for i in "${!NET_KINDS[@]}"; do ip addr replace "10.71.$i.1/24" dev "$(net_dev "$i")"; done
	pings "after the start"
}

# net_streams NAME: over each port, there and back
net_streams() {
	local i size
	for i in "${!NET_KINDS[@]}"; do
		size=2M
		[ "$i" -ge "$NET_BIG" ] || size=64M
		[ -e "$LAB_WORK/$size" ] || head -c $size /dev/urandom >"$LAB_WORK/$size"
		send "$1" "10.71.$i.2" "$LAB_WORK/$size"
		back "$1" "10.71.$i.2" "$LAB_WORK/$size"
		lab_note "machine $1, without ${NET_KINDS[i]}: $size there and back, at $(lab_now)"
	done
	lab_seen "$1" "guest (streamed|FAIL)" 30
}
