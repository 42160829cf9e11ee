#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sluice-vhostd as another user, and its counters by DPDK's telemetry.

user.py BUILD-ROOT. Status 77: not root. Needs no huge pages.
"""
import glob
import json
import os
import pwd
import socket
import sys

from vhostd import BUILD, Vhostd, run_tests, wait
from vu import Disk, NetPair

USER = "nobody"


def threads(pid, field):
    """A line of each thread's status."""
    rows = set()
    for t in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{t}/status", encoding="utf-8") as f:
            rows |= {tuple(line.split()[1:]) for line in f if line.startswith(field + ":")}
    return rows


def dropped(folder):
    uid = pwd.getpwnam(USER).pw_uid
    os.chmod(folder, 0o755)
    os.mkdir(f"{folder}/own")
    os.chown(f"{folder}/own", uid, -1)
    with open(f"{folder}/image", "wb") as f:
        f.truncate(1 << 20)
    args = sum((["--port", f"name={n},socket={folder}/run/{n},flood=0"] for n in "ab"), [])
    d = Vhostd(f"{folder}/own", *args, "--user", USER, "--disk", f"name=d,socket={folder}/run/d,path={folder}/image")
    try:
        assert threads(d.p.pid, "Uid") == {(str(uid),) * 4}, threads(d.p.pid, "Uid")
        for caps in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert threads(d.p.pid, caps) == {("0" * 16,)}, caps
        assert ("1",) in threads(d.p.pid, "NoNewPrivs")
        for name in ("run", "run/a", "run/b", "run/d", "own/control"):
            assert os.lstat(f"{folder}/{name}").st_uid == uid, name
        disk, pair = Disk(f"{folder}/run/d"), NetPair(f"{folder}/run/a", f"{folder}/run/b")
        d.up("a", "b")
        for i in range(20):
            disk.check(i)
            pair.check(i)
        disk.close()
        pair.close()
        status, _, err = d.ctl("disk-add", f"name=no,socket={folder}/no,path=null:1M")
        assert status == 1 and "ermission" in err, err
    finally:
        d.end()
    assert os.listdir(f"{folder}/run") == [], os.listdir(f"{folder}/run")


def service(folder):
    """With what systemd leaves to it by the unit: its capabilities, and a private folder of root's."""
    with open(os.path.join(BUILD, "virtio/vhostd/sluice-vhostd.service"), encoding="utf-8") as f:
        unit = dict(line.strip().split("=", 1) for line in f if "=" in line and line[0] != "#")
    assert "--user ${SLUICE_VHOSTD_USER} --control /run/sluice-vhostd/control" in unit["ExecStart"]
    caps = ",".join("+" + c[4:].lower() for c in unit["CapabilityBoundingSet"].split())
    os.chmod(folder, 0o755)
    run = f"{folder}/run"
    os.mkdir(run, int(unit["RuntimeDirectoryMode"], 8))
    d = Vhostd(run, "--port", f"name=a,socket={run}/a", "--disk", f"name=d,socket={run}/d,path=null:1M", "--user", USER,
               under=("setpriv", "--bounding-set", "-all," + caps), env=os.environ | {"RUNTIME_DIRECTORY": run})
    try:
        assert threads(d.p.pid, "Uid") == {(str(pwd.getpwnam(USER).pw_uid),) * 4}
        assert threads(d.p.pid, "CapPrm") == {("0" * 16,)}
        d.ask("port-add", f"name=b,socket={run}/b")
        d.ask("disk-add", f"name=e,socket={run}/e,path=null:1M")
        for at in ("d", "e"):
            disk = Disk(f"{run}/{at}")
            disk.request(0, 8, bytes(512))
            disk.close()
        pair = NetPair(f"{run}/a", f"{run}/b")
        d.up("a", "b")
        pair.check(1)
        pair.close()
    finally:
        d.end()


def no_such_cpu(folder):
    d = Vhostd(folder, "--lcores", "0,1000", ready=False)
    assert d.p.wait(30) == 1, d.p.returncode
    assert d.text().startswith("sluice-vhostd: --lcores: this process may not run on CPU 1000"), d.text()


def telemetry_of(pid):
    for path in glob.glob("/run/dpdk/*/dpdk_telemetry.v2*"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(10)
        try:
            s.connect(path)
        except ConnectionRefusedError:
            continue
        if json.loads(s.recv(4096))["pid"] == pid:
            return s
        s.close()
    return None


def telemetry(folder):
    args = sum((["--port", f"name={n},socket={folder}/{n},flood=0"] for n in "ab"), [])
    # Little memory: the number of packet buffers follows from it.
    d = Vhostd(folder, *args, memory=("--no-huge", "--memory", "32"))
    try:
        pair = NetPair(f"{folder}/a", f"{folder}/b")
        d.up("a", "b")
        for i in range(30):
            pair.check(i)
        s = wait("the telemetry socket", lambda: telemetry_of(d.p.pid))

        def ask(what):
            s.send(what.encode())
            return json.loads(s.recv(65536))[what.split(",", 1)[0]]
        assert sorted(ask("/sluice/ports")) == ["a", "b"]
        for row in d.ask("stat")["ports"]:
            told = ask("/sluice/port," + row["port"])
            q = row["queues"][0]
            for way in ("in", "out"):
                for what in ("packets", "bytes"):
                    assert told.get(f"{way}_q0_{what}", 0) == q[way][what], (row, told)
        assert ask("/sluice/port,a")["in_q0_packets"] == 30
        assert ask("/sluice/port,none") is None and ask("/sluice/port") is None
        s.close()
        pair.close()
    finally:
        d.end()


def main():
    if os.geteuid():
        print("needs root")
        return 77
    return run_tests([("user", dropped, ()), ("service", service, ()), ("no such CPU", no_such_cpu, ()),
                      ("telemetry", telemetry, ())])


sys.exit(main())
