#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluice-vhostd's network ports against a front end that is not ours: virtio_user of dpdk-testpmd.

net.py BUILD-ROOT. Frames from a pcap file go through the switch and are written to another: the bytes are
compared, for rings of each layout and both socket roles; then many queues, VLANs, ports that come and go.
Needs no huge pages. Status 77: there is no testpmd.
"""
import os
import random
import shutil
import struct
import subprocess
import sys
import time

from vhostd import VHOSTD, Vhostd, run_tests, wait

FRAMES = 1000
RING = 1024


def pcap_write(path, frames):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i, b in enumerate(frames):
            f.write(struct.pack("<IIII", i, 0, len(b), len(b)) + b)


def pcap_read(path):
    data = open(path, "rb").read()
    at, frames = 24, []
    while at + 16 <= len(data):
        n = struct.unpack_from("<I", data, at + 8)[0]
        if at + 16 + n > len(data):
            break
        frames.append(data[at + 16:at + 16 + n])
        at += 16 + n
    return frames


def frames_make(n):
    rnd = random.Random(7)
    head = b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + b"\x88\xb5"
    return [head + struct.pack(">I", i) + rnd.randbytes(rnd.choice([42, 46, 110, 494, 1006, 1496])) for i in range(n)]


class Testpmd:
    def __init__(self, folder, vdevs, *args):
        self.path = os.path.join(folder, "testpmd.log")
        cmd = ["dpdk-testpmd", "--no-pci", "--no-shconf", "--no-huge", "--no-telemetry", "-m", "160", "--lcores", "0@0-1,1@0-1"]
        for v in vdevs:
            cmd += ["--vdev", v]
        with open(self.path, "w", encoding="utf-8") as log:
            self.p = subprocess.Popen(cmd + ["--", "-i", "--no-flush-rx", "--total-num-mbufs=12288", f"--rxd={RING}", f"--txd={RING}", *args],
                                      stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True)

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()

    def end(self):
        if self.p.poll() is None:
            self.say("stop")
            self.say("quit")
        try:
            self.p.wait(20)
        finally:
            self.p.kill()


def sockets(folder, role):
    """Arguments of both sides for two ports a and b."""
    ours = "client" if role == "client" else "server"
    args = []
    for n in "ab":
        args += ["--port", f"name={n},socket={folder}/{n},role={ours},flood=0"]
    return args, ",server=1" if role == "client" else ""


def integrity(folder, ring, role):
    args, extra = sockets(folder, role)
    sent = frames_make(FRAMES)
    pcap_write(f"{folder}/in.pcap", sent)
    pcap_write(f"{folder}/none.pcap", [])
    d = Vhostd(folder, *args)
    t = Testpmd(folder, [f"net_pcap0,rx_pcap={folder}/in.pcap,tx_pcap={folder}/back.pcap",
                         f"net_virtio_user0,path={folder}/a,queue_size={RING},{ring}{extra}",
                         f"net_virtio_user1,path={folder}/b,queue_size={RING},{ring}{extra}",
                         f"net_pcap1,rx_pcap={folder}/none.pcap,tx_pcap={folder}/out.pcap"])
    try:
        d.up("a", "b")
        t.say("start")
        wait("the frames", lambda: d.ports()["b"]["out"] >= FRAMES, 15)
        time.sleep(0.3)
        t.end()
        got = pcap_read(f"{folder}/out.pcap")
        assert len(got) == FRAMES, f"{len(got)} of {FRAMES} frames came"
        assert got == sent, "frames differ, the first at %d" % next(i for i in range(FRAMES) if got[i] != sent[i])
        p = d.ports()
        assert p["a"]["in"] == FRAMES and p["b"]["drops"] == 0, p
        assert p["a"]["in-bytes"] == sum(map(len, sent)), p
    finally:
        t.end()
        d.end()


def many_queues(folder, n):
    args, _ = sockets(folder, "server")
    d = Vhostd(folder, *args)
    t = Testpmd(folder, [f"net_virtio_user{i},path={folder}/{s},queues={n}" for i, s in enumerate("ab")],
                f"--rxq={n}", f"--txq={n}", "--forward-mode=io")
    try:
        d.up("a", "b")
        wait("queues", lambda: all(p["queues"] == n for p in d.ports().values()))
        t.say("start tx_first 2")

        def all_used():
            return all(len(p["queues"]) == n and all(q["in"]["packets"] > 0 and q["out"]["packets"] > 0 for q in p["queues"])
                       for p in d.ask("stat")["ports"])
        wait("packets on all queues", all_used)
    finally:
        t.end()
        d.end()


def live(folder):
    """Ports come and go by command; VLANs are apart; a wrong request changes nothing."""
    d = Vhostd(folder)
    t = None
    try:
        d.ask("port-add", f"name=a,socket={folder}/a,flood=0")
        d.ask("port-add", f"name=b,socket={folder}/b,flood=0,vlan=5")
        for bad in (f"name=a,socket={folder}/c", "name=c", "name=c,vdev=net_nothing0"):
            status, _, err = d.ctl("port-add", bad)
            assert status == 1 and "port" in err, (bad, status, err)
        d.ask("port-add", "name=n,vdev=net_null0,,no-rx=1,flood=0")
        assert sorted(d.ports()) == ["a", "b", "n"], d.ports()
        t = Testpmd(folder, [f"net_virtio_user0,path={folder}/a", f"net_virtio_user1,path={folder}/b"], "--forward-mode=txonly")
        d.up("a", "b")
        t.say("start")
        wait("packets from a to n", lambda: d.ports()["n"]["out"] > 10000)
        p = d.ports()
        assert p["a"]["out"] == 0 and p["b"]["out"] == 0, "a VLAN leaks: " + str(p)
        for _ in range(5):
            d.ask("port-del", "n")
            d.ask("port-add", "name=n,vdev=net_null0,,no-rx=1,flood=0")
            wait("packets again", lambda: d.ports()["n"]["out"] > 1000)
        d.ask("port-del", "a")
        assert sorted(d.ports()) == ["b", "n"]
        t.end()
        wait("b lost", lambda: d.ports()["b"]["state"] == "lost")
        assert not os.path.exists(f"{folder}/a")
    finally:
        if t:
            t.end()
        d.end()


def main():
    if not shutil.which("dpdk-testpmd") or not os.path.exists(VHOSTD):
        print("needs dpdk-testpmd and sluice-vhostd")
        return 77
    rows = []
    for packed in (0, 1):
        for mrg in (0, 1):
            rows.append((f"packed_vq={packed},mrg_rxbuf={mrg},in_order={1 - mrg}", "server"))
    rows += [("packed_vq=0,mrg_rxbuf=1,in_order=1", "client"), ("packed_vq=1,mrg_rxbuf=1,in_order=1", "client")]
    tests = [(f"{r} {role}", integrity, (r, role)) for r, role in rows]
    tests += [("queues 4", many_queues, (4,)), ("live", live, ())]
    return run_tests(tests)


if __name__ == "__main__":
    sys.exit(main())
