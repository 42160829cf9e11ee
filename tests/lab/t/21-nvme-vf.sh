#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=250
#
# A stock guest on an NVMe VF: 32 MiB written on the PF are what the guest reads, and the reverse.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

cat >"$LAB_WORK/guest.sh" <<-'END'
	echo "guest read $(dd if=/dev/nvme0n1 bs=128k count=256 2>/dev/null | sha256sum)"
	dd if=/dev/urandom of=/tmp/new bs=128k count=256 2>/dev/null
	dd if=/tmp/new of=/dev/nvme0n1 bs=128k seek=256 conv=fsync 2>/dev/null || exit 1
	echo "guest wrote $(sha256sum </tmp/new)"
END
dd if=/dev/urandom of="$LAB_WORK/new" bs=128k count=256 status=none
dd if="$LAB_WORK/new" of=/dev/nvme0n1 bs=128k oflag=direct status=none || lab_fail "cannot write on the PF"
lab_vm a "$LAB_WORK/guest.sh" --disk id=disk0,pf=/dev/nvme0
lab_seen a "guest wrote" 120
lab_done a 60
lab_match "$LAB_WORK/a.log" "guest read $(sha256sum <"$LAB_WORK/new")" "bytes that the guest read"
lab_match "$LAB_WORK/a.log" "guest wrote $(dd if=/dev/nvme0n1 bs=128k skip=256 count=256 iflag=direct status=none | sha256sum)" \
	"bytes that the guest wrote"
