"""Version, ports, intervals and the environment variables."""
import os

VERSION = "v0.0.0+stand-in"
API_PORT, PEER_PORT = 6443, 2380

ROOT = os.environ.get("K3S_STAND_IN_ROOT", "")
SLOWNESS = float(os.environ.get("K3S_STAND_IN_SLOW", "1"))

# Seconds.
HEARTBEAT_INTERVAL = 1.0
REPLY_TIMEOUT = 3.0 * SLOWNESS
PROPOSAL_TIMEOUT = 6.0 * SLOWNESS
QUORUM_WINDOW = 5.0 * SLOWNESS  # a peer that answered within this time counts for the majority
NODE_UNKNOWN_AFTER = 8.0 * SLOWNESS  # the condition Ready becomes Unknown; k3s waits 40 s
PROMOTE_AFTER = 3.0  # a learner that has been up to date for this long becomes a voter
FINALIZER_DELAY = 1.0  # a deleted node's object remains for this long
MANIFEST_SCAN_INTERVAL = 3.0
