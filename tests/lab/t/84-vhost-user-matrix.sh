#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400 manual
#
# Stock guests on vhost-user, network and disks at sluice-vhostd: each kind of ring (split and packed, event index and
# indirect descriptors on and off) with 1 and with 4 queues, which 71 and 72 have for virtio. The second machine
# takes the network ports over from the first.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
# shellcheck source=tests/lab/net-matrix.sh
. "$LAB_DIR/net-matrix.sh"
# shellcheck source=tests/lab/blk-matrix.sh
. "$LAB_DIR/blk-matrix.sh"
modprobe tun

net_port() { echo "id=net$1,mode=vhost-user,socket=$LAB_WORK/s/n$1,mac=02:71:00:00:00:0$1,queues=$2,hide=$3"; }
# all of them are behind one switch
net_dev() { echo vt0; }
disk_opts() { echo "id=$1,mode=vhost-user,socket=$LAB_WORK/s/$1${3:+,$3}"; }

# all that both machines will ask for
back_end() {
	local i id opts args=(--port "name=t,vdev=net_tap0,,iface=vt0,flood=0")
	for i in "${!NET_KINDS[@]}"; do args+=(--port "name=n$i,socket=$LAB_WORK/s/n$i,queues=4,flood=0"); done
	while read -r id opts; do
		truncate -s "${BLK_KIB}K" "$LAB_WORK/$id"
		args+=(--disk "name=$id,socket=$LAB_WORK/s/$id,path=$LAB_WORK/$id,${opts%%,*}")
	done < <(blk_kinds 1 4)
	lab_vhostd "${args[@]}"
	lab_vhostd_ready
	ip link set vt0 up
}

# matrix QUEUES CPUS STARTED: of four processors two are started, which is quicker here; the other queues are there
matrix() {
	local name=q$1
	net_args "$1"
	blk_args "$1"
	{ blk_guest; net_guest "$3"; } >"$LAB_WORK/guest.sh"
	LAB_CMDLINE=maxcpus=$3 LAB_VM_MEMORY=384M lab_vm "$name" "$LAB_WORK/guest.sh" --cpus "$2" "${NET_ARGS[@]}" "${BLK_ARGS[@]}"
	lab_seen "$name" "^disk vda" 120
	lab_note "$1 queues: the guest is up at $(lab_now)"
	lab_seen "$name" "^fio verified 8" 120
	lab_note "verified at $(lab_now)"
	net_ready "$name"
	net_streams "$name"
	lab_done "$name" 60
	blk_check "$name" "$1"
	lab_note "done at $(lab_now)"
}

lab_note "at $(lab_now)"
back_end
lab_note "the back end is up at $(lab_now)"
matrix 1 1 1
[ "$NET_BIG" != 1 ] || NET_BIG=0
matrix 4 4 2
lab_vhostd_ask stat --json >"$LAB_WORK/stat"
[ "$(jq '[.ports[] | select(.port != "t") | .queues[] | select(.queue > 0) | .in.packets // 0] | add' "$LAB_WORK/stat")" -gt 0 ] ||
	{ jq -c .ports "$LAB_WORK/stat"; lab_fail "all packets went through one pair of queues"; }
[ "$(jq '[.disks[] | select(.queue > 0) | .writes] | add' "$LAB_WORK/stat")" -gt 0 ] ||
	{ jq -c .disks "$LAB_WORK/stat"; lab_fail "all requests went through one queue"; }
