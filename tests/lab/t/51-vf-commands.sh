#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240
#
# "sluice vf" by hand: create, set, list, release, and restore after an owner that was killed; each
# brings back what was there, and a refusal changes nothing.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
guest=${SLUICE%/cmd/sluice}/tests/guest/hello.elf
[ -f "$guest" ] || lab_skip "no payload in this build"
modprobe vfio-pci
nic=$(lab_bdf_of_net eth0)

ok() { lab_status 0 "$SLUICE" vf "$@"; }
vf_line() { ip link show eth0 | sed -nE "s/^ +(vf $1 .*[^ ]) *$/\1/p"; }
# The NIC's link comes back some seconds after its number of VFs has changed.
state() { bash "$LAB_DIR/l1-state"; }
same() { [ "$(state)" = "$1" ]; }
is_same() {
	lab_wait 20 same "$1" && return
	diff <(echo "$1") <(state)
	lab_fail "$2"
}
# refused STATUS REGEX ARGUMENT...: and it is one line
refused() {
	lab_refused "$1" "$2" "$SLUICE" vf "${@:3}"
	lab_eq "$(wc -l <"$LAB_WORK/refused.err")" 1 "lines of message of vf ${*:3}"
}
list() { "$SLUICE" vf list --json | jq -r "$1"; }

before=$(state)
lab_eq "$(list '.pfs[] | select(.name == "eth0") | "\(.vfs) of \(.max)"')" "0 of 7" "VFs at first"

# create: VFs that no driver takes
refused 1 'eth0 .*it can have 7' create eth0 --count 8
refused 2 '.' create eth0 --count 0
refused 1 'no SR-IOV' create eth1 --count 1
ok create eth0 --count 3
lab_eq "$(cat "$LAB_PCI/$nic/sriov_numvfs" "$LAB_PCI/$nic/sriov_drivers_autoprobe" | xargs)" "3 0" "VFs, autoprobe"
lab_eq "$(list '[.vfs[] | select(.pf == "eth0") | .driver] | join(" ")')" "- - -" "drivers of the VFs"
refused 1 'eth0 .*3 VFs already' create eth0 --count 2
lab_wait 20 grep -q 1 /sys/class/net/eth0/carrier || lab_fail "eth0 has no carrier"
made=$(state)

# set: each value as the kernel tells it, the neighbours as they were
others=$(vf_line 0; vf_line 2)
ok set eth0/1 --mac 52:54:00:aa:bb:01 --vlan 7 --qos 3 --trust on --spoofchk off --rate 100
line=$(vf_line 1)
for want in 'link/ether 52:54:00:aa:bb:01 ' 'vlan 7, qos 3' 'max_tx_rate 100Mbps|tx rate 100 ' 'spoof checking off' 'trust on'; do
	grep -Eq "$want" <<<"$line" || lab_fail "no '$want' in '$line'"
done
lab_eq "$(vf_line 0; vf_line 2)" "$others" "settings of the other VFs"
lab_match <(list '.vfs[1].settings') 'mac 52:54:00:aa:bb:01 vlan 7 trust on spoofchk off rate 100' "list"
lab_eq "$(list '.vfs[1].net | "\(.mac) \(.vlan) \(.qos) \(.trust) \(.spoofchk) \(.rate) \(.link)"')" \
	"52:54:00:aa:bb:01 7 3 true false 100 auto" "list of VF 1"
"$SLUICE" vf list >"$LAB_WORK/table" || lab_fail "vf list"
lab_match "$LAB_WORK/table" 'eth0 .*52:54:00:aa:bb:01'
lab_match "$LAB_WORK/table" '82576 Gigabit Network Connection'

