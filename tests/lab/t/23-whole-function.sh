#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# lab: timeout=250
#
# Whole functions: an e1000, which has INTx only, and the igb PF itself. Both get an address from
# the DHCP server behind them, so packets and interrupts go both ways.
# shellcheck source=tests/lab/lib.sh
. "$LAB_DIR/lib.sh"
# shellcheck source=tests/lab/vm.sh
. "$LAB_DIR/vm.sh"

cat >"$LAB_WORK/guest.sh" <<-'END'
	ip link set eth0 up
	for i in $(seq 100); do [ "$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = 1 ] && break; sleep 0.1; done
	udhcpc -i eth0 -n -q -t 10 -s /bin/true || exit 1
	grep eth0 /proc/interrupts
	echo "guest asks"
	read word </dev/console
	udhcpc -i eth0 -n -q -t 10 -s /bin/true
END

# whole BDF IRQ [OPTION]
whole() {
	lab_vm "$2" "$LAB_WORK/guest.sh" --net "id=net0,bdf=$1${3:-}"
	lab_seen "$2" "guest asks" 100
	lab_ctl "$2" ports
	lab_eq "$(lab_ctl "$2" ports --json | jq -r '.[0].irq')" "$2" "interrupts of $1"
	lab_say "$2" go
	lab_done "$2" 60
	lab_match "$LAB_WORK/$2.log" "lease of" "DHCP through $1"
}

lab_cleanup() {
	ip link set eth0 up
	ip link set eth1 up
	lab_wait 30 grep -q 1 /sys/class/net/eth0/carrier
}

e1000=$(lab_bdf_of_net eth1)
igb=$(lab_bdf_of_net eth0)
# an interface that is up is in use: refused, and told so
lab_refused 1 "eth1 is up" "$SLUICE" run --kernel "$(lab_kernel)" --memory 256M --net "id=net0,bdf=$e1000"
ip link set eth1 down
ip link set eth0 down
# this one has no reset at all: refused, unless forced
lab_refused 1 "force-no-reset=on" "$SLUICE" run --kernel "$(lab_kernel)" --memory 256M --net "id=net0,bdf=$e1000"
whole "$e1000" intx ,force-no-reset=on
whole "$igb" msix
lab_wait 20 ip link set eth0 up || lab_fail "eth0 did not come back"
lab_wait 20 ip link set eth1 up || lab_fail "eth1 did not come back"
lab_wait 30 grep -q 1 /sys/class/net/eth0/carrier || lab_fail "eth0 has no carrier"
