"""How a server gets its place in a cluster: it begins one, joins one, or resumes from its data."""
import hashlib
import json
import os
import re
import shutil
import ssl
import time

from .cluster_state import new_state
from .errors import FatalError
from .files import RecordFile, read_file, write_file
from .https import Connection
from .log import log
from .register import Acceptor
from .settings import SLOWNESS


class Bootstrap:
    """Makes or loads the acceptor, whose record is this member's data."""

    def __init__(self, config, certificates):
        self.config, self.certificates = config, certificates
        self.acceptor = Acceptor(RecordFile(f"{config.wal_folder}/stand-in.json"))

    def run(self):
        config = self.config
        if os.path.exists(f"{config.etcd_folder}/tombstone"):
            self.discard_data()
        if os.path.isdir(config.wal_folder):
            self.resume()
        elif config.join_url:
            self.join()
        elif config.begins_cluster:
            self.begin()
        else:
            raise FatalError("stand-in: neither cluster-init nor server, k3s would begin a cluster of its own")
        return self.acceptor

    def discard_data(self):
        if not self.config.join_url:
            raise FatalError("tombstone file has been detected, but --server is empty; cannot rejoin the cluster")
        log("info", "tombstone file has been detected, removing data dir to rejoin the cluster")
        os.rename(self.config.etcd_folder, f"{self.config.etcd_folder}-old-{int(time.time())}")

    def member_name(self):
        """Made once. It also marks a join that was interrupted as this node's own."""
        file = f"{self.config.etcd_folder}/name"
        if not os.path.exists(file):
            os.makedirs(self.config.etcd_folder, 0o700, exist_ok=True)
            write_file(file, f"{self.config.node_name}-{os.urandom(4).hex()}".encode())
        return read_file(file).decode()

    def begin(self):
        self.certificates.check()
        id = os.urandom(8).hex()
        member = {"name": self.member_name(), "ip": self.config.ip, "learner": False}
        self.start_etcd(id, [1, id], new_state(os.urandom(8).hex(), self.token_hash(), id, member))
        log("info", "Managed etcd cluster initializing")

    def resume(self):
        self.certificates.check()
        try:
            self.acceptor.load()
        except (OSError, ValueError) as error:
            raise FatalError("stand-in: the write-ahead log holds nothing: "
                             "the start of etcd was interrupted") from error
        if self.acceptor.state["token"] != self.token_hash():
            raise FatalError("bootstrap data already found and encrypted with different token")

    def join(self):
        """Trusts the server only once its CA has the hash in the token; after that all is verified."""
        host, port = re.fullmatch(r"https://([^:/]+):(\d+)/?", self.config.join_url).groups()
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        cacerts = self.request(Connection(host, int(port), unverified), "GET", "/cacerts")
        self.certificates.check_hash(cacerts)
        context = ssl.create_default_context(cadata=cacerts.decode())
        server = Connection(host, int(port), context, f"server:{self.config.secret}", timeout=10 * SLOWNESS)
        self.certificates.import_bootstrap(json.loads(self.request(server, "GET", "/v1-k3s/server-bootstrap")))
        self.certificates.check()
        name = self.member_name()
        held = json.loads(self.request(server, "POST", "/stand-in/member", {
            "op": "add_member", "id": os.urandom(8).hex(), "name": name, "node": self.config.node_name,
            "ip": self.config.ip}))
        log("info", f"Adding member {name}={self.config.ip} to etcd cluster")
        self.start_etcd(held["id"], held["ballot"], held["state"])

    def request(self, server, method, path, body=None):
        try:
            status, answer = server.ask(method, path, body)
        except OSError as error:
            raise FatalError(f"failed to validate connection to cluster at {self.config.join_url}: {error}") from error
        if status == 200:
            return answer
        reason = failure_reason(status, answer)
        if reason.startswith("duplicate"):
            os.remove(f"{self.config.etcd_folder}/name")
        if status in (401, 403, 404):
            raise FatalError(f"{reason} ({path})")
        raise FatalError(f"starting kubernetes: preparing server: {reason}")

    def start_etcd(self, id, ballot, state):
        """The rename makes the data: from then on k3s ignores `server` and `cluster-init`."""
        staged = f"{self.config.etcd_folder}/member/tmp"
        shutil.rmtree(staged, ignore_errors=True)
        os.makedirs(staged, 0o700)
        RecordFile(f"{staged}/stand-in.json").save(Acceptor.first_record(id, ballot, state))
        os.rename(staged, self.config.wal_folder)
        self.acceptor.load()

    def token_hash(self):
        return hashlib.sha256(self.config.secret.encode()).hexdigest()


def failure_reason(status, answer):
    try:
        failure = json.loads(answer)
    except ValueError:
        return str(status)
    return failure.get("error") or f"{status} {failure.get('message')}"
