"""When each peer was last heard of. Knows no sockets; the clock is a parameter."""
import time

NEVER = float("-inf")


class Liveness:
    """Two directions: peers that answer our requests, and peers whose heartbeats arrive."""

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.started = clock()
        self.answered, self.heard, self.first_heard, self.ballots = {}, {}, {}, {}

    def note_answer(self, id):
        self.answered[id] = self.clock()

    def note_heartbeat(self, id, ballot):
        self.heard[id] = self.clock()
        self.first_heard.setdefault(id, self.clock())
        self.ballots[id] = ballot

    def answers(self, id, within):
        return self.clock() - self.answered.get(id, NEVER) < within

    def silence(self, id):
        """Seconds since the last heartbeat; of a peer that was never heard, since the start."""
        return self.clock() - self.heard.get(id, self.started)

    def is_up_to_date(self, id, ballot, known_for, heard_within):
        """Whether the peer's last heartbeat is recent and names this ballot."""
        return (self.ballots.get(id) == ballot
                and self.clock() - self.first_heard[id] > known_for
                and self.clock() - self.heard[id] < heard_within)
