#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=400
#
# "sluice bench": a disk and a network card in all four modes under the stock kernel, by counts. What each request
# costs in exits to user space is what the textbook says of the mode; what cannot run is there with the planner's reason.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
TESTS=${TESTS:-disk-read-4k-d1 net-echo-64}

# user_exits TEST MODE: exits to user space for each request, in hundredths
user_exits() {
	jq -r --arg t "$1" --arg m "$2" '.tests[] | select(.name == $t) | .columns[] | select(.mode == $m) | .samples[0] |
		100 * (.exits.pio + .exits.mmio) / .ops | floor' "$out"
}

# user_expect TEST MODE LEAST MOST
user_expect() {
	local n
	n=$(user_exits "$1" "$2")
	[ -n "$n" ] || lab_fail "$1: there is no figure of $2"
	[ "$n" -ge "$3" ] || lab_fail "$1: $2 left for user space $n times in 100, at least $3 wanted"
	[ "$n" -le "$4" ] || lab_fail "$1: $2 left for user space $n times in 100, at most $4 wanted"
}

modprobe -a vfio-pci tun
lab_bench_initrd "$LAB_WORK/initrd"
"$SLUICE" bench --guest linux --kernel "$(lab_kernel)" --initrd "$LAB_WORK/initrd" --runs 1 --ops 200 \
	--only "${TESTS// /,}" --disk-pf /dev/nvme0 --net-pf eth0 --net-tap tap0 --out "$LAB_WORK/four" \
	>"$LAB_WORK/four.log" 2>&1 || { tail -n 5 "$LAB_WORK/four.log"; lab_fail "sluice bench failed"; }
out=$LAB_WORK/four/result.json
jq -r '.skipped[]? | "skipped: \(.mode) \(.test) \(.reason)"' "$out"
for t in $TESTS; do
	lab_note "$t: user-space exits of 100 requests: emulated $(user_exits "$t" emulated), virtio $(user_exits "$t" virtio)," \
		"vhost-user $(user_exits "$t" vhost-user), vfio $(user_exits "$t" vfio)"
done
user_expect disk-read-4k-d1 emulated 195 1000
user_expect net-echo-64 emulated 195 2000
for t in disk-read-4k-d1 net-echo-64; do
	for m in virtio vhost-user vfio; do user_expect $t $m 0 20; done
done
lab_eq "$(jq '[.tests[].columns[].samples[] | select(.errors > 0)] | length' "$out")" 0 "loads with errors"
lab_eq "$(jq -r '[.warnings[] | select(.about == "kvm")][0].level' "$out")" refuse "times of an emulated host"
lab_no_match <(ip addr show) '169\.254\.88\.' "the host's addresses"

# an unfair set-up is flagged: here a QEMU that is not given the huge pages which all were to have
hugepages=/proc/sys/vm/nr_hugepages
before=$(cat $hugepages)
lab_cleanup() { echo "$before" >$hugepages; }
echo $((before + 40)) >$hugepages
# shellcheck disable=SC2016 # for the other shell
printf '#!/bin/bash\nexec qemu-system-x86_64 "${@/,hugetlb=on,hugetlbsize=2M/}"\n' >"$LAB_WORK/qemu"
chmod +x "$LAB_WORK/qemu"
"$SLUICE" bench disk --modes virtio --peer qemu --qemu "$LAB_WORK/qemu" --page 2M --memory 64M --only disk-read-4k-d1 --ops 50 \
	--runs 1 --out "$LAB_WORK/unfair" >"$LAB_WORK/unfair.log" 2>&1 || {
	tail -n 5 "$LAB_WORK/unfair.log"
	lab_fail "sluice bench: status $?"
}
lab_match "$LAB_WORK/unfair.log" "^warn: pages: disk-read-4k-d1: .* of 2048 KiB in one column and of 4 KiB in another"

# the reason, when a mode cannot run
for w in disk net; do
	"$SLUICE" bench $w --guest linux --kernel "$(lab_kernel)" --modes vfio --out "$LAB_WORK/none" >"$LAB_WORK/none.log" 2>&1
	lab_match "$LAB_WORK/none.log" "vfio under sluice: .*pf= or bdf="
done
