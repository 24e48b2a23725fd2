"""What one member does for all: it promotes learners and removes deleted nodes. Two leaders at once
do no harm, since every change goes through the register."""
import time

from .errors import Refused
from .log import log
from .register import voters
from .settings import FINALIZER_DELAY, HEARTBEAT_INTERVAL, PROMOTE_AFTER, REPLY_TIMEOUT


def maintain_cluster(member, heartbeats):
    """Never returns."""
    while True:
        heartbeats.start_missing()
        if is_leader(member):
            try:
                promote_learners(member)
                remove_deleted_nodes(member)
            except Refused as error:
                log("error", str(error))
        time.sleep(0.3)


def is_leader(member):
    """The first voter that answers leads, if it has a majority."""
    leader = next((id for id in voters(member.state) if member.peers.answers(id, REPLY_TIMEOUT)), None)
    return leader == member.id and member.has_majority()


def promote_learners(member):
    for id, other in list(member.state["members"].items()):
        if other["learner"] and member.liveness.is_up_to_date(
                id, member.acceptor.ballot, known_for=PROMOTE_AFTER, heard_within=2 * HEARTBEAT_INTERVAL):
            member.propose({"op": "promote_member", "id": id})
            log("info", f"Promoted learner {other['name']}")


def remove_deleted_nodes(member):
    for name, node in list(member.state["nodes"].items()):
        if node["deleted"] and time.time() - node["deleted"] > FINALIZER_DELAY:
            member.propose({"op": "finalize_node", "node": name})
            log("info", f"Removed name={name} from etcd")
