"""Compares magi-sysconf with the original on random files: sysconf-compare.py ORIGINAL OURS TEMPLATE FOLDER

Both run on a root folder of their own. Afterwards host name, key, password and the file itself must be the same;
the original writes the key without a line end.
"""
import os
import random
import shutil
import subprocess
import sys

PIECES = ["hostname", "Root_PW", "root_authorized_key", "a", "=", "=", "#", "\n", "\n", " ", "\t", "\r", "\x0b", "0",
          "\ufeff", '"', "é", "hostname=b", "\nroot_pw=x"]
RESULTS = ("boot/sysconf.txt", "etc/hostname", "root/.ssh/authorized_keys", "password")


def effect(script, template, root, text):
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("boot", "etc", "root", "bin"):
        os.makedirs(f"{root}/{folder}")
    with open(f"{root}/boot/sysconf.txt", "w", encoding="utf-8", newline="") as file:
        file.write(text)
    with open(f"{root}/bin/chpasswd", "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nexec cat >"$SYSCONF_ROOT/password"\n')
    os.chmod(f"{root}/bin/chpasswd", 0o755)
    os.symlink("/bin/true", f"{root}/bin/sync")
    environment = {"PATH": f"{root}/bin:{os.environ['PATH']}", "SYSCONF_ROOT": root, "SYSCONF_TEMPLATE": template,
                   "SYSCONF_FILE": f"{root}/boot/sysconf.txt"}
    subprocess.run(["perl", script], env=environment, check=True, stderr=subprocess.DEVNULL)
    return {path: open(f"{root}/{path}", "rb").read() for path in RESULTS if os.path.exists(f"{root}/{path}")}


def main(original, ours, template, folder):
    generator = random.Random(9)
    applied = 0
    for _ in range(400):
        text = "".join(generator.choice(PIECES) for _ in range(generator.randrange(14)))
        expected = effect(original, template, f"{folder}/original-root", text)
        got = effect(ours, template, f"{folder}/our-root", text)
        if "root/.ssh/authorized_keys" in expected:
            expected["root/.ssh/authorized_keys"] += b"\n"
        if got != expected:
            sys.exit(f"{text!r}:\n  original: {expected}\n  ours:     {got}")
        applied += len(expected) - 1
    if applied < 50:
        sys.exit(f"only {applied} settings in all texts")


main(*sys.argv[1:])
