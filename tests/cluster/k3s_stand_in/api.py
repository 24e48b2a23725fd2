"""Port 6443: k3s's supervisor and the API server."""
import json
import time

from .errors import Refused
from .files import read_file
from .https import basic_authorization
from .kubernetes import event_object, list_object, namespace_object, node_object, status_object
from .settings import NODE_UNKNOWN_AFTER, PEER_PORT


class Api:
    """Requests need the token or a client certificate, as with k3s."""

    def __init__(self, member, certificates, secret):
        self.member, self.certificates = member, certificates
        self.authorization = basic_authorization(f"server:{secret}")

    def respond(self, method, path, headers, body, certificate):
        path = path.partition("?")[0]
        if path == "/ping":
            return 200, "pong"
        if path == "/cacerts":
            return 200, read_file(self.certificates.path("server-ca.crt"))
        subject = dict(pair for part in (certificate or {}).get("subject", ()) for pair in part)
        admin = subject.get("organizationName") == "system:masters"
        if path == "/db/info" or path.startswith(("/v1-k3s/", "/stand-in/")):
            if headers.get("authorization") != self.authorization and not (admin and path == "/db/info"):
                return status_object(401, "Unauthorized")
            return self.supervisor(method, path, json.loads(body or b"null"))
        # The supervisor answers from the start, the API server only once etcd has answered.
        if self.member.is_learner() or not self.member.had_majority:
            return status_object(503, "apiserver not ready")
        if not certificate:
            return status_object(401, "Unauthorized")
        if not admin:
            user = subject.get("commonName")
            return status_object(403, f'forbidden: User "{user}" cannot {method.lower()} path "{path}"')
        if path in ("/readyz", "/livez", "/healthz"):
            if self.member.has_majority():
                return 200, "ok"
            return 500, f"[+]ping ok\n[-]etcd failed: reason withheld\n{path[1:]} check failed\n"
        return self.kubernetes(method, path)

    def supervisor(self, method, path, body):
        if path == "/v1-k3s/server-bootstrap":
            return 200, self.certificates.export_bootstrap()
        if path == "/db/info":
            return 200, {"members": [self.member_info(other) for other in self.member.state["members"].values()]}
        if path == "/stand-in/member" and method == "POST":
            try:
                id = self.member.submit(body)
            except Refused as error:
                return error.status, {"error": str(error)}
            return 200, {"id": id, **self.member.acceptor.snapshot()}
        return 404, "404 page not found\n"

    @staticmethod
    def member_info(member):
        return {"name": member["name"], "peerURLs": [f"https://{member['ip']}:{PEER_PORT}"],
                "clientURLs": [f"https://{member['ip']}:2379"] if member["name"] else [],
                "isLearner": member["learner"]}

    def kubernetes(self, method, path):
        if not self.member.has_majority():
            return status_object(500, "etcdserver: request timed out")
        state = self.member.state
        if method == "GET" and path == "/api/v1/nodes":
            return 200, list_object("NodeList", state, [self.node(state, name) for name in sorted(state["nodes"])])
        if method == "GET" and path == "/api/v1/namespaces/kube-system/events":
            return 200, list_object("EventList", state, map(event_object, state["events"]))
        if method == "GET" and path == "/api/v1/namespaces/kube-system":
            return 200, namespace_object(state)
        name = path.removeprefix("/api/v1/nodes/")
        if name == path or "/" in name or method not in ("GET", "DELETE"):
            return status_object(404, "the server could not find the requested resource")
        if name not in state["nodes"]:
            return status_object(404, f'nodes "{name}" not found')
        if method == "DELETE":
            try:
                self.member.submit({"op": "delete_node", "node": name, "time": time.time()})
            except Refused as error:
                return status_object(error.status, str(error))
            if name in self.member.state["nodes"]:
                state = self.member.state
        return 200, self.node(state, name)

    def node(self, state, name):
        id = state["nodes"][name]["member"]
        silence = 0 if id == self.member.id else self.member.liveness.silence(id)
        return node_object(state, name, ready=silence < NODE_UNKNOWN_AFTER, seen=time.time() - silence)
