#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=120 iommu=off
#
# A host without an IOMMU: no port is viable, the reason says what to switch on, nothing is changed.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
guest=${SLUICE%/cmd/sluice}/tests/guest/poweroff.elf
[ -f "$guest" ] || lab_skip "no payload in this build"
modprobe vfio-pci
lab_refused 1 'port net0: .*IOMMU' "$SLUICE" run --serial null --kernel "$guest" --memory 64M --net pf=eth0
lab_refused 1 'port disk0: .*IOMMU' "$SLUICE" run --serial null --kernel "$guest" --memory 64M --disk pf=/dev/nvme0
lab_status 1 "$SLUICE" run --kernel "$guest" --net pf=eth0 --explain
lab_status 0 "$SLUICE" run --serial null --kernel "$guest" --memory 64M
