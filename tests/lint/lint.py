#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rules of the tree that a compiler does not check: lint.py RULE SOURCE-ROOT BUILD-ROOT.

Prints what is wrong, a line each, and ends with status 1; 77 when a tool it needs is missing.
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = BUILD = ""
SKIP = 77

# Which folders a folder may include headers of. tests may include all.
ARROWS = {
    "base": ["base"],
    "iommu": ["iommu", "base"],
    "sriov": ["sriov", "base"],
    "vmm/core": ["vmm/core", "base"],
    "vmm/backend": ["vmm/backend", "base"],
    "vmm/devices": ["vmm/devices", "vmm/core", "vmm/backend", "base"],
    "vfio": ["vfio", "iommu", "vmm/core", "base"],
    "virtio/ring": ["virtio/ring", "base"],
    "virtio/wire": ["virtio/wire", "virtio/ring", "base"],
    "virtio/blk": ["virtio/blk", "virtio/ring", "vmm/backend", "base"],
    "virtio": ["virtio", "virtio/ring", "virtio/wire", "virtio/blk", "vmm/core", "vmm/backend", "base"],
    "virtio/vhostd": ["virtio/vhostd", "virtio/ring", "virtio/wire", "virtio/blk", "vmm/backend", "base"],
    "bench": ["bench", "base"],
    "cmd": ["cmd", "bench", "vfio", "virtio", "virtio/ring", "virtio/wire", "virtio/blk", "vmm/core", "vmm/devices", "vmm/backend", "sriov", "iommu", "base"],
}
# Programs that measure one module, and are linked with it alone: no part of the folder's library.
# The guest of the benchmarks is a program like those of tests/guest, whose parts it shares.
PROGRAMS = ("bench/ring.c", "bench/vublk.c", "bench/guest/")
FUNCTION_MAX = 80
FILE_MAX = 700
# sys_host() hands out a pointer that is not const, to an object nobody writes.
GLOBALS_OK = {"host.0", "host"}


def files(*endings):
    """Tracked or new files of the tree, relative to the root, build folders left out."""
    for top, dirs, names in os.walk(ROOT):
        dirs[:] = [d for d in dirs if not d.startswith((".git", "build", "__pycache__"))]
        for name in sorted(names):
            if name.endswith(endings) or not endings:
                yield os.path.relpath(os.path.join(top, name), ROOT)


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def tool(*names):
    """The first of these programs that is there; the rule is skipped without any."""
    for name in names:
        if shutil.which(name):
            return name
    print("needs", " or ".join(names))
    sys.exit(SKIP)


def run(args, **kw):
    return subprocess.run(args, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **kw)


def folder_of(path):
    found = [f for f in ARROWS if path.startswith(f + "/") and not path.startswith(PROGRAMS)]
    return max(found, key=len) if found else None


def includes(path):
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', text_of(path), re.M)


def rule_layering():
    for path in files(".c", ".h"):
        own = folder_of(path)
        for inc in includes(path):
            there = folder_of(inc)
            if own and there and there not in ARROWS[own]:
                yield f"{path}: includes {inc}: {own} must not know {there}"
            if own and there and inc.endswith("_priv.h") and there != own:
                yield f"{path}: includes {inc}, which is private to {there}"
            if own and not there and os.path.exists(os.path.join(ROOT, inc)):
                yield f"{path}: includes {inc}: no such module"


