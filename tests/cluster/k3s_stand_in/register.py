"""A replicated register by CASPaxos (https://arxiv.org/abs/1802.07000): how members agree on one state.

No sockets and no clocks: a round is a generator. It yields each `Request` and is sent the replies by
member ID; missing replies are simply absent. Every change reads the newest state and writes the next.

The state is a dict. `state["members"]` maps IDs to members, and a member with `learner` set has no vote.
One change may add or remove one voter at most. A change of the voters needs a majority of the old and
of the new voters, so any majority of the old voters finds out about the new ones.
"""
import collections
import copy
import threading

Request = collections.namedtuple("Request", "ids kind body members")  # members: where to find the IDs


def voters(state):
    return sorted(id for id, member in state["members"].items() if not member["learner"])


def is_majority(some, all):
    return 2 * sum(id in some for id in all) > len(all)


class Acceptor:
    """What one member has promised and accepted. Storage has the new values before a reply is given."""

    def __init__(self, storage):
        self.storage = storage
        self.lock = threading.RLock()
        self.id = self.state = None
        self.promised = self.ballot = [0, ""]

    def load(self):
        record = self.storage.load()
        self.id, self.promised = record["id"], record["promised"]
        self.ballot, self.state = record["ballot"], record["state"]

    @staticmethod
    def first_record(id, ballot, state):
        """What storage must hold before a new member can load it."""
        return {"id": id, "promised": ballot, "ballot": ballot, "state": state}

    def save(self):
        self.storage.save({"id": self.id, "promised": self.promised, "ballot": self.ballot, "state": self.state})

    def handle(self, kind, body):
        return {"prepare": self.prepare, "accept": self.accept}[kind](**body)

    def prepare(self, ballot):
        with self.lock:
            if ballot <= self.promised:
                return {"ok": False, "promised": self.promised}
            self.promised = ballot
            self.save()
            return {"ok": True, "ballot": self.ballot, "state": self.state}

    def accept(self, ballot, state):
        with self.lock:
            if ballot < self.promised:
                return {"ok": False, "promised": self.promised}
            self.promised = self.ballot = ballot
            self.state = state
            self.save()
            return {"ok": True}

    def catch_up(self, ballot, state):
        """Takes what another member has accepted, like an `accept` that arrives late."""
        with self.lock:
            return ballot <= self.ballot or self.accept(ballot, state)["ok"]

    def snapshot(self):
        with self.lock:
            return {"ballot": self.ballot, "state": self.state}


class Proposer:
    """Changes the register on behalf of one member. Only one round at a time."""

    def __init__(self, acceptor, apply):
        """apply(state, operation) changes the state in place and returns the result of the operation."""
        self.acceptor, self.apply = acceptor, apply
        self.highest = 0  # the highest ballot number seen in a refusal

    def round(self, operation):
        """One attempt. Returns whether the change is decided, and its result. After False the change
        may still be decided later, so operations must be idempotent."""
        self.highest = max(self.highest, self.acceptor.promised[0]) + 1
        ballot = [self.highest, self.acceptor.id]
        base = yield from self.newest_state(ballot)
        if base is None:
            return False, None
        state = copy.deepcopy(base)
        result = self.apply(state, operation)
        state["revision"] += 1
        before, after = voters(base), voters(state)
        replies = yield Request(sorted({*before, *after}), "accept", {"ballot": ballot, "state": state},
                                {**base["members"], **state["members"]})
        accepted = self.granted(replies)
        return is_majority(accepted, before) and is_majority(accepted, after), result

    def newest_state(self, ballot):
        """The newest state that is promised by a majority of its own voters; None without a majority.
        Our own state may be old and its voters no longer the voters, so newer states are followed."""
        state, promises = self.acceptor.state, {}
        while True:
            ids = [id for id in voters(state) if id not in promises]
            promises |= self.granted((yield Request(ids, "prepare", {"ballot": ballot}, state["members"])))
            if not is_majority(promises, voters(state)):
                return None
            newest = max(promises.values(), key=lambda reply: reply["ballot"])["state"]
            if is_majority(promises, voters(newest)):
                return newest
            state = newest

    def granted(self, replies):
        for reply in replies.values():
            if not reply["ok"]:
                self.highest = max(self.highest, reply["promised"][0])
        return {id: reply for id, reply in replies.items() if reply["ok"]}


def run_round(round, ask):
    """Drives a round: ask(request) returns the replies by member ID."""
    replies = None
    while True:
        try:
            request = round.send(replies)
        except StopIteration as end:
            return end.value
        replies = ask(request)
