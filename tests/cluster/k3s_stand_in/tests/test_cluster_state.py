"""Changes of the cluster state, and which of them are refused."""
import unittest

from k3s_stand_in.cluster_state import apply, new_state
from k3s_stand_in.errors import Refused


def add(id, node, ip, suffix="1"):
    return {"op": "add_member", "id": id, "name": f"{node}-{suffix}", "node": node, "ip": ip}


def register(node, member, password="password"):
    return {"op": "register_node", "node": node, "ip": "10.0.0.12", "member": member, "machine": "",
            "password": password, "time": 1}


class ClusterStateTest(unittest.TestCase):
    def setUp(self):
        self.state = new_state("cluster", "hash", "a", {"name": "melchior-1", "ip": "10.0.0.11", "learner": False})

    def add_voter(self, id, node, ip):
        apply(self.state, add(id, node, ip))
        apply(self.state, {"op": "publish_name", "id": id, "name": f"{node}-1"})
        apply(self.state, {"op": "promote_member", "id": id})

    def test_added_member_is_a_learner_without_name(self):
        self.assertEqual(apply(self.state, add("b", "balthazar", "10.0.0.12")), "b")
        self.assertEqual(self.state["members"]["b"], {"name": "", "ip": "10.0.0.12", "learner": True})

    def test_interrupted_join_gets_its_member_again(self):
        apply(self.state, add("b", "balthazar", "10.0.0.12"))
        self.assertEqual(apply(self.state, add("c", "balthazar", "10.0.0.12")), "b")
        self.assertNotIn("c", self.state["members"])

    def test_second_learner_is_refused(self):
        apply(self.state, add("b", "balthazar", "10.0.0.12"))
        with self.assertRaisesRegex(Refused, "too many learner members"):
            apply(self.state, add("c", "caspar", "10.0.0.13"))

    def test_duplicate_node_name_is_refused(self):
        self.add_voter("b", "balthazar", "10.0.0.12")
        with self.assertRaisesRegex(Refused, "duplicate node name found"):
            apply(self.state, add("c", "balthazar", "10.0.0.23", suffix="2"))

    def test_duplicate_address_is_refused(self):
        with self.assertRaisesRegex(Refused, "Peer URLs already exists"):
            apply(self.state, add("b", "balthazar", "10.0.0.11"))

    def test_other_node_password_is_refused(self):
        apply(self.state, register("balthazar", "b"))
        with self.assertRaisesRegex(Refused, "Node password rejected") as caught:
            apply(self.state, register("balthazar", "c", password="other"))
        self.assertEqual(caught.exception.status, 403)

    def test_deleted_node_loses_member_and_password(self):
        self.add_voter("b", "balthazar", "10.0.0.12")
        apply(self.state, register("balthazar", "b"))
        apply(self.state, {"op": "delete_node", "node": "balthazar", "time": 2})
        apply(self.state, {"op": "finalize_node", "node": "balthazar"})
        self.assertEqual(sorted(self.state["members"]), ["a"])
        apply(self.state, register("balthazar", "c", password="other"))

    def test_repeated_finalize_spares_node_that_registered_again(self):
        apply(self.state, register("balthazar", "b"))
        apply(self.state, {"op": "finalize_node", "node": "balthazar"})
        self.assertIn("balthazar", self.state["nodes"])

    def test_delete_of_unknown_node_is_refused(self):
        with self.assertRaisesRegex(Refused, "not found") as caught:
            apply(self.state, {"op": "delete_node", "node": "caspar", "time": 2})
        self.assertEqual(caught.exception.status, 404)