def rule_headers():
    """Every header compiles alone."""
    compilers = [c for c in ("gcc", "clang") if shutil.which(c)] or [tool("cc")]
    flags = run(["pkg-config", "--cflags", "jansson", "libpci", "libmnl"]).stdout.split()
    dpdk = run(["pkg-config", "--cflags", "libdpdk"])
    # DPDK's own headers are not ours to judge.
    flags += dpdk.stdout.replace("-I", "-isystem ").split() if dpdk.returncode == 0 else []
    for cc in compilers:
        for path in files(".h"):
            if dpdk.returncode and path.startswith("virtio/vhostd/"):
                continue
            r = run([cc, "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                     "-fsyntax-only", "-I.", "-x", "c", *flags, "-"], input=f'#include "{path}"\n')
            if r.returncode:
                yield f"{path} ({cc}): " + r.stdout.strip().split("\n")[0]


def rule_format():
    fmt = tool("clang-format")
    for path in files(".c", ".h"):
        r = run([fmt, "--dry-run", "-Werror", path])
        if r.returncode:
            yield r.stdout.split("\n")[0] or f"{path}: clang-format failed"


def rule_sizes():
    """Functions of at most 80 lines, files of at most 700."""
    ctags = tool("ctags")
    sources = list(files(".c", ".h"))
    for path in sources:
        n = text_of(path).count("\n")
        if n > FILE_MAX:
            yield f"{path}: {n} lines, at most {FILE_MAX}"
    r = run([ctags, "--languages=C", "--map-C=+.h", "--kinds-C=f", "--fields=+ne", "-f", "-", *sources])
    if "--fields" in r.stdout[:200]:
        print("needs universal-ctags")
        sys.exit(SKIP)
    for line in r.stdout.splitlines():
        m = re.search(r"^(\S+)\t(\S+)\t.*line:(\d+).*end:(\d+)", line)
        if m and int(m[4]) - int(m[3]) + 1 > FUNCTION_MAX:
            yield f"{m[2]}:{m[3]}: {m[1]}() has {int(m[4]) - int(m[3]) + 1} lines, at most {FUNCTION_MAX}"


def rule_spdx():
    scripts = [p for p in files() if is_script(p)]
    for path in sorted(set(list(files(".c", ".h", ".build", ".py", ".S", ".asl", ".sh")) + scripts)):
        if "SPDX-License-Identifier: BSD-3-Clause" not in "\n".join(text_of(path).split("\n")[:3]):
            yield f"{path}: no SPDX line at the top"


def is_script(path):
    full = os.path.join(ROOT, path)
    if os.path.islink(full) or not os.path.isfile(full):
        return False
    with open(full, "rb") as f:
        return f.read(64).startswith((b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash"))


def rule_shell():
    check = tool("shellcheck")
    for path in files():
        if is_script(path):
            r = run([check, "-x", "-S", "warning", "-f", "gcc", path])
            yield from r.stdout.strip().splitlines()


def archives():
    for top, _, names in os.walk(BUILD):
        for name in names:
            if re.fullmatch(r"libsluice-\w+\.a", name) and name not in ("libsluice-cmd.a", "libsluice-fake.a"):
                yield os.path.join(top, name)


def rule_globals():
    """Outside of cmd nothing is both global and mutable, and nothing ends the process."""
    tool("objdump")
    for lib in archives():
        for line in run(["objdump", "-t", lib]).stdout.splitlines():
            m = re.search(r"\sO\s(\.t?(?:data|bss)(?!\.rel\.ro)[.\w]*)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
            # Sanitizers and coverage add objects of their own, whose names begin with two underscores.
            if m and int(m[2], 16) and not m[3].startswith("__") and m[3] not in GLOBALS_OK:
                yield f"{os.path.basename(lib)}: {m[3]} is a mutable global ({m[1]})"
            m = re.search(r"\*UND\*\s+0+\s+(exit|_exit|_Exit|quick_exit)$", line)
            if m:
                yield f"{os.path.basename(lib)}: calls {m[1]}()"


def rule_manual():
    """What is generated from the option tables is there, is well formed, and names every option."""
    mandoc = tool("mandoc")
    page = os.path.join(BUILD, "docs", "sluice.1")
    completion = os.path.join(BUILD, "docs", "sluice.bash")
    yield from run([mandoc, "-T", "lint", "-W", "warning", page]).stdout.strip().splitlines()
    r = run(["bash", "-n", completion])
    yield from r.stdout.strip().splitlines()
    man = re.sub(r".\x08", "", run([mandoc, "-T", "ascii", page]).stdout)
    with open(completion, encoding="utf-8") as f:
        comp = f.read()
    for command in ["run", "vf", "ctl", "bench"]:
        text = run([os.path.join(BUILD, "cmd", "sluice"), command, "--help"]).stdout
        for option in set(re.findall(r"^ +(--[a-z-]+)", text, re.M)):
            if option not in man:
                yield f"sluice.1: {command} {option} is missing"
            if option not in comp:
                yield f"sluice.bash: {command} {option} is missing"


def main():
    global ROOT, BUILD
    rule, ROOT, BUILD = sys.argv[1], os.path.realpath(sys.argv[2]), os.path.realpath(sys.argv[3])
    wrong = list(globals()["rule_" + rule]())
    for line in wrong:
        print(line)
    return 1 if wrong else 0


sys.exit(main())
