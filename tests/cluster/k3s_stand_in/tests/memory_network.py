"""Members of a register in one process. A seeded random generator decides what the network does."""
import copy
import json
import random

from k3s_stand_in.register import Acceptor, Proposer, voters


class MemoryStorage:
    """Keeps the record as text, so that it shares no objects with the acceptor."""

    def __init__(self, record):
        self.text = json.dumps(record)

    def load(self):
        return json.loads(self.text)

    def save(self, record):
        self.text = json.dumps(record)


def apply(state, operation):
    """A list of values and its members, without the rest of a cluster's state."""
    kind, value = operation
    if kind == "write" and value not in state["values"]:
        state["values"].append(value)
    elif kind == "add":
        state["members"].setdefault(value, {"learner": True})
    elif kind == "promote" and value in state["members"]:
        state["members"][value]["learner"] = False
    elif kind == "remove" and len(set(voters(state)) - {value}) >= 2:
        state["members"].pop(value, None)
    return list(state["values"])


def initial_state(*ids):
    return {"revision": 1, "values": [], "members": {id: {"learner": False} for id in ids}}


class Node:
    """One member: its acceptor, its proposer, and the operation on which it works."""

    def __init__(self, id, ballot, state):
        self.storage = MemoryStorage(Acceptor.first_record(id, ballot, state))
        self.restart()

    def restart(self):
        """As after a power cut: only the storage remains."""
        self.acceptor = Acceptor(self.storage)
        self.acceptor.load()
        self.proposer = Proposer(self.acceptor, apply)
        self.operation = self.round = None
        self.request_number = 0
        self.replies = {}

    @property
    def id(self):
        return self.acceptor.id

    @property
    def is_voter(self):
        return not self.acceptor.state["members"].get(self.id, {"learner": True})["learner"]


class MemoryNetwork:
    """Loses, delays, reorders and duplicates messages, cuts the power of nodes, and splits them in two halves.

    Each step delivers one random message or does one other random thing. `history` has all operations
    in the order in which they began: what, when it began, when it was acknowledged, and its result."""

    def __init__(self, seed, ids, loss=0.1, duplication=0.1, power_cuts=0.01, splits=0.0):
        self.random = random.Random(seed)
        self.loss, self.duplication, self.power_cuts, self.splits = loss, duplication, power_cuts, splits
        self.cut_off = set()
        self.nodes = {id: Node(id, [1, ids[0]], initial_state(*ids)) for id in ids}
        self.messages, self.history, self.decided = [], [], []
        self.now = 0

    def begin(self, node, kind, value=None):
        node.operation = {"what": (kind, value), "begun": self.now, "acknowledged": None, "result": None, "tries": 0}
        self.history.append(node.operation)
        self.begin_round(node)

    def begin_round(self, node):
        node.operation["tries"] += 1
        node.round = node.proposer.round(node.operation["what"])
        self.send(node, next(node.round))

    def send(self, node, request):
        node.request_number += 1
        node.replies = {}
        for id in request.ids:
            # The copy is what a network does: sender and receiver share no objects.
            self.messages.append(("request", node, node.round, node.request_number, id, request.kind,
                                  copy.deepcopy(request.body)))

    def step(self):
        self.now += 1
        if self.random.random() < self.power_cuts:
            self.random.choice(list(self.nodes.values())).restart()
        if self.random.random() < self.splits:
            self.cut_off = set(self.random.sample(sorted(self.nodes), self.random.randrange(len(self.nodes))))
        if self.messages:
            index = self.random.randrange(len(self.messages))
            message = self.messages[index]
            if self.random.random() >= self.duplication:
                self.messages.pop(index)
            if self.random.random() >= self.loss and self.connected(message[1].id, message[4]):
                self.deliver(*message)

    def connected(self, id, other):
        return (id in self.cut_off) == (other in self.cut_off)

    def deliver(self, direction, node, round, number, id, *content):
        if direction == "request":
            if id in self.nodes:
                kind, body = content
                reply = self.nodes[id].acceptor.handle(kind, copy.deepcopy(body))
                self.messages.append(("reply", node, round, number, id, copy.deepcopy(reply)))
        elif round is node.round and number == node.request_number:
            node.replies[id] = content[0]

    def stop_waiting(self, node):
        """The node goes on with the replies that it has."""
        try:
            self.send(node, node.round.send(node.replies))
        except StopIteration as end:
            decided, result = end.value
            if decided:
                node.operation.update(acknowledged=self.now, result=result)
            if decided or node.operation["tries"] == 20:
                node.operation = node.round = None
            else:
                self.begin_round(node)

    def catch_up(self, node, other):
        if self.connected(node.id, other.id):
            node.acceptor.catch_up(**copy.deepcopy(other.acceptor.snapshot()))
