"""What the node's files say: config.yaml and config.yaml.d, the token, the node password, the machine ID."""
import hashlib
import os
import re
import socket

from .errors import FatalError
from .files import read_file, require_private
from .log import log

KNOWN_SETTINGS = (
    "cluster-init cluster-cidr disable flannel-backend flannel-iface node-ip node-name server "
    "service-cidr tls-san token-file write-kubeconfig-mode"
).split()


class Config:
    """The settings of one node; FatalError if k3s or the stand-in refuses them."""

    def __init__(self, root):
        self.root = root
        self.values = load_settings(f"{root}/etc/rancher/k3s")
        for key in self.values:
            if key not in KNOWN_SETTINGS:
                log("warning", f"Unknown flag --{key} found in config.yaml, skipping")
        self.node_name = self.values.get("node-name") or socket.gethostname().lower()
        self.ip = self.values.get("node-ip")
        self.tls_names = as_list(self.values.get("tls-san"))  # the first one is the virtual address
        self.join_url = self.values.get("server")
        self.begins_cluster = self.values.get("cluster-init") == "true"
        self.read_token()
        self.read_identity()
        self.check_address()

    @property
    def manifests_folder(self):
        return f"{self.root}/var/lib/rancher/k3s/server/manifests"

    @property
    def tls_folder(self):
        return f"{self.root}/var/lib/rancher/k3s/server/tls"

    @property
    def etcd_folder(self):
        return f"{self.root}/var/lib/rancher/k3s/server/db/etcd"

    @property
    def wal_folder(self):
        return f"{self.etcd_folder}/member/wal"

    def read_token(self):
        if not self.values.get("token-file"):
            raise FatalError("stand-in: token-file is not set")
        path = self.root + self.values["token-file"]
        require_private(path)
        self.ca_hash, self.secret = parse_token(read_file(path).decode().strip())

    def read_identity(self):
        path = f"{self.root}/etc/rancher/node/password"
        require_private(path)
        self.password_hash = hashlib.sha256(read_file(path).strip()).hexdigest()
        path = f"{self.root}/etc/machine-id"
        self.machine_id = read_file(path).decode().strip() if os.path.exists(path) else ""

    def check_address(self):
        if not self.ip:
            raise FatalError("stand-in: node-ip is not set, and k3s could take the virtual address for its own")
        if self.tls_names and self.ip == self.tls_names[0]:
            raise FatalError(f"stand-in: node-ip {self.ip} is the virtual address")
        if self.values.get("flannel-iface") and not self.root:
            check_interface(self.values["flannel-iface"], self.ip)


def load_settings(folder):
    """config.yaml, then the files of config.yaml.d by name; later files win."""
    fragments = f"{folder}/config.yaml.d"
    names = sorted(os.listdir(fragments)) if os.path.isdir(fragments) else []
    paths = [f"{fragments}/{name}" for name in names if name.endswith((".yaml", ".yml"))]
    values = {}
    for path in [f"{folder}/config.yaml", *paths]:
        if os.path.exists(path):
            merge_settings(values, parse_settings(read_file(path).decode(), path))
    return values


def parse_settings(text, path):
    """The part of YAML that the overlays write: scalars and lists of scalars."""
    key, values = None, {}
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not line:
            continue
        item, pair = re.fullmatch(r"\s*- +(.*)", line), re.fullmatch(r"([a-z0-9-]+\+?):(?: +(.*))?", line)
        if item and key and not isinstance(values[key], str):
            values[key] = as_list(values[key]) + [unquoted(item[1])]
        elif pair:
            key = pair[1]
            values[key] = unquoted(pair[2]) if pair[2] else None
        else:
            raise FatalError(f"failed to parse {path}: {line!r}")
    return values


def merge_settings(values, more):
    """A key that ends in `+` appends to the list of earlier files, as in k3s."""
    for key, value in more.items():
        if key.endswith("+"):
            key = key[:-1]
            value = as_list(values.get(key)) + as_list(value)
        values[key] = value


def as_list(value):
    if isinstance(value, list):
        return value
    return [value] if value else []


def unquoted(text):
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def parse_token(token):
    """The hash of the CA and the secret."""
    form = re.fullmatch(r"K10([0-9a-f]{64})::server:([^\s:]+)", token)
    if not form:
        raise FatalError("stand-in: the token is not of the form K10<sha256 of the CA>::server:<secret>")
    return form.groups()


def check_interface(name, ip):
    try:
        socket.if_nametoindex(name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
            probe.bind((ip, 0))
    except OSError as error:
        raise FatalError(f"failed to find the interface {name} with the address {ip}: {error}") from error
