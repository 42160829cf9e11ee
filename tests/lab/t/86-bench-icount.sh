#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=3000 icount=on manual
#
# "sluice bench" by instructions: a disk in all four modes under the stock kernel, on a host whose clock counts them.
# Each mode has as many of them in each round, but for a few per cent, and fewer the less the VMM has to do.
# Every boot is a run of its own with a limit: under this clock a guest now and then stands still (README.md),
# and such a boot is done again. LOADS, OPS and RUNS may be set; result.json and report.html stay in $LAB_OUT.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
LOADS=${LOADS:-disk-read-4k-d1}
OPS=${OPS:-500} RUNS=${RUNS:-4}
MODES="emulated virtio vhost-user vfio"
LIMIT=25 # seconds of this clock: a boot with its loads takes four; the backend's first start takes longer

# one MODE ROUND: into $LAB_WORK/MODE-ROUND/result.json
one() {
	local i status
	for i in 1 2 3 4; do
		timeout $LIMIT "$SLUICE" bench --guest linux --kernel "$LAB_WORK/kernel" --initrd "$LAB_WORK/initrd" --runs 1 \
			--ops "$OPS" --only "${LOADS// /,}" --modes "$1" --disk-pf /dev/nvme0 --out "$LAB_WORK/$1-$2" \
			>"$LAB_WORK/log" 2>&1
		status=$?
		[ $status != 0 ] || return 0
		lab_note "$1, round $2, attempt $i: status $status"
	done
	cat "$LAB_WORK/log"
	lab_fail "$1: no boot came to its end"
}

# all results as one: a column for each mode with the samples of all rounds
merge() {
	jq -s '.[0] as $first | [.[].tests[]] as $tests | $first | .tests = [$tests | group_by(.name)[] | .[0] as $t | $t |
		.columns = ([$tests[] | select(.name == $t.name) | .columns[]] | group_by(.mode) |
			map({mode: .[0].mode, vmm: .[0].vmm, samples: map(.samples[])}))] |
		.warnings = [.warnings[] | select(.about != "runs")]' "$@"
}

# samples MODE TEST: instructions for each operation, a line each
samples() {
	jq -r --arg t "$2" --arg m "$1" '.tests[] | select(.name == $t) | .columns[] | select(.mode == $m) | .samples[] |
		.instructions / .ops | floor' "$LAB_OUT/result.json"
}

median() { samples "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# even MODE TEST: are its rounds alike?
even() {
	samples "$@" | sort -n | awk -v m="$1 $2" '{ v[NR] = $1 } END {
		printf "%-28s %d instructions an operation, %d to %d (%.1f %%)\n", m, v[int((NR + 1) / 2)], v[1], v[NR], 100 * (v[NR] / v[1] - 1)
		exit !(NR >= 1 && v[1] > 1000 && v[NR] <= 1.1 * v[1])
	}' || lab_fail "$1: the rounds differ by more than a tenth, or there are none"
}

modprobe vfio-pci
lab_bench_initrd "$LAB_WORK/initrd"
cp "$(lab_kernel 6.12 vmlinux)" "$LAB_WORK/kernel"
for ((r = 0; r < RUNS; r++)); do
	for m in $MODES; do
		one "$m" "$r"
		results+=("$LAB_WORK/$m-$r/result.json")
	done
done
merge "${results[@]}" >"$LAB_OUT/result.json" || lab_fail "the results do not fit together"
"$SLUICE" bench report "$LAB_OUT" || lab_fail "no report of the whole"
lab_eq "$(jq -r .environment.clock "$LAB_OUT/result.json")" "instructions, 1 ns each" "the clock"
for t in $LOADS; do
	for m in $MODES; do
		even "$m" "$t"
	done
	[ "$(median emulated "$t")" -gt "$(median virtio "$t")" ] || lab_fail "$t: virtio is more work than emulated"
	[ "$(median vfio "$t")" -lt "$(median virtio "$t")" ] || lab_fail "$t: a VF is more work than virtio"
done
