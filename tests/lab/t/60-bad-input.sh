#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240
#
# Bad input: each with status 1 (or 2 for usage), one clear line, nothing changed.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
guest=${SLUICE%/cmd/sluice}/tests/guest/poweroff.elf
[ -f "$guest" ] || lab_skip "no payload in this build"
modprobe vfio-pci

# refused STATUS REGEX ARGUMENT...: and it is one line
refused() {
	local want=$1 regex=$2
	shift 2
	lab_refused "$want" "$regex" "$SLUICE" run --serial null "$@"
	lab_eq "$(wc -l <"$LAB_WORK/refused.err")" 1 "lines of message of $*"
}
ok=(--kernel "$guest" --memory 64M)

# kernels
head -c 2000 "$(lab_kernel)" >"$LAB_WORK/truncated"
head -c 100000 /dev/urandom >"$LAB_WORK/noise"
: >"$LAB_WORK/empty"
refused 2 '--kernel is missing'
refused 1 'kernel /nonexistent: cannot open' --kernel /nonexistent
refused 1 "kernel $LAB_WORK/truncated: " --kernel "$LAB_WORK/truncated"
refused 1 'not a kernel' --kernel "$LAB_WORK/noise"
refused 1 'kernel .*empty' --kernel "$LAB_WORK/empty"
refused 1 'kernel /tmp' --kernel /tmp
truncate -s 300M "$LAB_WORK/initrd"
refused 1 'initrd' --kernel "$(lab_kernel)" --initrd "$LAB_WORK/initrd" --memory 256M
refused 1 'initrd' --kernel "$(lab_kernel)" --initrd /nonexistent

# memory and CPUs
refused 1 'too few|memory' --kernel "$guest" --memory 0
refused 1 'too few|memory' --kernel "$guest" --memory 1
refused 1 'asked for' --kernel "$guest" --memory 64G
refused 1 'asked for' --kernel "$guest" --memory 16384T
refused 2 'not a size' --kernel "$guest" --memory lots
refused 1 'pages of 2 MiB are needed' --kernel "$guest" --memory 1G,page=2M
refused 2 'out of range' "${ok[@]}" --cpus 0
refused 2 'out of range' "${ok[@]}" --cpus 17
refused 1 'CPU' "${ok[@]}" --cpus 1,pin=999

# ports
e1000=$(lab_bdf_of_net eth1)
refused 1 'port net0: .*SR-IOV' "${ok[@]}" --net pf=eth1
refused 1 'port net0: .*eth7' "${ok[@]}" --net pf=eth7
refused 1 'port net0: .*no PCI function' "${ok[@]}" --net bdf=0000:7f:00.0
refused 1 'port net0: .*bridge' "${ok[@]}" --net "bdf=$(basename "$(dirname "$(readlink -f "$LAB_PCI/$(lab_bdf_of_net eth0)")")")"
refused 1 "port net0: .*in use: interface eth1 is up" "${ok[@]}" --net "bdf=$e1000"
refused 1 'port disk0: .*not a' "${ok[@]}" --disk pf=eth0
refused 2 'not a PCI address' "${ok[@]}" --net bdf=zz
refused 2 'multicast' "${ok[@]}" --net pf=eth0,mac=01:00:5e:00:00:01
refused 2 'zero' "${ok[@]}" --net pf=eth0,mac=00:00:00:00:00:00
refused 2 'did you mean mac' "${ok[@]}" --net pf=eth0,mca=52:54:00:00:00:01
refused 2 'did you mean --memory' --kernel "$guest" --memroy 64M
refused 1 'port net1: ' "${ok[@]}" --net pf=eth0,vfs=1 --net pf=eth0

# all VFs taken: one by a machine, the others as somebody else's
nic=$(lab_bdf_of_net eth0)
modprobe igbvf
lab_vfs "$nic" 1
lab_bind "$(lab_vf "$nic" 0)" igbvf
vf_dev=$(basename "$LAB_PCI/$(lab_vf "$nic" 0)"/net/*)
ip link set "$vf_dev" up
refused 1 "all 1 VFs of eth0 .*in use" "${ok[@]}" --net pf=eth0
ip link set "$vf_dev" down
lab_no_vfs "$nic"

# memlock: not for root with CAP_IPC_LOCK, so without it
lab_refused 1 'ulimit -l' setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \
	bash -c "ulimit -l 64; exec \"$SLUICE\" run --serial null --kernel \"$guest\" --memory 64M --net pf=eth0"

# no KVM
mv /dev/kvm /dev/kvm.away
refused 1 '/dev/kvm' "${ok[@]}"
mv /dev/kvm.away /dev/kvm
! compgen -G "/run/sluice/*.journal" >/dev/null || lab_fail "a journal is left"
