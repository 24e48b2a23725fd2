"""This server as a member of its cluster."""
import json
import os
import threading
import time

from .cluster_state import apply
from .errors import Refused
from .files import write_file
from .liveness import Liveness
from .log import log
from .peers import Peers
from .register import Proposer, is_majority, run_round, voters
from .settings import PROPOSAL_TIMEOUT, QUORUM_WINDOW


class Member:
    """Reads the register, changes it, and answers heartbeats."""

    def __init__(self, config, acceptor, context):
        self.etcd_folder = config.etcd_folder
        self.acceptor, self.liveness = acceptor, Liveness()
        self.peers = Peers(acceptor, self.liveness, context, f"server:{config.secret}")
        self.proposer = Proposer(acceptor, apply)
        self.proposing = threading.Lock()
        self.had_majority = False  # since the process started
        self.removed = False

    @property
    def id(self):
        return self.acceptor.id

    @property
    def state(self):
        return self.acceptor.state

    def is_learner(self):
        return self.removed or self.state["members"].get(self.id, {"learner": True})["learner"]

    def has_majority(self):
        ids = voters(self.state)
        return not self.is_learner() and is_majority([id for id in ids if self.peers.answers(id, QUORUM_WINDOW)], ids)

    def submit(self, operation):
        """Makes the change, or asks a voter to make it. Refused if it is not allowed or times out."""
        if not self.is_learner():
            return self.propose(operation)
        for id in voters(self.state):
            if id == self.id:  # this member is removed, but its last state does not know
                continue
            try:
                status, body = self.peers.connect(self.state["members"][id]).ask("POST", "/peer/submit", operation)
                reply = json.loads(body)
            except (OSError, ValueError):
                continue
            if status != 200:
                raise Refused(reply["error"], status)
            return reply["result"]
        raise Refused("etcdserver: request timed out")

    def propose(self, operation):
        deadline = time.monotonic() + PROPOSAL_TIMEOUT
        with self.proposing:
            while time.monotonic() < deadline:
                decided, result = run_round(self.proposer.round(operation), self.peers.ask_all)
                if decided:
                    return result
                time.sleep(0.05 + os.urandom(1)[0] / 1000)
        raise Refused("etcdserver: request timed out")

    def heartbeat(self):
        return {"cluster": self.state["cluster"], "id": self.id, "ballot": self.acceptor.ballot}

    def receive_heartbeat(self, heartbeat):
        """The sender is removed if a state at least as new as its own does not have it."""
        if heartbeat["cluster"] != self.state["cluster"]:
            raise Refused("cluster ID mismatch", 412)
        known = heartbeat["id"] in self.state["members"]
        if known:
            self.liveness.note_heartbeat(heartbeat["id"], heartbeat["ballot"])
        return {"ballot": self.acceptor.ballot, "removed": not known and heartbeat["ballot"] <= self.acceptor.ballot}

    def leave(self):
        """As k3s: the process goes on without etcd and API, and the next start finds the tombstone."""
        self.removed = True
        log("error", "the member has been permanently removed from the cluster")
        write_file(f"{self.etcd_folder}/tombstone", b"")
        log("info", "this node has been removed from the cluster please restart k3s to rejoin the cluster")
