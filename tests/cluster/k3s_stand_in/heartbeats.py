"""Heartbeats to all other members. By their replies a member notices what it has missed."""
import json
import threading
import time

from .errors import Refused
from .log import log
from .settings import HEARTBEAT_INTERVAL


class Heartbeats:
    """One thread for each other member."""

    def __init__(self, member):
        self.member, self.threads = member, {}

    def start_missing(self):
        for id in list(self.member.state["members"]):
            if id != self.member.id and id not in self.threads:
                self.threads[id] = threading.Thread(target=self.send, args=(id,), daemon=True)
                self.threads[id].start()

    def send(self, id):
        """Until the other member or this one is removed."""
        connection = self.member.peers.connect(self.member.state["members"][id])
        while id in self.member.state["members"]:
            started = time.monotonic()
            try:
                if self.is_removed(id, connection):
                    if not self.member.removed:
                        self.member.leave()
                    return
            except (OSError, ValueError, Refused):
                pass
            time.sleep(max(0, started + HEARTBEAT_INTERVAL - time.monotonic()))
        connection.close()
        self.threads.pop(id, None)

    def is_removed(self, id, connection):
        """One heartbeat; whether the reply says that this member is removed."""
        status, body = connection.ask("POST", "/peer/heartbeat", self.member.heartbeat())
        reply = json.loads(body)
        if status != 200:
            log("error", f"peer {connection.address[0]}: {reply['error']}")
            return False
        if reply["removed"]:
            return True
        self.member.liveness.note_answer(id)
        if reply["ballot"] > self.member.acceptor.ballot:
            self.catch_up(connection)
        return False

    def catch_up(self, connection):
        held = json.loads(connection.ask("GET", "/peer/state")[1])
        if not self.member.acceptor.catch_up(held["ballot"], held["state"]) and not self.member.is_learner():
            self.member.propose({"op": "no_op"})