# refusals change nothing
now=$(state)
refused 2 'multicast' set eth0/1 --mac 01:00:5e:00:00:01
refused 2 '00:00:00:00:00:00' set eth0/1 --mac 00:00:00:00:00:00
refused 2 'vlan.*out of range' set eth0/1 --vlan 4095
refused 2 'nothing to set' set eth0/1
refused 2 'needs a VLAN' set eth0/1 --qos 1
refused 1 'cannot set the link' set eth0/1 --mac 52:54:00:aa:bb:07 --link disable
refused 1 'no VF 9' set eth0/9 --trust on
refused 1 'eth0 .*is no VF' set eth0 --trust on
refused 1 'nothing was done' release eth0/2
same "$now" || { diff <(echo "$now") <(state); lab_fail "a refusal changed something"; }

# a second change of the same VF, named by its address; both are undone
ok set "$(lab_vf "$nic" 1)" --mac 52:54:00:aa:bb:02 --vlan 0 --trust off
lab_match <(vf_line 1) 'link/ether 52:54:00:aa:bb:02 ' "second MAC"
ok set eth0/0 --spoofchk off
ok release eth0/1
lab_no_match <(vf_line 1) '52:54:00|vlan|trust on|spoof checking off' "VF 1 after its release"
lab_match <(vf_line 0) 'spoof checking off' "VF 0 keeps what was set"
ok release eth0/0
is_same "$made" "vf release leaves something behind"

# a machine has a VF: by hand it is not touched; killed, it is given back
lab_start vm "$SLUICE" run --name held --kernel "$guest" --memory 64M --serial null --control "$LAB_WORK/vm.sock" \
	--net pf=eth0,mac=52:54:00:aa:bb:03,vlan=9
lab_wait 60 "$SLUICE" ctl "$LAB_WORK/vm.sock" ports || { cat "$LAB_WORK/vm.log"; lab_fail "the machine does not run"; }
lab_eq "$(list '[.vfs[] | select(.owner | startswith("held (pid")) | .vf] | length')" 1 "VFs of the machine"
lab_eq "$(list '.vfs[0].taken_by | "\(.name) \(.pid) \(.alive)"')" "held $LAB_PID true" "owner of VF 0"
refused 1 "taken by held \(pid $LAB_PID\)" set eth0/0 --vlan 3
refused 1 "held lives \(pid $LAB_PID\)" restore held
ok restore
lab_match <(vf_line 0) 'vlan 9' "a living machine's VF after vf restore"
kill -9 "$LAB_PID"
wait "$LAB_PID" 2>/dev/null
rm "$LAB_WORK/vm.sock"
lab_eq "$(list '.vfs[0].taken_by.alive')" false "owner that was killed"
refused 1 'sluice vf restore' set eth0/0 --vlan 3
ok restore held
is_same "$made" "vf restore leaves something of a killed machine behind"

# release of the PF: the VFs themselves, and those of the NVMe controller
ok set eth0/2 --mac 52:54:00:aa:bb:04
ok release eth0
is_same "$before" "vf release of the PF leaves something behind"
refused 1 'nothing was done' release eth0
ok create /dev/nvme0 --count 2
lab_eq "$(list '[.vfs[] | select(.pf == "nvme0") | .nvme.online] | join(" ")')" "false false" "NVMe VFs"
# for another VMM: driver, resources and state of one of them
nvme_vf() { list '.vfs[1] | "\(.driver) \(.nvme.online) \(.nvme.vq) \(.nvme.vi)"'; }
refused 1 'is no network VF' set nvme0/1 --trust on
refused 1 'there is no driver nosuch' set nvme0/1 --driver nosuch
ok set nvme0/1 --driver vfio-pci --vq 2 --vi 1
lab_eq "$(nvme_vf)" "vfio-pci true 2 1" "NVMe VF 1"
ok release nvme0/1
lab_eq "$(nvme_vf)" "- false 0 0" "NVMe VF 1 after its release"
ok restore
lab_eq "$(list '.vfs | length')" 2 "VFs made by hand after vf restore"
ok restore --all
is_same "$before" "vf restore --all leaves something behind"
