"""`kubectl get nodes`, with the credentials in the image."""
import json
import ssl
import sys

from .https import Connection
from .settings import API_PORT, ROOT, VERSION


def run_kubectl(arguments):
    if arguments[:2] != ["get", "nodes"]:
        sys.exit("kubectl: this is a stand-in of the tests: it knows `get nodes` only")
    credentials = f"{ROOT}/etc/rancher/k3s/cluster"
    context = ssl.create_default_context(cafile=f"{credentials}/server-ca.crt")
    context.load_cert_chain(f"{credentials}/admin.crt", f"{credentials}/admin.key")
    try:
        status, body = Connection(server_address(), API_PORT, context).ask("GET", "/api/v1/nodes")
    except OSError as error:
        sys.exit(f"The connection to the server 127.0.0.1:{API_PORT} was refused: {error}")
    if status != 200:
        sys.exit(f"Error from server: {json.loads(body)['message']}")
    print(table(json.loads(body)["items"]))


def server_address():
    if not ROOT:
        return "127.0.0.1"
    from .config import Config  # not needed on a node, where start-up must be quick
    return Config(ROOT).ip


def table(nodes):
    lines = [f"{'NAME':<12}{'STATUS':<10}{'ROLES':<22}VERSION"]
    for node in nodes:
        ready = node["status"]["conditions"][-1]["status"] == "True"
        lines.append(f"{node['metadata']['name']:<12}{'Ready' if ready else 'NotReady':<10}"
                     f"{'control-plane,etcd':<22}{VERSION}")
    return "\n".join(lines)
