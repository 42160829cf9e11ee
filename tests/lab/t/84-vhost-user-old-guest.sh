#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=900 manual
#
# As 84-vhost-user-matrix, with guests of Debian's older kernel: its drivers on each kind of ring. 2 MiB go over each
# network port.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
NET_BIG=${NET_BIG:-0}
# shellcheck source=tests/lab/user-matrix.sh
. "$LAB_DIR/user-matrix.sh"
# shellcheck disable=SC2034 # for lab_vm
LAB_GUEST=6.1
user_matrix
