"""The cluster's state and every operation that changes it.

A proposal may be decided although its proposer saw no majority and tries again, so operations are
idempotent. `record_event` is the exception: its count may become too high.
"""
from .errors import Refused


def new_state(cluster, token_hash, id, member):
    return {"cluster": cluster, "revision": 1, "token": token_hash, "members": {id: member},
            "nodes": {}, "passwords": {}, "events": []}


def apply(state, operation):
    """Changes the state in place and returns the operation's result; Refused if it is not allowed."""
    return OPERATIONS[operation["op"]](state, operation)


def add_member(state, op):
    """As k3s and etcd do together: a learner without a name, and only one learner at a time."""
    for id, member in state["members"].items():
        if member["ip"] == op["ip"] and member["name"] in ("", op["name"]):
            return id
        if node_of(member["name"]) == op["node"]:
            raise Refused("duplicate node name found, please use a unique name for this node")
    if any(member["ip"] == op["ip"] for member in state["members"].values()):
        raise Refused("etcdserver: Peer URLs already exists")
    if any(member["learner"] for member in state["members"].values()):
        raise Refused("etcdserver: too many learner members in cluster")
    state["members"][op["id"]] = {"name": "", "ip": op["ip"], "learner": True}
    return op["id"]


def publish_name(state, op):
    if op["id"] in state["members"]:
        state["members"][op["id"]]["name"] = op["name"]


def promote_member(state, op):
    if op["id"] in state["members"]:
        state["members"][op["id"]]["learner"] = False


def register_node(state, op):
    if state["passwords"].setdefault(op["node"], op["password"]) != op["password"]:
        raise Refused("Node password rejected, duplicate hostname or contents of "
                      "'/etc/rancher/node/password' may not match server node-passwd entry", 403)
    node = state["nodes"].setdefault(op["node"], {"created": op["time"], "deleted": None})
    node.update(ip=op["ip"], member=op["member"], machine=op["machine"])


def delete_node(state, op):
    """Marks the node; `finalize_node` removes it."""
    if op["node"] not in state["nodes"]:
        raise Refused(f'nodes "{op["node"]}" not found', 404)
    node = state["nodes"][op["node"]]
    node["deleted"] = node["deleted"] or op["time"]


def finalize_node(state, op):
    """Removes a node that is marked, its password and its member. A node that registered again since has no mark."""
    if state["nodes"].get(op["node"], {"deleted": None})["deleted"]:
        node = state["nodes"].pop(op["node"])
        state["passwords"].pop(op["node"], None)
        state["members"].pop(node["member"], None)


def no_op(_state, _op):
    """For a member that has promised a higher ballot than the others know: the round raises theirs."""


def record_event(state, op):
    for event in state["events"]:
        if (event["file"], event["reason"]) == (op["file"], op["reason"]):
            event.update(count=event["count"] + 1, last=op["time"], message=op["message"])
            return
    state["events"].append({"file": op["file"], "reason": op["reason"], "type": op["type"], "message": op["message"],
                            "first": op["time"], "last": op["time"], "count": 1})


def node_of(member_name):
    """A member is named NODE-SUFFIX."""
    return member_name.rpartition("-")[0]


OPERATIONS = {function.__name__: function for function in (
    add_member, publish_name, promote_member, register_node, delete_node, finalize_node, no_op, record_event)}
