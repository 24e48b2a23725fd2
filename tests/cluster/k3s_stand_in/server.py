"""`k3s server`."""
import os
import socket
import ssl
import threading
import time

from .api import Api
from .bootstrap import Bootstrap
from .certificates import Certificates
from .config import Config
from .errors import Refused
from .heartbeats import Heartbeats
from .https import serve
from .leader import maintain_cluster
from .log import log
from .manifests import watch_manifests
from .member import Member
from .peer_api import PeerApi
from .settings import API_PORT, PEER_PORT, ROOT, VERSION


def run_server():
    """Returns once the node is up; the rest happens in threads."""
    log("info", f"Starting k3s {VERSION} (a stand-in of the tests, not k3s)")
    config = Config(ROOT)
    certificates = Certificates(config.tls_folder, config.ca_hash)
    bootstrap = Bootstrap(config, certificates)
    acceptor, name = bootstrap.run(), bootstrap.member_name()
    member = Member(config, acceptor, ssl.create_default_context(cafile=certificates.path("server-ca.crt")))
    context = certificates.serving_context([*config.tls_names, config.ip, config.node_name, "127.0.0.1", "localhost"])
    host = config.ip if ROOT else ""
    serve((host, API_PORT), context, Api(member, certificates, config.secret).respond)
    serve((host, PEER_PORT), context, PeerApi(member, config.secret).respond)
    log("info", f"Serving as {name} of the cluster {acceptor.state['cluster']}")
    start_thread(maintain_cluster, member, Heartbeats(member))
    take_part(member, name, config)
    start_thread(watch_manifests, config.manifests_folder, member)
    notify_systemd("READY=1\nSTATUS=a stand-in of the tests, not k3s")
    log("info", "k3s is up and running (the stand-in)")


def start_thread(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


def take_part(member, name, config):
    """Publishes the member's name, waits until it is a voter with a majority, and registers the node."""
    submit_until(member, {"op": "publish_name", "id": member.id, "name": name},
                 lambda state: state["members"].get(member.id, {"name": ""})["name"] == name)
    while not member.has_majority():
        time.sleep(0.2)
    member.had_majority = True
    submit_until(member, {"op": "register_node", "node": config.node_name, "ip": config.ip, "member": member.id,
                          "machine": config.machine_id, "password": config.password_hash, "time": time.time()},
                 lambda state: state["nodes"].get(config.node_name, {}).get("member") == member.id)


def submit_until(member, operation, done):
    while not done(member.state):
        try:
            member.submit(operation)
            time.sleep(0.2)
        except Refused as error:
            log("error", str(error))
            time.sleep(1)


def notify_systemd(text):
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.connect("\0" + address[1:] if address[0] == "@" else address)
            systemd.sendall(text.encode())
