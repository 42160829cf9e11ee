#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A hostile guest on sluice-vhostd: a payload that corrupts its rings in every way it knows, on a disk and on a port.

guest.py BUILD-ROOT. Status 77: no usable /dev/kvm. After each bad ring the guest must be served again, and meanwhile and
afterwards so must the others.
"""
import os
import subprocess
import sys
import threading

from vhostd import BUILD, SLUICE, Vhostd, run_tests, wait
from vu import Disk, Net, NetPair

PAYLOAD = os.path.join(BUILD, "tests/guest/virtio-hostile.elf")
PASS = 65  # of isa-debug-exit


def others(d, folder, stop, rounds):
    """A healthy disk and a healthy pair of ports, and one that sends to the hostile port, until they are told to stop."""
    disk, pair, feeder = Disk(f"{folder}/d"), NetPair(f"{folder}/a", f"{folder}/b"), Net(f"{folder}/f")
    d.up("a", "b", "f")
    while not stop.is_set():
        disk.check(len(rounds))
        pair.check(len(rounds))
        feeder.send_frame(b"\xff" * 6 + b"\x02\0\0\0\0\x0f\x88\xb5" + bytes(64))
        rounds.append(1)
    disk.close()
    pair.close()
    feeder.close()


def hostile(folder, *port):
    # The healthy pair is on another VLAN than the hostile one: what that sends, garbage or not, is none of theirs.
    args = sum((["--port", f"name={n},vlan={v},socket={folder}/{n}"] for n, v in zip("abgf", (6, 6, 5, 5))), [])
    args += sum((["--disk", f"name={n},path=null:1M,socket={folder}/{n}"] for n in ("h", "p")), [])
    with open(f"{folder}/image", "wb") as f:
        f.truncate(1 << 20)
    d = Vhostd(folder, *args, "--disk", f"name=d,path={folder}/image,socket={folder}/d")
    stop, rounds = threading.Event(), []
    t = threading.Thread(target=others, args=(d, folder, stop, rounds))
    t.start()
    try:
        wait("the others", lambda: rounds)
        r = subprocess.run([SLUICE, "run", "--kernel", PAYLOAD, "--memory", "64M", "--debug-exit", "0xf4",
                            *(p.format(folder) for p in port), "--cmdline", "devices=1 away=1"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=100, check=False)
        assert r.returncode == PASS, f"the guest's status is {r.returncode}: {r.stdout[-1500:]}"
        d.alive()
        seen = len(rounds)
        assert t.is_alive(), "the others are not served"
        wait("the others afterwards", lambda: len(rounds) > seen + 1)
    finally:
        stop.set()
        t.join(30)
        print(d.text()[-1500:] if d.p.poll() is not None else "", end="")
        d.end()
    assert not t.is_alive(), "the others hang"


if __name__ == "__main__":
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        print("SKIP: /dev/kvm cannot be opened")
        sys.exit(77)
    sys.exit(run_tests([
        ("a disk", hostile, ("--disk", "id=d,mode=vhost-user,socket={}/h")),
        ("a port", hostile, ("--net", "id=n,mode=vhost-user,socket={}/g")),
    ]))
