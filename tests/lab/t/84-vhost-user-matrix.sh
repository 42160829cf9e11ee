#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=900 manual
#
# Stock guests on vhost-user, network and disks at sluice-vhostd: each kind of ring (split and packed, event index and
# indirect descriptors on and off) with 1 and with 4 queues, which 71 and 72 have for virtio.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"
# shellcheck source=tests/lab/user-matrix.sh
. "$LAB_DIR/user-matrix.sh"
user_matrix
