#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=3000 icount=on manual
#
# "sluice bench" by instructions: a disk and a network card in all four modes under the stock kernel, on a host whose
# clock counts them. Each mode has about as many of them in each round, and virtio's disk fewer than the emulated one.
# Every boot is a run of its own with a limit: under this clock a guest now and then stands still (README.md), and such a
# boot is done again. LOADS, OPS and RUNS may be set; result.json and report.html stay in $LAB_OUT.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
LOADS=${LOADS:-disk-read-4k-d1 net-echo-64}
OPS=${OPS:-500} RUNS=${RUNS:-4}
MODES=${MODES:-emulated virtio vhost-user vfio}
LIMIT=${LIMIT:-150} # seconds for a boot with its loads, on a host with other work; 15 will do on one without
RTC=/sys/class/rtc/rtc0/since_epoch

loads_of() { tr ' ' '\n' <<<"$LOADS" | grep "^$1-" | paste -sd,; }

# still PID: ends a run that takes too long, by the host's clock. No program is started meanwhile: it would be counted.
still() {
	local begin now
	read -r begin <$RTC
	now=$begin
	while [ $((now - begin)) -lt "$LIMIT" ]; do
		read -r -t 0.25 -u 9
		read -r now <$RTC
	done
	kill "$1"
}

# one TOPIC MODE ROUND: into $LAB_WORK/TOPIC-MODE-ROUND/result.json
one() {
	local name=$1-$2-$3 i start status pid dog
	for i in 1 2 3 4; do
		"$SLUICE" bench "$1" --guest linux --kernel "$LAB_WORK/kernel" --initrd "$LAB_WORK/initrd" --runs 1 \
			--ops "$OPS" --only "$(loads_of "$1")" --modes "$2" --disk-pf /dev/nvme0 --net-pf eth0 --net-tap tap0 \
			--out "$LAB_WORK/$name" >"$LAB_WORK/log" 2>&1 9<&- &
		pid=$! start=$SECONDS
		still $pid &
		dog=$!
		wait $pid
		status=$?
		kill $dog 2>/dev/null
		wait $dog 2>/dev/null
		if [ $status = 0 ] && [ "$(jq '.tests | length' "$LAB_WORK/$name/result.json")" -gt 0 ]; then
			lab_note "$name, $((SECONDS - start)) s: $(jq -r '.tests[] | .name as $n | .columns[0].samples[0] | .ops as $o |
				[.instructions, .cpu_ns.vcpu, .cpu_ns.io, .cpu_ns.backend] | map((. // 0) / $o | floor) |
				"\($n) \(.[0]), in threads \(.[1]) + \(.[2]) + \(.[3])"' "$LAB_WORK/$name/result.json" | paste -sd";")"
			return
		fi
		lab_note "$name, attempt $i: status $status, $(grep -v ^bench: "$LAB_WORK/log" | head -n 1)"
	done
	cat "$LAB_WORK/log"
	lab_fail "$2, $1: no boot came to its end"
}

# all results as one: a column for each mode with the samples of all rounds
merge() {
	jq -s --arg modes "$MODES" '.[0] as $first | [.[].tests[]] as $tests | $first | .tests = [$tests | group_by(.name)[] | .[0] as $t | $t |
		.columns = ([$tests[] | select(.name == $t.name) | .columns[]] | group_by(.mode) |
			map({mode: .[0].mode, vmm: .[0].vmm, samples: map(.samples[])}) |
			sort_by(.mode as $m | $modes | split(" ") | index($m)))] |
		.warnings = [.warnings[] | select(.about != "runs")]' "$@"
}

# samples MODE TEST: instructions for each operation, a line each
samples() {
	jq -r --arg t "$2" --arg m "$1" '.tests[] | select(.name == $t) | .columns[] | select(.mode == $m) | .samples[] |
		.instructions / .ops | floor' "$LAB_OUT/result.json"
}

least() { samples "$@" | sort -n | head -n 1; }

# even MODE TEST: are its rounds alike? Those of a VF are so where L1's host has nothing else to do: while that sees to
# the device, L1's clock goes on, and with it the timers of guest and L1
even() {
	local most=1.3
	[ "$1" != vfio ] || most=4
	samples "$@" | sort -n | awk -v m="$1 $2" -v most=$most '{ v[NR] = $1 } END {
		printf "%-28s %d instructions an operation, %d to %d (%.1f %%)\n", m, v[int((NR + 1) / 2)], v[1], v[NR], 100 * (v[NR] / v[1] - 1)
		exit !(NR >= 1 && v[1] > 1000 && v[NR] <= most * v[1])
	}' || lab_fail "$1: the rounds differ too much, or there are none"
}

modprobe -a vfio-pci tun
# KVM waits for a halted vCPU in a loop before it gives up the CPU: that is no work, but would be counted
halt_poll=/sys/module/kvm/parameters/halt_poll_ns
poll_before=$(cat $halt_poll)
lab_cleanup() { echo "$poll_before" >$halt_poll; }
echo "${HALT_POLL:-0}" >$halt_poll
mkfifo "$LAB_WORK/never"
exec 9<>"$LAB_WORK/never"
lab_bench_initrd "$LAB_WORK/initrd"
cp "$(lab_kernel 6.12 vmlinux)" "$LAB_WORK/kernel"
for ((r = 0; r < RUNS; r++)); do
	for topic in disk net; do
		[ -n "$(loads_of $topic)" ] || continue
		for m in $MODES; do
			one $topic "$m" "$r"
			results+=("$LAB_WORK/$topic-$m-$r/result.json")
		done
	done
done
merge "${results[@]}" >"$LAB_OUT/result.json" || lab_fail "the results do not fit together"
"$SLUICE" bench report "$LAB_OUT" || lab_fail "no report of the whole"
lab_eq "$(jq -r .environment.clock "$LAB_OUT/result.json")" "instructions, 1 ns each" "the clock"
for t in $LOADS; do
	for m in $MODES; do
		even "$m" "$t"
	done
	# of others no order can be foretold: a VF's figure holds waits, a network card's how often somebody sleeps
	[[ $t == disk-* && $MODES == emulated*virtio* ]] || continue
	[ "$(least emulated "$t")" -gt "$(least virtio "$t")" ] || lab_fail "$t: virtio is more work than emulated"
done
