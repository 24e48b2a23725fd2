"""The safety of the register: no acknowledged write is lost, whatever the network does."""
import unittest

from k3s_stand_in.register import is_majority, voters

from .memory_network import MemoryNetwork, Node

STEPS = 1500


class Clients:
    """Reads and writes through random members, a few at once."""

    def __init__(self, network, proposers=None):
        self.network, self.random, self.proposers = network, network.random, proposers
        self.written = 0

    def step(self):
        working = [node for node in self.network.nodes.values() if node.operation]
        if len(working) < 3 and self.random.random() < 0.3:
            node = self.network.nodes[self.random.choice(self.proposers or sorted(self.network.nodes))]
            if node.is_voter and not node.operation:
                self.begin(node)
        for node in working:
            enough = is_majority(node.replies, voters(node.acceptor.state))
            if self.random.random() < (0.3 if enough else 0.02):
                self.network.stop_waiting(node)

    def begin(self, node):
        if self.random.random() < 0.5:
            self.network.begin(node, "read")
        else:
            self.written += 1
            self.network.begin(node, "write", self.written)


class ClientsOfChangingMembers(Clients):
    """Also adds, promotes and removes members, with members that are far behind."""

    def __init__(self, network):
        super().__init__(network)
        self.number_of_nodes = len(network.nodes)

    def step(self):
        if self.random.random() < 0.01:
            node, other = self.random.sample(sorted(self.network.nodes), 2)
            self.network.catch_up(self.network.nodes[node], self.network.nodes[other])
        super().step()

    def begin(self, node):
        members = node.acceptor.state["members"]
        learners = [id for id in sorted(members) if members[id]["learner"]]
        kind = self.random.choice(["read or write", "add", "promote", "remove"])
        if kind == "add" and len(members) < 6:
            self.add_node(node)
        elif kind == "promote" and learners:
            self.network.begin(node, kind, self.random.choice(learners))
        elif kind == "remove":
            self.network.begin(node, kind, self.random.choice(sorted(members)))
        else:
            super().begin(node)

    def add_node(self, node):
        """An ID is never used twice. The new node begins with the state of the node that adds it."""
        self.number_of_nodes += 1
        id = f"node-{self.number_of_nodes}"
        snapshot = node.acceptor.snapshot()
        self.network.nodes[id] = Node(id, snapshot["ballot"], snapshot["state"])
        self.network.begin(node, "add", id)


class RandomRegisterTest(unittest.TestCase):
    def run_and_check(self, network, clients):
        for _ in range(STEPS):
            clients.step()
            network.step()
        acknowledged = [operation for operation in network.history if operation["acknowledged"]]
        self.check_results_form_one_history(acknowledged)
        self.check_later_operations_see_earlier_ones(acknowledged)
        return len(acknowledged)

    def check_results_form_one_history(self, acknowledged):
        """Two decided values would show as two lists of which neither begins with the other."""
        results = sorted((operation["result"] for operation in acknowledged), key=len)
        for shorter, longer in zip(results, results[1:]):
            self.assertEqual(longer[:len(shorter)], shorter)

    def check_later_operations_see_earlier_ones(self, acknowledged):
        """A write is part of its own result, so longer results are newer."""
        for earlier in acknowledged:
            kind, value = earlier["what"]
            if kind == "write":
                self.assertIn(value, earlier["result"])
            for later in acknowledged:
                if later["begun"] > earlier["acknowledged"]:
                    self.assertGreaterEqual(len(later["result"]), len(earlier["result"]))

    def test_two_proposers_never_decide_two_values(self):
        total = 0
        for seed in range(30):
            with self.subTest(seed=seed):
                network = MemoryNetwork(seed, ["a", "b", "c"])
                total += self.run_and_check(network, Clients(network, proposers=["a", "b"]))
        self.assertGreater(total, 30 * 10, "too few operations succeed for this test to prove anything")

    def test_acknowledged_writes_survive_power_cuts(self):
        total = 0
        for seed in range(30):
            with self.subTest(seed=seed):
                network = MemoryNetwork(seed, ["a", "b", "c"], power_cuts=0.02)
                total += self.run_and_check(network, Clients(network))
        self.assertGreater(total, 30 * 10, "too few operations succeed for this test to prove anything")

    def test_acknowledged_writes_survive_member_changes(self):
        total = 0
        for seed in range(120):
            with self.subTest(seed=seed):
                network = MemoryNetwork(seed, ["a", "b", "c", "d"], loss=0.02, power_cuts=0.002, splits=0.01)
                total += self.run_and_check(network, ClientsOfChangingMembers(network))
        self.assertGreater(total, 120 * 10, "too few operations succeed for this test to prove anything")
