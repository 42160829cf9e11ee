#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=300
#
# Disks of sluice-vhostd and machines that die. Two machines have a disk each, with a verified load on them; one
# is killed. The other goes on; nothing of the dead guest's memory stays mapped; the next machine gets the disk. That
# the back end dies is the matter of 79.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
truncate -s 4M "$LAB_WORK/a" "$LAB_WORK/b"

cat >"$LAB_WORK/guest.sh" <<'END'
load() {
	fio --ioengine=libaio --direct=1 --thread --minimal --verify=crc32c --verify_fatal=1 --rw=randwrite --bs=4k-32k \
		--iodepth=8 --fdatasync=64 --size=100% --randseed=$1 --name=a --filename=/dev/vda >/tmp/out 2>&1 ||
		{ tail -n 5 /tmp/out; echo "guest FAIL"; exit 1; }
}
n=1
load $n
grep -q next /proc/cmdline && exit 0
echo "guest ready"
while [ ! -e /tmp/stop ]; do n=$((n + 1)); load $n; echo "guest round $n"; done &
read word </dev/console
touch /tmp/stop
wait
echo "guest sum $(sha256sum </dev/vda | cut -c1-64)"
END

disks() { lab_vhostd_ask disks --json | jq -c "[.[] | .connected, $1]"; }
lab_vhostd --disk "name=a,socket=$LAB_WORK/s/a,path=$LAB_WORK/a" --disk "name=b,socket=$LAB_WORK/s/b,path=$LAB_WORK/b,queues=2"
lab_vhostd_ready
mapped() { grep -c memfd: "/proc/$LAB_BACKEND/maps"; }
own=$(mapped)
lab_vm b "$LAB_WORK/guest.sh" --disk "id=b,mode=vhost-user,socket=$LAB_WORK/s/b,queues=2"
other=$LAB_PID
lab_vm a "$LAB_WORK/guest.sh" --disk "id=a,mode=vhost-user,socket=$LAB_WORK/s/a"
machine=$LAB_PID
lab_seen a "guest (ready|FAIL)" 120
LAB_PID=$other
lab_seen b "guest (ready|FAIL)" 120
lab_eq "$(disks '.regions > 0')" '[true,true,true,true]' "disks with two machines"
both=$(mapped)

kill -9 "$machine"
wait "$machine" 2>/dev/null
lab_wait 20 eval '[ "$(disks ".regions > 0")" = "[false,false,true,true]" ]' || lab_fail "disks with one machine: $(disks .regions)"
[ "$(mapped)" -lt "$both" ] || lab_fail "a dead machine's memory stays mapped"
[ "$(mapped)" -gt "$own" ] || lab_fail "the other machine's memory is not mapped"
n=$(grep -ac "guest round" "$LAB_WORK/b.log")
rounds() { [ "$(grep -ac "guest round" "$LAB_WORK/b.log")" -ge $((n + 2)) ]; }
lab_wait 60 rounds || lab_fail "the other machine stands still"
lab_say b stop
lab_done b 60
lab_eq "$(tr -d '\r' <"$LAB_WORK/b.log" | sed -n 's/^guest sum //p')" "$(sha256sum <"$LAB_WORK/b" | cut -c1-64)" \
	"what the other guest and its file hold"
lab_no_match "$LAB_WORK/b.log" "guest FAIL"
lab_wait 20 eval '[ "$(disks .regions)" = "[false,0,false,0]" ]' || lab_fail "disks without a machine: $(disks .regions)"
lab_eq "$(mapped)" "$own" "mappings when no machine is left"
LAB_CMDLINE=next lab_vm c "$LAB_WORK/guest.sh" --disk "id=a,socket=$LAB_WORK/s/a"
lab_done c 120
