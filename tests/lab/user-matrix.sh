# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The guest matrix on vhost-user, network and disks at sluice-vhostd: each kind of ring (split and packed, event index
# and indirect descriptors on and off) with 1 and with 4 queues. The second machine takes the network ports over from
# the first. Source lib.sh and vm.sh first; LAB_GUEST is the guest's kernel.
# shellcheck source=tests/lab/net-matrix.sh
. "$LAB_DIR/net-matrix.sh"
# shellcheck source=tests/lab/blk-matrix.sh
. "$LAB_DIR/blk-matrix.sh"

net_port() { echo "id=net$1,mode=vhost-user,socket=$LAB_WORK/s/n$1,mac=02:71:00:00:00:0$1,queues=$2,hide=$3"; }
# all of them are behind one switch
net_dev() { echo vt0; }
disk_opts() { echo "id=$1,mode=vhost-user,socket=$LAB_WORK/s/$1${3:+,$3}"; }

# user_ports ARG...: the back end with a port for each kind of ring, and whatever else it is to have
user_ports() {
	local i args=()
	for i in "${!NET_KINDS[@]}"; do args+=(--port "name=n$i,socket=$LAB_WORK/s/n$i,queues=4,flood=0"); done
	lab_vhostd "${args[@]}" "$@"
	lab_vhostd_ready
}

# all that both machines of the matrix will ask for
user_back_end() {
	local id opts args=()
	modprobe tun
	while read -r id opts; do
		truncate -s "${BLK_KIB}K" "$LAB_WORK/$id"
		args+=(--disk "name=$id,socket=$LAB_WORK/s/$id,path=$LAB_WORK/$id,${opts%%,*}")
	done < <(blk_kinds 1 4)
	user_ports --port "name=t,vdev=net_tap0,,iface=vt0,flood=0" "${args[@]}"
	ip link set vt0 up
}

# user_machine QUEUES CPUS STARTED: of four processors two are started, which is quicker here; the other queues are
# there, and 84-vhost-user-four-queues has them in use
user_machine() {
	local name=q$1
	net_args "$1"
	blk_args "$1"
	{ echo 'echo "guest kernel $(uname -r)"'; blk_guest; net_guest "$3"; } >"$LAB_WORK/guest.sh"
	LAB_CMDLINE=maxcpus=$3 LAB_VM_MEMORY=384M lab_vm "$name" "$LAB_WORK/guest.sh" --cpus "$2" "${NET_ARGS[@]}" "${BLK_ARGS[@]}"
	lab_seen "$name" "^disk vda" 300
	lab_match "$LAB_WORK/$name.log" "^guest kernel ${LAB_GUEST:-$LAB_KERNEL}\."
	lab_note "$1 queues, $(grep -ao '^guest kernel [^ ]*[0-9a-z]' "$LAB_WORK/$name.log"): up at $(lab_now)"
	lab_seen "$name" "^fio verified 8" 300
	lab_note "verified at $(lab_now)"
	net_ready "$name"
	net_streams "$name"
	lab_done "$name" 120
	blk_check "$name" "$1"
	lab_note "done at $(lab_now)"
}

user_matrix() {
	lab_note "at $(lab_now)"
	user_back_end
	lab_note "the back end is up at $(lab_now)"
	user_machine 1 1 1
	[ "$NET_BIG" != 1 ] || NET_BIG=0
	user_machine 4 4 2
	lab_vhostd_ask stat --json >"$LAB_WORK/stat"
	[ "$(jq '[.ports[] | select(.port != "t") | .queues[] | select(.queue > 0) | .in.packets // 0] | add' "$LAB_WORK/stat")" -gt 0 ] ||
		{ jq -c .ports "$LAB_WORK/stat"; lab_fail "all packets went through one pair of queues"; }
	[ "$(jq '[.disks[] | select(.queue > 0) | .writes] | add' "$LAB_WORK/stat")" -gt 0 ] ||
		{ jq -c .disks "$LAB_WORK/stat"; lab_fail "all requests went through one queue"; }
}
