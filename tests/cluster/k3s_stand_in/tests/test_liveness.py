"""Silence and learners, with a clock that the test sets."""
import unittest

from k3s_stand_in.liveness import Liveness


class LivenessTest(unittest.TestCase):
    def setUp(self):
        self.now = 100.0
        self.liveness = Liveness(clock=lambda: self.now)

    def test_peer_counts_until_it_is_silent(self):
        self.assertFalse(self.liveness.answers("b", within=5))
        self.liveness.note_answer("b")
        self.now += 4
        self.assertTrue(self.liveness.answers("b", within=5))
        self.now += 1
        self.assertFalse(self.liveness.answers("b", within=5))

    def test_silence_of_unheard_peer_begins_at_start(self):
        self.now += 7
        self.assertEqual(self.liveness.silence("b"), 7)
        self.liveness.note_heartbeat("b", [1, "a"])
        self.assertEqual(self.liveness.silence("b"), 0)

    def test_learner_is_up_to_date_after_some_time_with_newest_ballot(self):
        def up_to_date(ballot):
            return self.liveness.is_up_to_date("b", ballot, known_for=3, heard_within=2)
        self.assertFalse(up_to_date([2, "a"]))
        self.liveness.note_heartbeat("b", [2, "a"])
        self.assertFalse(up_to_date([2, "a"]), "known for too short a time")
        self.now += 4
        self.assertFalse(up_to_date([2, "a"]), "silent")
        self.liveness.note_heartbeat("b", [2, "a"])
        self.assertTrue(up_to_date([2, "a"]))
        self.assertFalse(up_to_date([3, "a"]), "an older ballot")
