#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=240 append=no_timer_check
#
# The tiny guests of tests/kvm, on the real KVM of L1.
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
[ $bad = 0 ] || lab_fail "$bad of ${#names[@]}"
lab_note "${#names[@]} payloads"
