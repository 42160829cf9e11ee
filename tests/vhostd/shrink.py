#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Front ends that cut their memory short while sluice-vhostd uses it, beside some that do not.

shrink.py BUILD-ROOT. The others must not notice, and the one who did it is dropped. Needs no huge pages.
"""
import os
import struct
import sys

from vhostd import Vhostd, run_tests, wait
from vu import GET_INFLIGHT_FD, P_INFLIGHT, P_MQ, SET_INFLIGHT_FD, Disk, Front, Gone, Healthy, NetPair

TIMES = 2


def disk_load(f, q=0):
    """Requests in flight: many, and never waited for."""
    for i in range(20):
        f.put((1 << 20) + 8192 * i, struct.pack("<IIQ", 0, 0, 8 * i))
        f.desc(q, 3 * i, (1 << 20) + 8192 * i, 16, 1, 3 * i + 1)
        f.desc(q, 3 * i + 1, (2 << 20) + 4096 * i, 4096, 3, 3 * i + 2)
        f.desc(q, 3 * i + 2, (1 << 20) + 8192 * i + 16, 1, 2)
    f.avail(q, [3 * i for i in range(20)], 0)


def net_load(f, q=1):
    for i in range(64):
        f.put((1 << 20) + 2048 * i, bytes(12) + b"\xff" * 6 + b"\x02\0\0\0\0\x0c\x88\xb5" + bytes(200))
        f.desc(q, i, (1 << 20) + 2048 * i, 1500)
    f.avail(q, range(64), 0)


def under_load(f, queues, load, left):
    """The file ends at byte `left` while requests are served; then there is more to do."""
    f.memory()
    for q in range(queues):
        f.ring(q)
    f.barrier()
    load(f)
    os.ftruncate(f.mem, left)
    for q in range(queues):
        os.eventfd_write(f.kick[q], 1)


def before_start(f, queues, load, left):
    """The file ends before the rings are looked at for the first time."""
    f.memory()
    f.barrier()
    os.ftruncate(f.mem, left)
    for q in range(queues):
        f.ring(q)
        os.eventfd_write(f.kick[q], 1)


def data_gone(f, queues, load, left):
    """Rings stay, what they point at is gone before it is pointed at."""
    f.memory()
    for q in range(queues):
        f.ring(q)
    f.barrier()
    os.ftruncate(f.mem, left)
    # Descriptors are in what is left; buffers are not written, or the file would grow again.
    f.put = lambda at, data, put=f.put: put(at, data) if at < left else None
    load(f)


def inflight_gone(f, queues, load, left):
    f.memory()
    shape = struct.pack("<QQHH", 0, 0, queues, 64)
    f.send(GET_INFLIGHT_FD, shape)
    answer = f.reply()
    fd = f.fds[-1]
    try:
        os.ftruncate(fd, 0)
    except PermissionError:  # sealed: then another file in its place
        fd = os.memfd_create("inflight")
        f.fds.append(fd)
    os.ftruncate(fd, struct.unpack("<QQHH", answer)[0])
    f.send(SET_INFLIGHT_FD, answer, [fd])
    f.barrier()
    os.ftruncate(fd, 0)
    for q in range(queues):
        f.ring(q)
    load(f)


def attack(d, folder, kind, way, left):
    """Returns whether all of it could be sent: it may be found out before."""
    f = Front(f"{folder}/{kind}")
    f.features(0, P_MQ | (P_INFLIGHT if way is inflight_gone else 0))
    try:
        way(f, 1 if kind == "disk" else 2, disk_load if kind == "disk" else net_load, left)
        assert f.is_gone(), "who cut the memory short was not dropped"
    except Gone:
        pass
    f.close()
    d.alive()


def attacks(folder, kind, ways):
    with open(f"{folder}/image", "wb") as f:
        f.truncate(1 << 20)
    args = ["--disk", f"name=good,socket={folder}/good,path={folder}/image",
            "--disk", f"name=disk,socket={folder}/disk,path=null:64M", "--port", f"name=net,socket={folder}/net"]
    for n in "ab":
        args += ["--port", f"name={n},socket={folder}/{n},vlan=7,flood=0"]
    d = Vhostd(folder, *args)
    peers = [Disk(f"{folder}/good"), NetPair(f"{folder}/a", f"{folder}/b")]
    d.up("a", "b")
    healthy = [Healthy(p) for p in peers]

    def drops():
        return d.disks()["disk"]["drops"] if kind == "disk" else d.ports()["net"]["dropped"]
    try:
        for i, (way, left) in enumerate(ways * TIMES):
            attack(d, folder, kind, way, left)
            wait(f"the drop after {way.__name__} to be told", lambda: drops() == i + 1)
            for h in healthy:
                h.goes_on()
        assert d.text().count("cut short") >= 1
    finally:
        for h in healthy:
            h.end()
        d.end()


def main():
    ways = [(under_load, 0), (before_start, 0), (data_gone, 1 << 16)]
    return run_tests([("disk", attacks, ("disk", ways + [(inflight_gone, 0)])), ("net", attacks, ("net", ways))])


sys.exit(main())
