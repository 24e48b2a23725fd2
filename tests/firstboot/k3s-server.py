#!/usr/bin/env python3
"""Stands in for the API server of k3s. Usage: k3s-server.py KEYS PORT ADDRESS=BEHAVIOUR…

KEYS is a folder with our.pem and other.pem (certificate and key of a server of this cluster and of
another cluster) and client-ca.crt. Without a client certificate of client-ca only /ping answers.

Behaviours:
  healthy         has quorum and doesn't know the node caspar
  late            refuses connections for two seconds, then healthy
  no-quorum       /readyz answers 500
  unauthorized    rejects every client certificate
  live-duplicate  knows a Ready node caspar on another machine
  dead-duplicate  knows a node caspar that doesn't report; removes it a second after a DELETE
  same-machine    knows a node caspar with the machine id of this card
  other-cluster   healthy, with a certificate of another CA
  not-k3s         a server of this cluster that answers /ping with another text
  silent          accepts connections and never answers
  endless         never ends its answer
"""
import contextlib
import json
import socket
import ssl
import sys
import threading
import time

REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 500: "Internal Server Error"}
KNOWS_CASPAR = ("live-duplicate", "dead-duplicate", "same-machine")
deleted_at = {}


def node_caspar(behaviour):
    return {
        "metadata": {"name": "caspar"},
        "status": {
            "nodeInfo": {"machineID": "this-card" if behaviour == "same-machine" else "another-card"},
            "addresses": [{"type": "Hostname", "address": "caspar"}, {"type": "InternalIP", "address": "127.0.1.9"}],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "Unknown" if behaviour == "dead-duplicate" else "True"},
            ],
        },
    }


def is_deleted(address):
    return address in deleted_at and time.monotonic() - deleted_at[address] > 1


def api(address, behaviour, method, path):
    """What an authenticated client gets: status and body."""
    if behaviour == "unauthorized":
        return 401, "{}"
    if path == "/readyz":
        return (500, "etcd failed") if behaviour == "no-quorum" else (200, "ok")
    if path == "/api/v1/nodes/caspar" and behaviour in KNOWS_CASPAR and not is_deleted(address):
        if method == "DELETE" and behaviour == "dead-duplicate":
            deleted_at.setdefault(address, time.monotonic())
        return 200, json.dumps(node_caspar(behaviour))
    return 404, "{}"


def read_request(tls):
    """Method and path. The body may come in a packet of its own: unread bytes would reset the connection."""
    method, path = tls.recv(4096).decode().split(" ")[:2]
    tls.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        tls.recv(4096)
    tls.settimeout(None)
    return method, path


def respond(tls, address, behaviour):
    method, path = read_request(tls)
    if behaviour == "endless":
        tls.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        while True:
            tls.sendall(b"pong" * 4096)
    if path == "/ping" and behaviour != "not-k3s":
        status, body = 200, "pong"
    elif not tls.getpeercert():
        status, body = 401, "<h1>pong</h1>\n"
    else:
        status, body = api(address, behaviour, method, path)
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    tls.sendall((head + body).encode())


def handle(connection, context, address, behaviour):
    if behaviour == "silent":
        time.sleep(60)
    with contextlib.suppress(OSError, ValueError), context.wrap_socket(connection, server_side=True) as tls:
        respond(tls, address, behaviour)


def tls_context(keys, behaviour):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{keys}/{'other' if behaviour == 'other-cluster' else 'our'}.pem")
    context.load_verify_locations(f"{keys}/client-ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def serve(keys, port, address, behaviour):
    context = tls_context(keys, behaviour)
    if behaviour == "late":
        time.sleep(2)
    with socket.create_server((address, port)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=handle, args=(connection, context, address, behaviour), daemon=True).start()


def main():
    keys, port, *servers = sys.argv[1:]
    threads = []
    for server in servers:
        address, behaviour = server.split("=")
        if f"\n  {behaviour} " not in __doc__:
            sys.exit(f"k3s-server.py: unknown behaviour `{behaviour}`")
        threads.append(threading.Thread(target=serve, args=(keys, int(port), address, behaviour), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
