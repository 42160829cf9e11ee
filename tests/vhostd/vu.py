# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user front end in Python: messages by hand, one split ring driver, a disk's and a network's requests.

Guest memory is reached through the file (pread, pwrite), never mapped: so a front end that cuts its own memory
short lives to see what becomes of the back end.
"""
import array
import os
import select
import socket
import struct
import threading
import time

from vhostd import wait

(GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR,
 SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR, GET_PROTOCOL_FEATURES,
 SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE) = range(1, 19)
GET_CONFIG, SET_CONFIG = 24, 25
GET_INFLIGHT_FD, SET_INFLIGHT_FD = 31, 32
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = 36, 37, 38, 39, 40

F_VERSION_1, F_PROTOCOL, F_MRG_RXBUF = 1 << 32, 1 << 30, 1 << 15
P_MQ, P_REPLY_ACK, P_CONFIG, P_INFLIGHT, P_MEM_SLOTS = 1 << 0, 1 << 3, 1 << 9, 1 << 12, 1 << 15
NEED_REPLY = 8
USER = 0x7f0000000000  # where the front end says that it has its memory
SIZE = 4 << 20


class Gone(AssertionError):
    """The back end closed the connection."""


class Front:
    """A connection with SIZE bytes of memory at guest address 0."""

    def __init__(self, path, size=SIZE):
        self.size = size
        self.mem = os.memfd_create("guest")
        os.ftruncate(self.mem, size)
        self.fds = [self.mem]
        self.kick, self.call = {}, {}
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.settimeout(10)
        self.s.connect(path)

    def close(self):
        self.s.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    # messages

    def raw(self, data, fds=()):
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.s.sendmsg([data], anc)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Gone("at sending") from e

    def send(self, req, payload=b"", fds=(), flags=0, size=None):
        self.raw(struct.pack("<III", req, 1 | flags, len(payload) if size is None else size) + payload, fds)

    def read(self, n):
        data = b""
        while len(data) < n:
            try:
                got, fds, _, _ = socket.recv_fds(self.s, n - len(data), 8)
            except ConnectionResetError as e:
                raise Gone("at reading") from e
            if not got:
                raise Gone("at reading")
            self.fds += fds
            data += got
        return data

    def reply(self):
        _, flags, size = struct.unpack("<III", self.read(12))
        assert flags & 4, "no answer"
        return self.read(size)

    def ask(self, req, payload=b"", fds=()):
        self.send(req, payload, fds)
        return self.reply()

    def ask_u64(self, req):
        return struct.unpack("<Q", self.ask(req))[0]

    def u64(self, req, v, fds=()):
        self.send(req, struct.pack("<Q", v), fds)

    def barrier(self):
        """All messages so far were handled; Gone if one of them was the last."""
        return self.ask_u64(GET_FEATURES)

    def is_gone(self, seconds=10):
        """The back end ends the connection."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.s], [], [], 0.2)[0]:
                continue
            try:
                if not self.s.recv(4096):
                    return True
            except ConnectionResetError:
                return True
        return False

    # set-up, in steps that a hostile one can stop between

    def features(self, wanted=0, protocol=P_MQ | P_REPLY_ACK):
        self.send(SET_OWNER)
        have = self.ask_u64(GET_FEATURES)
        offered = self.ask_u64(GET_PROTOCOL_FEATURES)
        self.u64(SET_PROTOCOL_FEATURES, offered & protocol)
        self.u64(SET_FEATURES, have & (F_VERSION_1 | F_PROTOCOL | wanted))

    def memory(self, off=0, size=None):
        region = struct.pack("<QQQQ", 0, self.size if size is None else size, USER, off)
        self.send(SET_MEM_TABLE, struct.pack("<II", 1, 0) + region, [self.mem])

    def ring_addr(self, q, n):
        """Rings live in the first pages, two pages each; data behind 1 MiB."""
        desc = q * 8192
        avail = desc + 16 * n
        used = desc + 4096 + 2048
        return desc, avail, used

    def ring(self, q, n=64, base=0, kick=True):
        desc, avail, used = self.ring_addr(q, n)
        self.send(SET_VRING_NUM, struct.pack("<II", q, n))
        self.send(SET_VRING_BASE, struct.pack("<II", q, base))
        self.send(SET_VRING_ADDR, struct.pack("<IIQQQQ", q, 0, USER + desc, USER + used, USER + avail, 0))
        for fds in (self.call, self.kick):
            fds[q] = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self.fds.append(fds[q])
        self.u64(SET_VRING_CALL, q, [self.call[q]])
        if kick:
            self.u64(SET_VRING_KICK, q, [self.kick[q]])
        self.send(SET_VRING_ENABLE, struct.pack("<II", q, 1))

    # the driver's end of a ring

    def put(self, at, data):
        os.pwrite(self.mem, data, at)

    def get(self, at, n):
        return os.pread(self.mem, n, at)

    def desc(self, q, i, addr, size, flags=0, nxt=0, n=64):
        self.put(self.ring_addr(q, n)[0] + 16 * i, struct.pack("<QIHH", addr, size, flags, nxt))

    def avail(self, q, heads, start, n=64):
        at = self.ring_addr(q, n)[1]
        for k, head in enumerate(heads):
            self.put(at + 4 + 2 * ((start + k) % n), struct.pack("<H", head))
        self.put(at + 2, struct.pack("<H", (start + len(heads)) & 0xffff))
        os.eventfd_write(self.kick[q], 1)

    def used_idx(self, q, n=64):
        return struct.unpack("<H", self.get(self.ring_addr(q, n)[2] + 2, 2))[0]

    def used(self, q, i, n=64):
        return struct.unpack("<II", self.get(self.ring_addr(q, n)[2] + 4 + 8 * (i % n), 8))

    def wait_used(self, q, idx, what, seconds=10):
        end = time.monotonic() + seconds
        while self.used_idx(q) != idx:
            assert time.monotonic() < end, "waited in vain: " + what
            select.select([self.call[q]], [], [], 0.005)


