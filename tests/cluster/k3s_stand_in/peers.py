"""Requests to other members, on the peer port."""
import json

from .https import Connection
from .register import is_majority
from .settings import PEER_PORT, REPLY_TIMEOUT


class Peers:
    """Asks several members for one round of the register."""

    def __init__(self, acceptor, liveness, context, credentials):
        self.acceptor, self.liveness = acceptor, liveness
        self.context, self.credentials = context, credentials
        self.connections = {}

    def connect(self, member):
        return Connection(member["ip"], PEER_PORT, self.context, self.credentials)

    def answers(self, id, within):
        return id == self.acceptor.id or self.liveness.answers(id, within)

    def ask_all(self, request):
        """The replies by member ID. Silent members cost a timeout, so they come last and are asked only
        if the others are no majority."""
        replies, granted = {}, set()
        for id in sorted(request.ids, key=lambda id: (id != self.acceptor.id, not self.answers(id, REPLY_TIMEOUT))):
            if not self.answers(id, REPLY_TIMEOUT) and is_majority(granted, request.ids):
                break
            try:
                replies[id] = self.ask_one(id, request)
            except (OSError, ValueError):
                continue
            if replies[id]["ok"]:
                granted.add(id)
        return replies

    def ask_one(self, id, request):
        if id == self.acceptor.id:
            return self.acceptor.handle(request.kind, request.body)
        if id not in self.connections:
            self.connections[id] = self.connect(request.members[id])
        status, answer = self.connections[id].ask("POST", f"/peer/{request.kind}", request.body)
        return json.loads(answer) if status == 200 else {"ok": False, "promised": [0, ""]}
