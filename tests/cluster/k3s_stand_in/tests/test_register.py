"""The register, message by message."""
import os
import tempfile
import unittest

from k3s_stand_in.files import RecordFile
from k3s_stand_in.register import Acceptor, Proposer, run_round

from .memory_network import Node, apply, initial_state


class RegisterTest(unittest.TestCase):
    def setUp(self):
        self.nodes = {}

    def add_voters(self, *ids):
        for id in ids:
            self.nodes[id] = Node(id, [1, ids[0]], initial_state(*ids))

    def add_learner(self, id, by):
        self.propose(by, "add", id)
        self.nodes[id] = Node(id, **self.nodes[by].acceptor.snapshot())

    def propose(self, id, kind, value=None, reachable=None):
        """One round of this member: whether it is decided, and its result."""
        return run_round(self.nodes[id].proposer.round((kind, value)), self.network(reachable))

    def network(self, reachable=None):
        def ask(request):
            return {id: self.nodes[id].acceptor.handle(request.kind, request.body) for id in request.ids
                    if reachable is None or id in reachable}
        return ask

    def state_of(self, id):
        return self.nodes[id].acceptor.state

    def test_three_acceptors_decide_one_value(self):
        self.add_voters("a", "b", "c")
        self.assertEqual(self.propose("a", "write", 1), (True, [1]))
        self.assertEqual(self.propose("b", "write", 2), (True, [1, 2]))
        for id in "abc":
            self.assertEqual(self.state_of(id), self.state_of("a"))

    def test_majority_decides_without_third_acceptor(self):
        self.add_voters("a", "b", "c")
        self.assertEqual(self.propose("a", "write", 1, reachable="ab"), (True, [1]))
        self.assertEqual(self.propose("c", "read", reachable="bc"), (True, [1]))

    def test_nothing_is_decided_without_majority(self):
        self.add_voters("a", "b", "c")
        self.assertEqual(self.propose("a", "write", 1, reachable="a"), (False, None))
        self.assertEqual(self.state_of("a")["values"], [])

    def test_half_is_no_majority(self):
        self.add_voters("a", "b", "c", "d")
        self.assertEqual(self.propose("a", "write", 1, reachable="ab"), (False, None))

    def test_accept_of_minority_is_not_acknowledged(self):
        self.add_voters("a", "b", "c")
        decided, _ = self.propose_with_lost_accepts("a", "write", 1, accepting="a")
        self.assertFalse(decided)

    def test_next_proposer_completes_value_of_minority(self):
        self.add_voters("a", "b", "c")
        self.propose_with_lost_accepts("a", "write", 1, accepting="a")
        self.assertEqual(self.propose("b", "write", 2, reachable="ab"), (True, [1, 2]))

    def propose_with_lost_accepts(self, id, kind, value, accepting, preparing=None):
        """Prepares reach `preparing` (all if None); accepts reach only `accepting`."""
        def ask(request):
            return self.network(accepting if request.kind == "accept" else preparing)(request)
        return run_round(self.nodes[id].proposer.round((kind, value)), ask)

    def test_overtaken_proposer_is_refused_and_then_follows(self):
        self.add_voters("a", "b", "c")
        slow = self.nodes["a"].proposer.round(("write", 1))
        promises = self.network()(next(slow))
        accept = slow.send(promises)
        for _ in range(3):
            self.propose("b", "write", 2)
        with self.assertRaises(StopIteration) as end:
            slow.send(self.network()(accept))
        self.assertEqual(end.exception.value[0], False)
        self.assertEqual(self.propose("a", "write", 1), (True, [2, 1]))

    def test_late_accept_changes_nothing(self):
        self.add_voters("a", "b", "c")
        slow = self.nodes["a"].proposer.round(("write", 1))
        late = slow.send(self.network()(next(slow)))
        self.propose("b", "write", 2)
        self.assertFalse(self.nodes["c"].acceptor.accept(**late.body)["ok"])
        self.assertEqual(self.state_of("c")["values"], [2])

    def test_accept_without_prepare_is_also_a_promise(self):
        self.add_voters("a", "b", "c")
        self.assertTrue(self.nodes["c"].acceptor.accept([5, "a"], initial_state("a", "b", "c"))["ok"])
        self.assertEqual(self.nodes["c"].acceptor.prepare([4, "b"]), {"ok": False, "promised": [5, "a"]})

    def test_acceptor_promises_each_ballot_once(self):
        self.add_voters("a", "b", "c")
        self.assertTrue(self.nodes["c"].acceptor.prepare([5, "a"])["ok"])
        self.assertFalse(self.nodes["c"].acceptor.prepare([5, "a"])["ok"])

    def test_learner_counts_only_once_promoted(self):
        self.add_voters("a", "b", "c")
        self.add_learner("d", by="a")
        self.assertEqual(self.propose("a", "write", 1, reachable="ad"), (False, None))
        self.propose("a", "promote", "d")
        self.assertEqual(self.propose("a", "write", 2, reachable="abd"), (True, [2]))
        self.assertEqual(self.propose("a", "write", 3, reachable="ab"), (False, None))

    def test_removed_member_cannot_vote(self):
        self.add_voters("a", "b", "c")
        self.propose("a", "remove", "c")
        self.assertEqual(self.propose("a", "write", 1, reachable="ac"), (False, None))
        self.assertEqual(self.propose("a", "write", 1, reachable="ab"), (True, [1]))

    def test_removed_member_cannot_decide_with_others_who_missed_it(self):
        self.add_voters("a", "b", "c", "d", "e")
        self.propose("a", "remove", "e", reachable="abc")
        self.assertEqual(self.propose("a", "remove", "d", reachable="abc")[0], True)
        self.assertEqual(self.propose("e", "write", 1, reachable="cde"), (False, None))
        self.assertEqual(self.propose("a", "read", reachable="ab"), (True, []))

    def test_proposer_that_missed_changes_follows_to_new_voters(self):
        self.add_voters("a", "b", "c")
        for id in "de":
            self.add_learner(id, by="a")
            self.propose("a", "promote", id, reachable="abde")
        self.propose("a", "write", 1, reachable="abde")
        self.assertEqual(self.propose("c", "write", 2), (False, None), "refusals tell it the ballot number")
        self.assertEqual(self.propose("c", "write", 2), (True, [1, 2]))

    def test_change_of_voters_needs_majority_of_old_voters(self):
        """Else one proposer could decide with the new voters and another with the voters of a change
        that was made at the same time."""
        self.add_voters("a", "b", "c", "d")
        decided, _ = self.propose_with_lost_accepts("b", "remove", "d", accepting="bc")
        self.assertFalse(decided)

    def test_change_of_voters_needs_majority_of_new_voters(self):
        self.add_voters("a", "b")
        self.add_learner("c", by="a")
        self.add_learner("d", by="a")
        self.propose("a", "promote", "c")
        decided, _ = self.propose_with_lost_accepts("a", "promote", "d", accepting="ab")
        self.assertFalse(decided)

    def test_catch_up_never_goes_back(self):
        self.add_voters("a", "b", "c")
        old = self.nodes["c"].acceptor.snapshot()
        self.propose("a", "write", 1)
        self.assertTrue(self.nodes["a"].acceptor.catch_up(**old))
        self.assertEqual(self.state_of("a")["values"], [1])

    def test_catch_up_takes_newer_state(self):
        self.add_voters("a", "b", "c")
        self.propose("a", "write", 1, reachable="ab")
        self.assertTrue(self.nodes["c"].acceptor.catch_up(**self.nodes["a"].acceptor.snapshot()))
        self.assertEqual(self.state_of("c")["values"], [1])

    def test_catch_up_keeps_promise(self):
        self.add_voters("a", "b", "c")
        self.propose("a", "write", 1, reachable="ab")
        self.nodes["c"].acceptor.prepare([9, "b"])
        self.assertFalse(self.nodes["c"].acceptor.catch_up(**self.nodes["a"].acceptor.snapshot()))


class RestartTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = RecordFile(os.path.join(folder.name, "record.json"))
        self.file.save(Acceptor.first_record("a", [1, "a"], initial_state("a")))

    def loaded(self):
        acceptor = Acceptor(self.file)
        acceptor.load()
        return acceptor

    def test_decided_value_survives_restart(self):
        before = self.loaded()
        run_round(Proposer(before, apply).round(("write", 1)), lambda request: {
            "a": before.handle(request.kind, request.body)})
        after = self.loaded()
        self.assertEqual((after.id, after.promised, after.ballot, after.state),
                         (before.id, before.promised, before.ballot, before.state))
        self.assertEqual(after.state["values"], [1])

    def test_promise_survives_restart(self):
        self.assertTrue(self.loaded().prepare([7, "b"])["ok"])
        self.assertEqual(self.loaded().prepare([6, "c"]), {"ok": False, "promised": [7, "b"]})
        self.assertEqual(self.loaded().accept([6, "c"], {}), {"ok": False, "promised": [7, "b"]})

    def test_interrupted_write_leaves_old_record(self):
        with open(self.file.path + ".new", "w") as torn:
            torn.write('{"id": "a", "promi')
        self.assertEqual(self.loaded().state["values"], [])

    def test_empty_record_is_an_error(self):
        with open(self.file.path, "w"):
            pass
        with self.assertRaises(ValueError):
            self.loaded()
