#!/usr/bin/env python3
"""Stand-in for `magi-image plan`: lays a node's rendered overlays into a folder, for the script tests.

Usage: render.py OUT NODE [PROFILE]. Fetched files and patches of the base are left out. Needs the
Python package `minijinja`, which is the same template engine in another coat.
"""
import ipaddress
import pathlib
import re
import shlex
import sys
import tomllib

import minijinja

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = {"string": "", "path": "", "integer": 0, "boolean": False, "list": [], "paths": []}


def setting_values(overlay, given):
    unknown = set(given) - set(overlay.get("settings", {}))
    assert not unknown, f"unknown settings: {unknown}"
    return {
        name: given.get(name, rule.get("default", KINDS[rule["type"]]))
        for name, rule in overlay.get("settings", {}).items()
    }


def node_value(index, node):
    address = node.get("address", "")
    ip, _, prefix = address.partition("/")
    return {
        "name": node["name"], "index": index, "init": node.get("init", False),
        "address": address, "ip": ip, "prefix": int(prefix or 0),
    }


def in_order(wanted, overlays, seen=None):
    seen = [] if seen is None else seen
    for name in wanted:
        in_order(overlays[name].get("needs", []), overlays, seen)
        if name not in seen:
            seen.append(name)
    return seen


class Renderer:
    def __init__(self, profile, node_name):
        overlays = {
            path.parent.name: tomllib.loads(path.read_text())
            for folder in (ROOT / "overlays", ROOT / "docs/example-overlay/overlays")
            for path in sorted(folder.glob("*/overlay.toml"))
        }
        self.folders = {n: next(f / n for f in (ROOT / "overlays", ROOT / "docs/example-overlay/overlays")
                                if (f / n).is_dir()) for n in overlays}
        self.env = minijinja.Environment(undefined_behavior="strict", trim_blocks=True,
                                         lstrip_blocks=True, keep_trailing_newline=True)
        self.env.auto_escape_callback = lambda _: None
        self.env.add_filter("shell", shlex.quote)
        self.env.add_filter("network", lambda a: str(ipaddress.ip_interface(a).network))
        self.uses = in_order(profile["overlays"]["use"], overlays)
        self.overlays = {name: overlays[name] for name in self.uses}
        nodes = [node_value(i, n) for i, n in enumerate(profile["node"])]
        cluster = {"gateway": "", "dns": []} | profile["cluster"]
        self.context = {
            "cluster": cluster, "nodes": nodes, "uses": self.uses,
            "node": next(n for n in nodes if n["name"] == node_name),
            "base": {"family": "raspi-debian", "codename": "bookworm", "arch": "arm64", "sample": False,
                     "boot_mount": "/boot/firmware"},
            "ssh": {"authorized_keys": ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]},
            "magi": {"version": "0"}, "overlays": {},
        }
        for name in self.uses:
            given = profile["overlays"].get(name, {})
            self.context["overlays"][name] = {"settings": setting_values(self.overlays[name], given)}
        for name in self.uses:
            self.context["overlays"][name] |= {kind: self.names(name, kind) for kind in ("packages", "services")}

    def names(self, overlay, kind):
        found = []
        for entry in self.overlays[overlay].get(kind, []):
            if self.holds(overlay, entry):
                found += self.evaluate(overlay, entry["from"]) if "from" in entry else entry["names"]
        return found

    def scope(self, overlay):
        secrets = {s["name"]: "s3cr3t" * 20 for s in self.overlays[overlay].get("secret", [])}
        secrets = {s["name"]: secrets[s["name"]][: s["length"]] for s in self.overlays[overlay].get("secret", [])}
        settings = self.context["overlays"][overlay]["settings"]
        return self.context | {"settings": settings, "secrets": secrets}

    def evaluate(self, overlay, expression):
        return self.env.eval_expr(expression, **self.scope(overlay))

    def holds(self, overlay, entry):
        return "when" not in entry or bool(self.evaluate(overlay, entry["when"]))

    def text(self, overlay, source, name):
        return self.env.render_str(source, name, **self.scope(overlay))

    def write(self, out, overlay, source, target, rules):
        rule = rules.get("/" + str(target), {})
        if not self.holds(overlay, rule):
            return
        content = source.read_bytes()
        if source.suffix == ".j2":
            content = self.text(overlay, content.decode(), str(source)).encode()
        if rule.get("skip_empty") and not content.strip():
            return
        path = out / target
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists(), f"{path}: two overlays write it"
        path.write_bytes(content)
        path.chmod(int(rule["mode"], 8) if "mode" in rule else 0o755 if content.startswith(b"#!") else 0o644)

    def lay(self, out, overlay):
        manifest, folder = self.overlays[overlay], self.folders[overlay]
        rules = {r["path"]: r for r in manifest.get("file", [])}
        written = {}
        for check in manifest.get("check", []):
            assert self.evaluate(overlay, check["that"]), self.text(overlay, check["message"], "check")
        for top, prefix in (("files", ""), ("firstboot", "usr/local/lib/magi/firstboot.d")):
            for source in sorted(p for p in (folder / top).rglob("*") if p.is_file()):
                target = pathlib.Path(prefix) / re.sub(r"\.j2$", "", str(source.relative_to(folder / top)))
                written["/" + str(target)] = source
                self.write(out, overlay, source, target, rules)
        assert not set(rules) - set(written), f"{overlay}: no such files: {set(rules) - set(written)}"
        for entry in manifest.get("dir", []):
            (out / entry["path"][1:]).mkdir(parents=True, exist_ok=True)
        for entry in (e for e in manifest.get("link", []) if self.holds(overlay, e)):
            path = out / self.text(overlay, entry["path"], "link")[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(self.text(overlay, entry["target"], "link"))


def main():
    out, node = pathlib.Path(sys.argv[1]), sys.argv[2]
    profile = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else ROOT / "profiles/magi.toml"
    renderer = Renderer(tomllib.loads(profile.read_text()), node)
    for overlay in renderer.uses:
        renderer.lay(out, overlay)


if __name__ == "__main__":
    main()
