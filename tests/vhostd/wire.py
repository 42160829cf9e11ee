#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An emulated card's wire on sluice-vhostd: wire.py BUILD-ROOT.

Frames, a checksum and a large send between two ports of the switch, which is killed and comes back in between; the switch is
killed at random moments, also while it comes up; a port that offers no offloads is refused with the reason.
"""
import os
import queue
import random
import subprocess
import tempfile
import threading
import time

from vhostd import BUILD, SLUICE, Vhostd

PROGRAM = os.path.join(BUILD, "tests/vhostd/test-wire")


def ports(folder):
    return sum((["--port", f"name={n},socket={folder}/{n},flood=0"] for n in "ab"), [])


def frames(folder):
    d = Vhostd(folder, *ports(folder))
    with subprocess.Popen([PROGRAM, f"{folder}/a", f"{folder}/b"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        try:
            for again in range(3):
                if again:
                    d.p.kill()
                    d.p.wait()
                    os.unlink(d.control)
                    d = Vhostd(folder, *ports(folder))
                    p.stdin.write("again\n")
                    p.stdin.flush()
                assert p.stdout.readline() == "done\n", "round %d failed" % again
                q = d.ports()
                assert q["b"]["drops"] == 0, q
            p.stdin.close()
            assert p.wait(20) == 0
        finally:
            p.kill()
    d.end()


def kills(folder):
    """Frames go through after each return, and do not have to wait for librte_vhost's next look at its sockets, which takes
    a second: of several returns the fastest is well below that."""
    took = []
    times = queue.SimpleQueue()
    with subprocess.Popen([PROGRAM, f"{folder}/a", f"{folder}/b", "watch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        reader = threading.Thread(target=lambda: [times.put(float(line)) for line in p.stdout])
        reader.start()
        try:
            for i in range(16):
                start = time.monotonic()
                d = Vhostd(folder, *ports(folder), ready=i % 2 == 0)
                if i % 2:
                    time.sleep(random.random() / 2)
                else:
                    back = time.monotonic()
                    through = times.get(timeout=20)
                    while through < start:
                        through = times.get(timeout=20)
                    took.append(through - back)
                d.kill()
        finally:
            p.kill()
            reader.join()
    print("frames came after", " ".join(f"{max(1000 * t, 0):.0f}" for t in took), "ms")
    assert min(took) < 0.7, "the switch is back long before frames are"


def refused(folder):
    d = Vhostd(folder, "--port", f"name=c,socket={folder}/c,offload=off")
    r = subprocess.run([SLUICE, "run", "--kernel", PROGRAM, "--explain", "--net", f"mode=emulated,socket={folder}/c"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    d.end()
    assert "lacks features 0x1801" in r.stdout and r.returncode == 1, r.stdout


def main():
    for test in (frames, kills, refused):
        with tempfile.TemporaryDirectory(prefix="sluice-wire.") as folder:
            os.chmod(folder, 0o700)
            test(folder)
        print("ok", test.__name__)


main()
