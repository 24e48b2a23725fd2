#!/usr/bin/env python3
"""Servers that answer on 6443 as k3s does, or as it doesn't: k3s-server.py KEYS PORT HOST=MANNER…

KEYS is a folder with our.pem and other.pem (certificate and key, by our CA and by another) and
client-ca.crt. Only whom client-ca vouches for is told more than /ping.

Manners: `pong` is a healthy cluster that has no such node; `lie` answers /ping with something else;
`flood` never ends its answer; `hang` accepts and says nothing; `later` refuses for two seconds, then is
healthy; `other` has another CA's certificate; `starting` has no majority; `denies` every credential;
`twin` has a living node of the name, `own` one made by this very card, `former` a dead one, which a
DELETE removes after a second.
"""
import contextlib
import json
import socket
import ssl
import sys
import threading
import time

REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 500: "Internal Server Error"}
deleted = {}


def node(manner):
    return {
        "metadata": {"name": "caspar"},
        "status": {
            "nodeInfo": {"machineID": "this-card" if manner == "own" else "another-card"},
            "addresses": [{"type": "Hostname", "address": "caspar"}, {"type": "InternalIP", "address": "10.0.0.99"}],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "Unknown" if manner == "former" else "True"},
            ],
        },
    }


def api(host, manner, method, path):
    if manner == "denies":
        return 401, "{}"
    if path == "/readyz":
        return (500, "etcd failed") if manner == "starting" else (200, "ok")
    if path == "/api/v1/nodes/caspar" and manner in ("twin", "own", "former"):
        if method == "DELETE" and manner == "former":
            deleted.setdefault(host, time.monotonic())
        if time.monotonic() - deleted.get(host, time.monotonic()) < 1:
            return 200, json.dumps(node(manner))
    return 404, "{}"


def answer(connection, context, host, manner):
    try:
        if manner == "hang":
            time.sleep(60)
        with context.wrap_socket(connection, server_side=True) as tls:
            method, path = tls.recv(4096).decode().split(" ")[:2]
            # A body may come by itself; what isn't read would reset the connection.
            tls.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                tls.recv(4096)
            tls.settimeout(None)
            if manner == "flood":
                tls.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while True:
                    tls.sendall(b"pong" * 4096)
            if path == "/ping" and manner != "lie":
                status, text = 200, "pong"
            elif not tls.getpeercert():
                status, text = 401, "<h1>pong</h1>\n"
            else:
                status, text = api(host, manner, method, path)
            head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            tls.sendall((head + text).encode())
    except OSError:
        pass


def serve(host, port, context, manner):
    if manner == "later":
        time.sleep(2)
    with socket.create_server((host, port)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, context, host, manner), daemon=True).start()


def main():
    keys, port, *hosts = sys.argv[1:]
    for host, manner in (entry.split("=") for entry in hosts):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{keys}/{'other' if manner == 'other' else 'our'}.pem")
        context.load_verify_locations(f"{keys}/client-ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        threading.Thread(target=serve, args=(host, int(port), context, manner), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
