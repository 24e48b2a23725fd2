"""The peer port, 2380: what members ask each other."""
import json

from .errors import Refused
from .https import basic_authorization


class PeerApi:
    """Answers heartbeats, requests of the register, and changes that a learner submits."""

    def __init__(self, member, secret):
        self.member, self.authorization = member, basic_authorization(f"server:{secret}")

    def respond(self, method, path, headers, body, _certificate):
        if headers.get("authorization") != self.authorization:
            return 401, {"error": "unauthorized"}
        body = json.loads(body or b"null")
        try:
            if path == "/peer/heartbeat":
                return 200, self.member.receive_heartbeat(body)
            if path == "/peer/state":
                return 200, self.member.acceptor.snapshot()
            if path == "/peer/submit":
                return 200, {"result": self.member.propose(body)}
            if path in ("/peer/prepare", "/peer/accept"):
                return 200, self.member.acceptor.handle(path.rpartition("/")[2], body)
        except Refused as error:
            return error.status, {"error": str(error)}
        return 404, {"error": method + path}
