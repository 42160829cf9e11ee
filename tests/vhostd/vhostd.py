# SPDX-License-Identifier: BSD-3-Clause
"""What tests of sluice-vhostd share: the program, and waiting for something to become true."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.path.realpath(sys.argv[1])
VHOSTD = os.path.join(BUILD, "virtio/vhostd/sluice-vhostd")
SLUICE = os.path.join(BUILD, "cmd/sluice")


def wait(what, fn, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        v = fn()
        if v:
            return v
        time.sleep(0.02)
    raise AssertionError("waited in vain: " + what)


class Vhostd:
    def __init__(self, folder, *args, memory=("--no-huge", "--memory", "96", "--mbufs", "8192"), ready=True, under=(), env=None):
        self.control = os.path.join(folder, "control")
        self.log = open(os.path.join(folder, "vhostd.log"), "w", encoding="utf-8")
        self.p = subprocess.Popen([*under, VHOSTD, *memory, "--control", self.control, *args], env=env,
                                  stdout=self.log, stderr=subprocess.STDOUT)
        if not ready:
            return
        wait("the control socket", lambda: self.p.poll() is not None or os.path.exists(self.control))
        assert self.p.poll() is None, "sluice-vhostd ended: " + self.text()[-600:]

    def text(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            return f.read()

    def ctl(self, *words):
        """Status and what was printed."""
        r = subprocess.run([SLUICE, "ctl", "--json", self.control, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, check=False)
        return r.returncode, r.stdout, r.stderr

    def ask(self, *words):
        status, out, err = self.ctl(*words)
        assert status == 0, err
        return json.loads(out)

    def ports(self):
        return {p["port"]: p for p in self.ask("ports")}

    def disks(self):
        return {d["disk"]: d for d in self.ask("disks")}

    def up(self, *names):
        return wait("ports up: " + " ".join(names), lambda: all(self.ports()[n]["up"] for n in names))

    def alive(self):
        assert self.p.poll() is None, "sluice-vhostd ended with %d" % self.p.returncode

    def kill(self):
        self.p.kill()
        self.p.wait()
        if os.path.exists(self.control):
            os.unlink(self.control)

    def end(self):
        if self.p.poll() is None:
            self.p.terminate()
        assert self.p.wait(20) == 0, "sluice-vhostd ended with %d" % self.p.returncode


def run_tests(tests):
    """Rows of (name, function, arguments); each gets a folder of its own. Returns an exit status."""
    failed = 0
    for name, fn, args in tests:
        folder = tempfile.mkdtemp(prefix="vhostd-")
        start = time.monotonic()
        try:
            fn(folder, *args)
            print(f"ok    {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as e:
            failed += 1
            print(f"FAIL  {name}: {type(e).__name__}: {e}", flush=True)
            for log in ("vhostd.log", "testpmd.log", "vswitchd.log"):
                if os.path.exists(f"{folder}/{log}"):
                    with open(f"{folder}/{log}", encoding="utf-8", errors="replace") as f:
                        print("".join(f.readlines()[-12:]))
        shutil.rmtree(folder)
    return 1 if failed else 0
