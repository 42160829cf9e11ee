#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240 append=no_timer_check
#
# The tiny guests of tests/kvm, and the benchmark's guest, on the real KVM of L1.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
bad=0
mapfile -t names < <(awk '/^[a-z]/ { print $1 }' "$LAB_REPO/tests/kvm/list")
for name in "${names[@]}"; do
	"$LAB_REPO/tests/kvm/run-one" "$name" >"$LAB_WORK/$name.log" 2>&1
	case $? in 0|77) continue ;; esac
	bad=$((bad + 1))
	lab_note "not ok $name"
	cat "$LAB_WORK/$name.log"
done
modprobe tun
bench=(exits nvme virtio-blk e1000 virtio-net)
for name in "${bench[@]}"; do
	SLUICE=${SLUICE:-$LAB_REPO/build/cmd/sluice} "$LAB_REPO/tests/kvm/bench-guest" "$name" >"$LAB_WORK/$name.log" 2>&1 && continue
	bad=$((bad + 1))
	lab_note "not ok bench-guest $name"
	cat "$LAB_WORK/$name.log"
done
[ $bad = 0 ] || lab_fail "$bad of $((${#names[@]} + ${#bench[@]}))"
lab_note "${#names[@]} payloads, ${#bench[@]} cases of the benchmark's guest"
