#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=120 iommu=off
#
# A host without an IOMMU: no function can be assigned, the reason says what to switch on, nothing is changed; a port
# that names something else as well comes up on that.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
guest=${SLUICE%/cmd/sluice}/tests/guest/poweroff.elf
[ -f "$guest" ] || lab_skip "no payload in this build"
modprobe vfio-pci
lab_refused 1 'port net0: .*IOMMU' "$SLUICE" run --serial null --kernel "$guest" --memory 64M --net pf=eth0
lab_refused 1 'port disk0: .*IOMMU' "$SLUICE" run --serial null --kernel "$guest" --memory 64M --disk pf=/dev/nvme0
lab_status 1 "$SLUICE" run --kernel "$guest" --net pf=eth0 --explain
lab_status 0 "$SLUICE" run --serial null --kernel "$guest" --memory 64M

modprobe tun
"$SLUICE" run --kernel "$guest" --net pf=eth0,tap=tap0 --disk pf=/dev/nvme0,path=null:1G --explain >"$LAB_WORK/explain" ||
	lab_fail "--explain with a way out: status $?"
for port in net0 disk0; do
	lab_match "$LAB_WORK/explain" "^$port +vfio +no +no IOMMU is active: switch it on in the firmware" "--explain"
done
lab_eq "$(grep -cE '^ +virtio +yes ' "$LAB_WORK/explain")" 2 "ports on virtio"
"$SLUICE" run --serial null --kernel "$guest" --memory 64M --net pf=eth0,tap=tap0 --disk pf=/dev/nvme0,path=null:1G \
	2>"$LAB_WORK/run" || { cat "$LAB_WORK/run"; lab_fail "status of the machine"; }
lab_eq "$(grep -c 'comes up in mode virtio, since vfio: no IOMMU is active' "$LAB_WORK/run")" 2 "what the machine says"