class Disk(Front):
    """A disk that reads and writes sectors, one at a time."""

    def __init__(self, path):
        super().__init__(path)
        self.features()
        self.memory()
        self.ring(0)
        self.n = 0

    def request(self, kind, sector, data):
        base = 1 << 20
        self.put(base, struct.pack("<IIQ", kind, 0, sector) + data)
        self.put(base + 8192, b"\xff")
        self.desc(0, 0, base, 16, 1, 1)
        self.desc(0, 1, base + 16, len(data), 1 if kind else 3, 2)
        self.desc(0, 2, base + 8192, 1, 2)
        self.avail(0, [0], self.n)
        self.n = (self.n + 1) & 0xffff
        self.wait_used(0, self.n, "a request of the disk")
        assert self.get(base + 8192, 1) == b"\0", "the disk reports an error"
        return self.get(base + 16, len(data))

    def check(self, round_no):
        """One block written and read back."""
        block = struct.pack("<Q", round_no) * 512
        self.request(1, 8, block)
        assert self.request(0, 8, bytes(4096)) == block, "the disk gave something else back"


class Net(Front):
    """A network card with one pair of queues."""

    def __init__(self, path):
        super().__init__(path)
        self.features(F_MRG_RXBUF)
        self.memory()
        self.ring(0)
        self.ring(1)
        self.rx = self.tx = 0
        for i in range(64):
            self.desc(0, i, (1 << 20) + 2048 * i, 2048, 2)
        self.avail(0, range(64), 0)

    def send_frame(self, frame):
        at = (2 << 20) + 2048 * (self.tx % 64)
        self.put(at, bytes(12) + frame)
        self.desc(1, self.tx % 64, at, 12 + len(frame))
        self.avail(1, [self.tx % 64], self.tx)
        self.tx = (self.tx + 1) & 0xffff
        self.wait_used(1, self.tx, "a frame to be taken")

    def has_frame(self, seconds):
        end = time.monotonic() + seconds
        while self.used_idx(0) == self.rx and time.monotonic() < end:
            select.select([self.call[0]], [], [], 0.005)
        return self.used_idx(0) != self.rx  # several may have come at once

    def recv_frame(self):
        assert self.has_frame(10), "waited in vain: a frame to come"
        head, size = self.used(0, self.rx)
        frame = self.get((1 << 20) + 2048 * head, size)[12:]
        self.avail(0, [head], (self.rx + 64) & 0xffff)
        self.rx = (self.rx + 1) & 0xffff
        return frame


class NetPair:
    """Two cards on ports of one switch; frames go from one to the other."""

    def __init__(self, a, b):
        self.a, self.b = Net(a), Net(b)

    def check(self, round_no):
        frame = b"\x02\0\0\0\0\x0b\x02\0\0\0\0\x0a\x88\xb5" + struct.pack("<Q", round_no) * 8
        self.a.send_frame(frame)
        assert self.b.recv_frame() == frame, "another frame came"

    def close(self):
        self.a.close()
        self.b.close()


class Healthy:
    """Checks something again and again on a thread; the first failure is kept."""

    def __init__(self, peer):
        self.peer, self.rounds, self.error, self.stop = peer, 0, None, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.stop:
                self.peer.check(self.rounds)
                self.rounds += 1
        except (AssertionError, OSError) as e:
            self.error = e

    def goes_on(self):
        have = self.rounds
        wait("a healthy peer to go on", lambda: self.error or self.rounds > have + 3)
        assert not self.error, f"a healthy peer: {self.error}"

    def end(self):
        self.stop = True
        self.thread.join()
        self.peer.close()
