"""Kubernetes objects, with the fields that the node's scripts and the tests read."""
import hashlib

from .log import timestamp
from .settings import VERSION

REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 500: "InternalError", 503: "ServiceUnavailable"}
READY_FIELDS = {"f:status": {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}}}}}


def status_object(code, message):
    """The HTTP status and the body of a failure."""
    return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                  "reason": REASONS[code], "code": code}


def list_object(kind, state, items):
    return {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": revision(state)}, "items": list(items)}


def namespace_object(state):
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": state["cluster"]}}


def node_object(state, name, ready, seen):
    """`seen` is when the node was last heard of."""
    node = state["nodes"][name]
    addresses = [{"type": "InternalIP", "address": node["ip"]}, {"type": "Hostname", "address": name}]
    return {"kind": "Node", "apiVersion": "v1", "metadata": node_metadata(state, name, timestamp(seen)),
            "spec": {"providerID": f"k3s://{name}"},
            "status": {"conditions": node_conditions(ready, timestamp(seen)), "addresses": addresses,
                       "nodeInfo": {"machineID": node["machine"], "kubeletVersion": VERSION}}}


def node_metadata(state, name, seen):
    node = state["nodes"][name]
    metadata = {"name": name, "uid": hashlib.md5(node["member"].encode()).hexdigest(),
                "resourceVersion": revision(state), "creationTimestamp": timestamp(node["created"])}
    if node["deleted"]:
        metadata.update(deletionTimestamp=timestamp(node["deleted"]), deletionGracePeriodSeconds=0)
    metadata.update({
        "labels": {"kubernetes.io/hostname": name, "node-role.kubernetes.io/control-plane": "true",
                   "node-role.kubernetes.io/etcd": "true"},
        "annotations": {"etcd.k3s.cattle.io/node-address": node["ip"],
                        "etcd.k3s.cattle.io/node-name": state["members"].get(node["member"], {"name": ""})["name"]},
        "finalizers": ["wrangler.cattle.io/managed-etcd-controller", "wrangler.cattle.io/node"],
        "managedFields": [{"manager": "k3s", "operation": "Update", "apiVersion": "v1", "time": seen,
                           "fieldsType": "FieldsV1", "subresource": "status", "fieldsV1": READY_FIELDS}]})
    return metadata


def node_conditions(ready, seen):
    """Ready comes last, as in Kubernetes."""
    conditions = [{"type": kind, "status": "False" if ready else "Unknown"}
                  for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    conditions.append({"type": "Ready", "status": "True" if ready else "Unknown", "lastHeartbeatTime": seen,
                       "lastTransitionTime": seen, "reason": "KubeletReady" if ready else "NodeStatusUnknown",
                       "message": "the stand-in is there" if ready else "Kubelet stopped posting node status."})
    return conditions


def event_object(event):
    first, last = timestamp(event["first"]), timestamp(event["last"])
    return {"metadata": {"name": f"{event['file']}.{int(event['first'] * 1e9):x}", "namespace": "kube-system",
                         "creationTimestamp": first},
            "involvedObject": {"kind": "Addon", "namespace": "kube-system", "name": event["file"],
                               "apiVersion": "k3s.cattle.io/v1"},
            "reason": event["reason"], "message": event["message"], "source": {"component": "deploy"},
            "firstTimestamp": first, "lastTimestamp": last, "count": event["count"],
            "type": event["type"], "eventTime": None, "reportingComponent": "deploy", "reportingInstance": ""}


def revision(state):
    return str(state["revision"])
