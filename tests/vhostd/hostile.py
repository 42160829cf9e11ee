#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Front ends that break the rules of vhost-user, beside some that keep them.

hostile.py BUILD-ROOT. Each message with a wrong size, wrong descriptors and wrong contents, at each state of a
connection, on a disk's socket and on a port's; connections by the hundred; half messages; answers that nobody
reads; calls that cannot be taken; rings that go on and off without end. sluice-vhostd goes on, and so do the others.
Needs no huge pages.
"""
import os
import socket
import struct
import sys
import threading
import time

import vu
from vhostd import Vhostd, run_tests, wait
from vu import Disk, Front, Gone, Healthy, NetPair

BIG = 0xffffffffffffffff
U32 = 0xffffffff


def region(gpa=0, size=vu.SIZE, uva=vu.USER, off=0):
    return struct.pack("<QQQQ", gpa, size, uva, off)


def table(*regions, n=None):
    return struct.pack("<II", len(regions) if n is None else n, 0) + b"".join(regions)


def addr(q=0, desc=0, used=6144, avail=1024, flags=0):
    return struct.pack("<IIQQQQ", q, flags, vu.USER + desc, vu.USER + used, vu.USER + avail, 0)


def vring(q, n):
    return struct.pack("<II", q, n)


def config(off, size, n):
    return struct.pack("<III", off, size, 0) + bytes(n)


def inflight(size, off, queues, n):
    return struct.pack("<QQHH", size, off, queues, n)


# Contents that are right in form: (request, payload, how many descriptors).
GOOD = [(vu.SET_OWNER, b"", 0), (vu.SET_FEATURES, struct.pack("<Q", vu.F_VERSION_1 | vu.F_PROTOCOL), 0),
        (vu.SET_PROTOCOL_FEATURES, struct.pack("<Q", 1), 0), (vu.SET_MEM_TABLE, table(region()), 1),
        (vu.SET_LOG_BASE, struct.pack("<QQ", 4096, 0), 1), (vu.SET_LOG_FD, b"", 1), (vu.SET_VRING_NUM, vring(0, 64), 0),
        (vu.SET_VRING_ADDR, addr(), 0), (vu.SET_VRING_BASE, vring(0, 0), 0), (vu.GET_VRING_BASE, vring(0, 0), 0),
        (vu.SET_VRING_KICK, struct.pack("<Q", 0), 1), (vu.SET_VRING_CALL, struct.pack("<Q", 0), 1),
        (vu.SET_VRING_ERR, struct.pack("<Q", 0), 1), (vu.SET_VRING_ENABLE, vring(0, 1), 0), (vu.GET_CONFIG, config(0, 60, 60), 0),
        (vu.SET_CONFIG, config(0, 8, 8), 0), (vu.GET_INFLIGHT_FD, inflight(0, 0, 1, 64), 0),
        (vu.SET_INFLIGHT_FD, inflight(4096, 0, 1, 64), 1), (vu.ADD_MEM_REG, bytes(8) + region(1 << 30, vu.SIZE, 1 << 40), 1),
        (vu.REM_MEM_REG, bytes(8) + region(), 0), (vu.SET_STATUS, struct.pack("<Q", 15), 0)]


def contents():
    """Right in form, wrong in content."""
    for q in (1, 15, 16, 127, 128, 255, 256, U32):
        yield vu.SET_VRING_NUM, vring(q, 64), 0
        yield vu.SET_VRING_ADDR, addr(q), 0
        yield vu.SET_VRING_BASE, vring(q, 0), 0
        yield vu.GET_VRING_BASE, vring(q, 0), 0
        yield vu.SET_VRING_ENABLE, vring(q, 1), 0
        yield vu.SET_VRING_KICK, struct.pack("<Q", q), 0 if q & 256 else 1
        yield vu.SET_VRING_CALL, struct.pack("<Q", q), 0 if q & 256 else 1
        yield vu.SET_VRING_ERR, struct.pack("<Q", q), 0 if q & 256 else 1
    for n in (0, 3, 32768, 32769, 65536, U32):
        yield vu.SET_VRING_NUM, vring(0, n), 0
        yield vu.SET_VRING_BASE, vring(0, n), 0
        yield vu.SET_VRING_ENABLE, vring(0, n), 0
    for at in (1, 8, vu.SIZE - 16, vu.SIZE, BIG - vu.USER - 64, -vu.USER):
        yield vu.SET_VRING_ADDR, addr(desc=at), 0
        yield vu.SET_VRING_ADDR, addr(avail=at), 0
        yield vu.SET_VRING_ADDR, addr(used=at), 0
    yield vu.SET_VRING_ADDR, addr(flags=U32), 0
    yield from bad_memory()
    for size in (0, 1, 256, 257, U32):
        yield vu.GET_CONFIG, config(0, size, min(size, 256)), 0
        yield vu.SET_CONFIG, config(U32 - 1, size, min(size, 256)), 0
    for n in (0, 1, 3, 65535):
        yield vu.GET_INFLIGHT_FD, inflight(0, 0, n, 64), 0
        yield vu.GET_INFLIGHT_FD, inflight(0, 0, 1, n), 0
        yield vu.SET_INFLIGHT_FD, inflight(4096, 0, n, 64), 1
        yield vu.SET_INFLIGHT_FD, inflight(4096, 0, 1, n), 1
        yield vu.SET_INFLIGHT_FD, inflight(BIG - n, n, 1, 64), 1
        yield vu.SET_LOG_BASE, struct.pack("<QQ", BIG - n, n), 1
    for v in (1, 1 << 63, BIG):
        yield vu.SET_FEATURES, struct.pack("<Q", v), 0
        yield vu.SET_PROTOCOL_FEATURES, struct.pack("<Q", v), 0
        yield vu.SET_STATUS, struct.pack("<Q", v), 0
    for req in (0, 19, 20, 21, 22, 23, 26, 27, 28, 29, 30, 33, 34, 35, 41, 42, 43, 99, U32):
        yield req, bytes(8), 0
        yield req, bytes(8), 1


def bad_memory():
    ok = region()
    tables = [table(), table(n=9), table(ok, n=U32), table(ok, n=2), table(ok, ok), table(ok, region(4096, uva=1 << 30)),
              table(ok, region(1 << 30, uva=vu.USER + 4096)), table(*[region(i << 30, uva=i << 40) for i in range(8)]),
              table(region(size=0)), table(region(size=BIG)), table(region(off=BIG)), table(region(off=BIG - 4095)),
              table(region(off=4096)), table(region(gpa=BIG - 4095)), table(region(uva=BIG - 4095)), table(region(size=vu.SIZE + 1)),
              table(region(size=1 << 62)), table(region(off=1, size=1)), table(region(gpa=3, uva=5, off=7, size=4096))]
    for t in tables:
        n = min((len(t) - 8) // 32, 8)
        yield vu.SET_MEM_TABLE, t, n
        if n == 1:
            yield vu.ADD_MEM_REG, bytes(8) + t[8:], 1
            yield vu.REM_MEM_REG, bytes(8) + t[8:], 0


def forms(req, payload, nfds):
    """One message in wrong forms: (payload, size that the header says, flags, descriptors)."""
    n = len(payload)
    for size in {0, max(n - 1, 0), n + 1, n + 8, 4096} - {n}:
        yield (payload + bytes(4096))[:size], size, 1, nfds
    yield payload, U32, 1, nfds
    yield payload, n, 0, nfds
    yield payload, n, 2, nfds
    yield payload, n, 5, nfds
    for k in {0, nfds + 1, 8, 9} - {nfds}:
        yield payload, n, 1, k


def messages():
    for req, payload, nfds in GOOD:
        for data, size, flags, k in forms(req, payload, nfds):
            yield req, data, size, flags, k
    for req, payload, nfds in list(contents()) + GOOD:
        yield req, payload, len(payload), 1, nfds
        yield req, payload, len(payload), 1 | vu.NEED_REPLY, nfds


# States of a connection: each goes on from the one before.
def at_owned(f):
    f.send(vu.SET_OWNER)


def at_features(f):
    f.u64(vu.SET_PROTOCOL_FEATURES, f.ask_u64(vu.GET_PROTOCOL_FEATURES))
    f.u64(vu.SET_FEATURES, f.ask_u64(vu.GET_FEATURES) & (vu.F_VERSION_1 | vu.F_PROTOCOL))


def at_memory(f):
    f.memory()


def at_rings(f):
    f.ring(0)
    f.ring(1)
    f.u64(vu.SET_STATUS, 15)


STATES = [at_owned, at_features, at_memory, at_rings]


class Files:
    """Descriptors to send along: a file, one that is none, eventfds."""

    def __init__(self):
        self.file = os.memfd_create("hostile")
        os.ftruncate(self.file, vu.SIZE)
        self.event = [os.eventfd(0) for _ in range(9)]
        self.inflight = os.memfd_create("library")
        os.ftruncate(self.inflight, vu.SIZE)

    def take(self, req, n):
        if req == vu.SET_INFLIGHT_FD:
            return [self.inflight] * n
        kind = req in (vu.SET_VRING_KICK, vu.SET_VRING_CALL, vu.SET_VRING_ERR)
        return self.event[:n] if kind or n > 8 else [self.file] * n

    def close(self):
        for fd in [self.file, self.inflight, *self.event]:
            os.close(fd)


def say(path, reached, files, message):
    """One message at one state. Whatever becomes of it, the connection ends and nothing hangs."""
    req, data, size, flags, nfds = message
    f = Front(path)
    try:
        for state in STATES[:reached]:
            state(f)
        f.raw(struct.pack("<III", req, flags, size) + data, files.take(req, nfds))
        f.s.shutdown(socket.SHUT_WR)
        while f.s.recv(4096):
            pass
    except (Gone, ConnectionResetError):
        pass
    finally:
        f.close()


class Arena:
    """The program, a disk and two ports to be attacked, and healthy peers beside."""

    def __init__(self, folder):
        self.folder = folder
        with open(f"{folder}/image", "wb") as f:
            f.truncate(1 << 20)
        args = ["--disk", f"name=good,socket={folder}/good,path={folder}/image",
                "--disk", f"name=disk,socket={folder}/disk,path=null:64M", "--port", f"name=net,socket={folder}/net"]
        for n in "ab":
            args += ["--port", f"name={n},socket={folder}/{n},vlan=7,flood=0"]
        self.d = Vhostd(folder, *args)
        peers = [Disk(f"{folder}/good"), NetPair(f"{folder}/a", f"{folder}/b")]
        self.d.up("a", "b")
        self.healthy = [Healthy(p) for p in peers]
        self.fds = self.open_fds()

    def open_fds(self):
        """What each descriptor of the program is."""
        path, fds = f"/proc/{self.d.p.pid}/fd", []
        for n in os.listdir(path):
            try:
                fds.append(os.readlink(f"{path}/{n}"))
            except FileNotFoundError:
                pass
        return fds

    def more_fds(self):
        left = self.open_fds()
        for fd in self.fds:
            if fd in left:
                left.remove(fd)
        # librte_vhost 22.11 keeps what comes with a bad SET_INFLIGHT_FD, and may keep the connection that a
        # port has while it goes.
        left = [fd for fd in left if fd != "/memfd:library (deleted)"]
        return [fd for fd in left if not fd.startswith("socket:")] or left[4:]

    def free(self, kind):
        if kind == "disk":
            return not self.d.disks()["disk"]["connected"]
        return self.d.ports()["net"]["state"] != "connected"

    def memory(self):
        """Bytes that the program has of its own."""
        with open(f"/proc/{self.d.p.pid}/status", encoding="ascii") as f:
            return sum(int(line.split()[1]) << 10 for line in f if line.startswith("RssAnon:"))

    def check(self):
        self.d.alive()
        for h in self.healthy:
            h.goes_on()

    def end(self, attacked):
        """What was attacked serves a healthy one."""
        ok = False
        try:
            self.check()
            try:
                wait("descriptors to be closed", lambda: not self.more_fds(), 10)
            except AssertionError as e:
                raise AssertionError(f"descriptors left open: {self.more_fds()[:20]}") from e
            wait("what was attacked to be free", lambda: self.free(attacked))
            if attacked == "disk":
                f = Disk(f"{self.folder}/disk")
                f.request(0, 0, bytes(512))
            else:
                f = vu.Net(f"{self.folder}/net")
                self.d.up("net")
            f.close()
            ok = True
        finally:
            for h in self.healthy:
                h.end()
            if not ok and self.d.p.poll() is None:
                self.d.p.kill()
                self.d.p.wait()
        self.d.end()


def in_arena(fn):
    def run(folder, kind):
        a = Arena(folder)
        try:
            fn(a, kind)
        finally:
            a.end(kind)
    return run


@in_arena
def all_messages(a, kind):
    files = Files()
    sent = list(messages())
    for reached in range(len(STATES) + 1):
        for message in sent:
            say(f"{a.folder}/{kind}", reached, files, message)
            assert a.d.p.poll() is None, f"ended at state {reached} after {message}"
        a.check()
    files.close()


@in_arena
def crowd(a, kind):
    """Connections by the hundred, some of which say half a word."""
    socks = []
    for i in range(300):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.setblocking(False)
        try:
            s.connect(f"{a.folder}/{kind}")
            if i % 3 == 1:
                s.send(b"\x01\0\0")
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        socks.append(s)
    a.check()
    for s in socks:
        s.close()


@in_arena
def half_message(a, kind):
    """The payload never comes: nobody waits for it, not even who comes and goes meanwhile."""
    f = Front(f"{a.folder}/{kind}")
    f.raw(struct.pack("<III", vu.SET_FEATURES, 1, 8))
    time.sleep(0.1)
    a.d.ask("port-add", f"name=x,socket={a.folder}/x")
    g = Front(f"{a.folder}/x")
    g.features()
    g.close()
    a.d.ask("port-del", "x")
    a.check()
    f.close()


@in_arena
def no_reader(a, kind):
    """Questions without end, whose answers are never read."""
    f = Front(f"{a.folder}/{kind}")
    f.s.settimeout(0.5)
    try:
        for _ in range(20000):
            f.send(vu.GET_FEATURES)
    except (Gone, OSError):
        pass
    a.d.ask("port-add", f"name=x,socket={a.folder}/x")
    g = Front(f"{a.folder}/x")
    g.features()
    g.close()
    a.check()
    f.close()


@in_arena
def full_call(a, kind):
    """A call eventfd that has no room, and would be waited for."""
    f = Front(f"{a.folder}/{kind}")
    f.features(0)
    f.memory()
    f.ring(0)
    f.ring(1)
    for q in (0, 1):
        fd = os.eventfd(0)
        f.fds.append(fd)
        os.eventfd_write(fd, BIG - 1)
        f.u64(vu.SET_VRING_CALL, q, [fd])
    f.barrier()
    q = 0 if kind == "disk" else 1
    f.put(1 << 20, struct.pack("<IIQ", 8, 0, 0))
    for i in range(64):
        if kind == "disk":
            f.desc(q, i, 1 << 20, 16, 1, (i + 1) % 64)
        else:
            f.desc(q, i, (1 << 20) + 64, 100)
    if kind == "disk":
        f.desc(q, 1, (1 << 20) + 64, 20, 3, 2)
        f.desc(q, 2, (1 << 20) + 128, 1, 2)
    f.avail(q, [0], 0)
    wait("the request to be done", lambda: f.used_idx(q) == 1)
    a.check()
    f.close()


def front(a, kind):
    """A front end with two rings that go."""
    f = Front(f"{a.folder}/{kind}")
    f.features(0)
    f.memory()
    f.ring(0)
    f.ring(1)
    f.barrier()
    return f


@in_arena
def hurry(a, kind):
    """Rings go on and off faster than the control loop follows; it answers all the same, and what waits for it does
    not pile up."""
    f = front(a, kind)
    a.d.ask("ports")
    before = a.memory()
    some = b"".join(struct.pack("<IIIII", vu.SET_VRING_ENABLE, 1, 8, 1, k & 1) for k in range(500))
    end = time.monotonic() + 3
    while time.monotonic() < end:
        f.raw(some)
    a.d.ask("ports")
    grown = a.memory() - before
    assert grown < 256 << 10, f"the program grew by {grown} bytes"
    a.check()
    f.close()


@in_arena
def come_and_go(a, kind):
    """Front ends that come and go fill no log."""
    for _ in range(100):
        f = front(a, kind)
        f.close()
        wait("it to be gone", lambda: a.free(kind))
    lines = a.d.text().count("sluice:")
    assert lines < 60, f"{lines} lines of log"
    a.check()


@in_arena
def ports_go(a, kind):
    """Messages on one port, while others are taken away."""
    talker = threading.Event()

    def talk():
        while not talker.is_set():
            f = Front(f"{a.folder}/{kind}")
            try:
                f.features(0)
                f.memory()
                f.ring(0)
                for _ in range(50):
                    f.barrier()
            finally:
                f.close()
            wait("it to be gone", lambda: a.free(kind))
    thread = threading.Thread(target=talk)
    thread.start()
    for i in range(30):
        a.d.ask("port-add", f"name=x{i % 3},socket={a.folder}/x{i % 3}")
        a.d.ask("port-del", f"x{i % 3}")
    talker.set()
    thread.join()
    a.check()


def main():
    kinds = sys.argv[2:] or ["disk", "net"]
    tests = []
    for fn, name in ((all_messages, "messages"), (crowd, "crowd"), (half_message, "half a message"), (no_reader, "no reader"),
                     (full_call, "a call that blocks"), (come_and_go, "come and go")):
        tests += [(f"{name}: {k}", fn, (k,)) for k in kinds]
    if "net" in kinds:
        tests += [("in a hurry: net", hurry, ("net",)), ("ports that go: net", ports_go, ("net",))]
    return run_tests(tests)


sys.exit(main())
