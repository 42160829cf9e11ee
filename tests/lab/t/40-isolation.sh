#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240 append=no_timer_check
#
# A hostile guest (tests/guest/nvme-rogue.c) makes its NVMe VF write to a page of L1 that is not its memory, then
# into the interrupt range. The page stays as it was, the IOMMU reports both, the VMM lives to the guest's own
# end, and another guest's traffic over its NIC VF loses nothing meanwhile.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

guests=$(dirname "$(dirname "$SLUICE")")/tests/guest
lab_expect_dmesg 'DMAR: .*(handling fault|DMA Write|INTR-REMAP)'

lab_cleanup() {
	"$SLUICE" vf restore >/dev/null 2>&1 # after a failure: the guests were killed
	lab_pf_down
}

# A locked page of this machine at or above 128 MiB, so that it is no address of the hostile guest; its
# physical address is the first line, the verdict (after a line on standard input) the second.
cat >"$LAB_WORK/canary.py" <<'END'
import ctypes, mmap, struct, sys
N = 4096 * 256
m = mmap.mmap(-1, N)
m[:] = b'\xa5' * N
at = ctypes.addressof(ctypes.c_char.from_buffer(m))
ctypes.CDLL(None).mlock(ctypes.c_void_p(at), N)
with open('/proc/self/pagemap', 'rb') as f:
    f.seek(at // 4096 * 8)
    pages = [(e & (1 << 55) - 1) * 4096 for e in struct.unpack('256Q', f.read(8 * 256))]
print(hex(max(p for p in pages if p >= 0x8000000)), flush=True)
sys.stdin.readline()
print('unchanged' if m[:] == b'\xa5' * N else 'CHANGED', flush=True)
END

# rogue TARGET: 65 means that the device was refused, 69 that it believes that it wrote (QEMU's NVMe controller
# does not look at the result of its DMA). What really happened is seen from outside.
rogue() {
	local status
	timeout 60 "$SLUICE" run --name rogue --kernel "$guests/nvme-rogue.elf" --cmdline "target=$1" \
		--memory 64M --debug-exit 0xf4 --disk id=disk0,pf=/dev/nvme0 </dev/null >"$LAB_WORK/rogue.log" 2>&1
	status=$?
	case $status in
	65|69) lab_note "hostile guest, target $1: $(grep -A 1 target "$LAB_WORK/rogue.log" | tail -n 1)" ;;
	*) lab_fail "hostile guest: status $status: $(cat "$LAB_WORK/rogue.log")" ;;
	esac
	lab_match "$LAB_WORK/rogue.log" "nvme-rogue: alive"
}

mkfifo "$LAB_WORK/ask"
python3 "$LAB_WORK/canary.py" <"$LAB_WORK/ask" >"$LAB_WORK/canary" 2>&1 &
LAB_CHILDREN+=($!)
exec 9>"$LAB_WORK/ask"
lab_wait_line "$LAB_WORK/canary" '^0x' 20
target=$(head -n 1 "$LAB_WORK/canary")
lab_note "canary at $target"

{
	lab_guest_net 2
	echo 'echo "L2: traffic"; ping -q -i 0.1 -c 200 -W 2 192.168.77.1'
} >"$LAB_WORK/peer.sh"
lab_pf_up
lab_vm peer "$LAB_WORK/peer.sh" --net id=net0,pf=eth0,mac=52:54:00:aa:bb:cc
peer=$LAB_PID
lab_seen peer "L2: traffic" 90

echo "lab: stray write" >/dev/kmsg
rogue "$target"
dmesg | sed '1,/lab: stray write/d' >"$LAB_WORK/dmesg"
lab_match "$LAB_WORK/dmesg" "DMAR: .*DMA Write.*fault addr (0x)?${target#0x}" "the IOMMU's report"
echo "lab: forged interrupt" >/dev/kmsg
rogue 0xfee00000
dmesg | sed '1,/lab: forged interrupt/d' >"$LAB_WORK/dmesg"
lab_match "$LAB_WORK/dmesg" "DMAR: .*INTR-REMAP" "the IOMMU's report of the forged interrupt"
kill -0 "$peer" 2>/dev/null || lab_fail "the other guest ended early: $(tail -n 5 "$LAB_WORK/peer.log")"

echo >&9
lab_wait_line "$LAB_WORK/canary" 'hanged' 10
lab_match "$LAB_WORK/canary" '^unchanged' "the canary page"
LAB_PID=$peer
lab_done peer 60
lab_match "$LAB_WORK/peer.log" "200 packets received, 0% packet loss" "traffic of the other guest"
lab_note "the page is unchanged, $(grep received "$LAB_WORK/peer.log")"
