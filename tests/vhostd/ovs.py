#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Open vSwitch with DPDK as the front end of sluice-vhostd's network ports, in both socket roles.

ovs.py BUILD-ROOT. Open vSwitch has two virtio_user ports at the switch: frames go out of the first, through
sluice-vhostd, in by the second, and by a flow to a pcap file, whose bytes are compared. Where Open vSwitch owns the sockets, sluice-vhostd is then killed and comes back, and the frames go
through again (as a client virtio_user does not try again). Open vSwitch runs with a database and sockets of its own,
apart from the system's service, and without huge pages. Status 77: it is not installed.
"""
import os
import shutil
import subprocess
import sys
import time

from net import FRAMES, RING, frames_make, pcap_read, pcap_write, sockets
from vhostd import VHOSTD, Vhostd, run_tests, wait

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
BRIDGE = f"slovs{os.getpid()}"  # an interface of that name is there as long
DATAPATH = "/sys/class/net/ovs-netdev"
# the main thread's CPU, and that of the one poll loop
CPUS = sorted(os.sched_getaffinity(0))


class Ovs:
    def __init__(self, folder):
        self.folder = folder
        self.db = f"unix:{folder}/db.sock"
        self.env = dict(os.environ, **{"OVS_" + k: folder for k in ("RUNDIR", "DBDIR", "LOGDIR", "SYSCONFDIR")})
        self.procs = []
        self.dirty = not os.path.exists(DATAPATH)
        subprocess.run(["ovsdb-tool", "create", f"{folder}/conf.db", SCHEMA], check=True, env=self.env)
        self.start("ovsdb", "ovsdb-server", f"{folder}/conf.db", f"--remote=p{self.db}")
        wait("the database", lambda: os.path.exists(f"{folder}/db.sock"))
        self.vsctl("--no-wait", "init")
        # a pool for each port, since the one for all is sized for huge pages
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true", "other_config:per-port-memory=true",
                   f"other_config:dpdk-lcore-mask={1 << CPUS[0]:#x}", f"other_config:pmd-cpu-mask={1 << CPUS[-1]:#x}",
                   "other_config:dpdk-extra=--no-pci --no-shconf --no-telemetry --legacy-mem --no-huge -m 320")
        self.start("vswitchd", VSWITCHD, self.db, f"--unixctl={folder}/vswitchd.ctl")
        # no flows but ours: it is not to learn addresses on its own
        self.vsctl("add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev", "fail-mode=secure",
                   "protocols=OpenFlow14")

    def start(self, name, *cmd):
        with open(f"{self.folder}/{name}.log", "w", encoding="utf-8") as log:
            self.procs.append(subprocess.Popen([*cmd, f"--pidfile={self.folder}/{name}.pid"], stdout=log, stderr=log, env=self.env))

    def vsctl(self, *args):
        r = subprocess.run(["ovs-vsctl", f"--db={self.db}", "--timeout=20", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, env=self.env, check=False)
        assert r.returncode == 0, f"ovs-vsctl {args}: {r.stdout}"
        return r.stdout.strip()

    def port(self, name, number, devargs):
        self.vsctl("add-port", BRIDGE, name, "--", "set", "Interface", name, "type=dpdk", f"options:dpdk-devargs={devargs}",
                   f"ofport_request={number}")
        assert self.vsctl("get", "Interface", name, "ofport") == str(number), f"port {name} has another number"

    def ofctl(self, verb, what):
        r = subprocess.run(["ovs-ofctl", "-O", "OpenFlow14", verb, f"unix:{self.folder}/{BRIDGE}.mgmt", what], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, env=self.env, check=False)
        assert r.returncode == 0, f"ovs-ofctl {verb}: {r.stdout}"

    def end(self):
        # otherwise its interfaces stay
        subprocess.run(["ovs-appctl", "-t", f"{self.folder}/vswitchd.ctl", "exit", "--cleanup"], env=self.env, check=False, timeout=20)
        for p in reversed(self.procs):
            try:
                p.wait(5 if p is self.procs[-1] else 0)
            except subprocess.TimeoutExpired:
                p.terminate()
                try:
                    p.wait(10)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
        if self.dirty and os.path.exists(DATAPATH):
            subprocess.run(["ip", "link", "del", os.path.basename(DATAPATH)], check=False)


def sent_all(d, o, frames):
    """Frames enter by the controller's door, not by a port: one that reads a file starts before it has a number."""
    with open(f"{o.folder}/bundle", "w", encoding="ascii") as f:
        f.writelines(f"packet-out in_port=controller,packet={b.hex()},actions=output:1\n" for b in frames)
    o.ofctl("bundle", f"{o.folder}/bundle")
    try:
        wait("the frames", lambda: d.ports()["b"]["out"] >= len(frames), 15)
    except AssertionError as e:
        raise AssertionError(f"{e}: {d.ports()}, {[o.vsctl('get', 'Interface', n, 'statistics') for n in 'ab']}") from e
    time.sleep(0.3)
    p = d.ports()
    assert p["a"]["in"] == p["b"]["out"] == len(frames) and p["b"]["drops"] == 0, p


def through(folder, ring, role):
    args, extra = sockets(folder, role)
    frames = frames_make(FRAMES)
    pcap_write(f"{folder}/none.pcap", [])
    d = Vhostd(folder, *args)
    o = None
    try:
        o = Ovs(folder)
        for i, n in enumerate("ab"):
            o.port(n, i + 1, f"net_virtio_user{i},path={folder}/{n},queue_size={RING},{ring}{extra}")
        o.port("out", 3, f"net_pcap1,rx_pcap={folder}/none.pcap,tx_pcap={folder}/out.pcap")
        o.ofctl("add-flow", "in_port=2,actions=output:3")
        d.up("a", "b")
        sent_all(d, o, frames)
        if role == "client":
            d.kill()
            # virtio_user sees a loss in one thread, a new connection in another: which must not overtake
            wait("the loss", lambda: all(o.vsctl("get", "Interface", n, "link_state") == "down" for n in "ab"))
            d = Vhostd(folder, *args)
            d.up("a", "b")
            sent_all(d, o, frames)
            frames = frames * 2
        o.vsctl("del-port", "out")  # closes the file
        got = pcap_read(f"{folder}/out.pcap")
        assert len(got) == len(frames), f"{len(got)} of {len(frames)} frames came"
        assert got == frames, "frames differ, the first at %d" % next(i for i, f in enumerate(frames) if got[i] != f)
    finally:
        if o:
            o.end()
        d.end()


def main():
    if not os.path.exists(VSWITCHD) or not shutil.which("ovsdb-server") or not os.path.exists(VHOSTD):
        print("needs openvswitch-switch-dpdk and sluice-vhostd")
        return 77
    if os.geteuid() != 0:
        print("needs root: Open vSwitch makes interfaces")
        return 77
    rows = [(packed, role) for packed in (0, 1) for role in ("server", "client")]
    return run_tests([(f"packed_vq={k} {role}", through, (f"packed_vq={k},mrg_rxbuf=1,in_order=1", role)) for k, role in rows])


sys.exit(main())
