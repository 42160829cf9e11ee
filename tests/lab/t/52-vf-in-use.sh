#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=180
#
# VFs that somebody else uses are neither taken nor removed: one whose VFIO group is open in another
# process, one whose interface is in another network namespace. And a journal that is not ours is left alone.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
guest=${SLUICE%/cmd/sluice}/tests/guest/poweroff.elf
[ -f "$guest" ] || lab_skip "no payload in this build"
modprobe vfio-pci
modprobe igbvf
nic=$(lab_bdf_of_net eth0)
lab_cleanup() { ip netns del other 2>/dev/null; }

state() { bash "$LAB_DIR/l1-state"; }
same() { [ "$(state)" = "$1" ]; }
# refused REGEX ARGUMENT...: by sluice, in one line
refused() {
	lab_refused 1 "$1" "$SLUICE" "${@:2}"
	lab_eq "$(wc -l <"$LAB_WORK/refused.err")" 1 "lines of message of ${*:2}"
}
run=(run --kernel "$guest" --memory 64M --serial null)
before=$(state)

lab_status 0 "$SLUICE" vf create eth0 --count 2
held=$(lab_vf "$nic" 0) away=$(lab_vf "$nic" 1)
lab_bind "$held" vfio-pci
group=$(basename "$(readlink "$LAB_PCI/$held/iommu_group")")
exec {fd}<>"/dev/vfio/$group"
lab_bind "$away" igbvf
ip netns add other
ip link set "$(basename "$LAB_PCI/$away"/net/*)" netns other || lab_fail "no interface to move"

now=$(state)
refused "port net0: .*group $group is open in another process" "${run[@]}" --net "bdf=$held"
refused "port net0: .*another network namespace" "${run[@]}" --net "bdf=$away"
refused "port net0: .*all 2 VFs of eth0 .*$held is in use: .*$away is in use" "${run[@]}" --net pf=eth0
lab_eq "$("$SLUICE" vf list --json | jq -r '[.vfs[] | select(.used != "-")] | length')" 2 "VFs in use"
same "$now" || { diff <(echo "$now") <(state); lab_fail "a refusal changed something"; }
refused "the VFs of $nic stay: VF $held .*in use by somebody else" vf release eth0
lab_eq "$(cat "$LAB_PCI/$nic/sriov_numvfs")" 2 "VFs after the refused release"

# once they are free, the release goes on
exec {fd}>&-
refused "the VFs of $nic stay: VF $away .*in use by somebody else" vf release eth0
ip netns del other
lab_wait 20 sh -c "[ -n \"\$(ls $LAB_PCI/$away/net)\" ]" || lab_fail "the interface does not come back"
ip link set "$(basename "$LAB_PCI/$away"/net/*)" down

# what is no journal of ours makes nobody undo anything
mkdir -p /run/sluice
echo '{"sluice-journal":1,"owner":"vm","pid":999999,"start":1' >/run/sluice/vm.999999.1.journal
cp /run/sluice/vm.999999.1.journal "$LAB_WORK/journal"
refused 'journal /run/sluice/vm.999999.1.journal: line 1.*nothing was undone' vf restore
cmp "$LAB_WORK/journal" /run/sluice/vm.999999.1.journal || lab_fail "the journal was changed"
rm /run/sluice/vm.999999.1.journal

lab_status 0 "$SLUICE" vf release eth0
lab_wait 20 same "$before" || { diff <(echo "$before") <(state); lab_fail "something is left behind"; }
