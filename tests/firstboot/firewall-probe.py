#!/usr/bin/env python3
"""Tries the ports that the firewall decides about; `firewall-scenario` runs both sides.

  firewall-probe.py listen SOURCE=NAME…        prints `NAME PORT` for what arrives from SOURCE
  firewall-probe.py connect TARGET SOURCE…     connects and sends to TARGET from each SOURCE address
"""
import contextlib
import os
import select
import socket
import sys

TCP_PORTS = [22, 80, 443, 2379, 6443, 9101, 9999, 10250]
UDP_PORTS = [8472, 9998]
VRRP = 112


def report(source, port):
    os.write(1, f"{source} {port}\n".encode())


def open_listeners():
    """The sockets to watch, and what arrives at each."""
    listeners = {socket.create_server(("0.0.0.0", port)): f"tcp/{port}" for port in TCP_PORTS}
    listeners[socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP)] = "vrrp"
    for port in UDP_PORTS:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", port))
        listeners[udp] = f"udp/{port}"
    return listeners


def listen(*sources):
    names = dict(source.split("=") for source in sources)
    listeners = open_listeners()
    while True:
        for ready in select.select(listeners, [], [])[0]:
            if listeners[ready].startswith("tcp/"):
                connection, sender = ready.accept()
                connection.close()
            else:
                sender = ready.recvfrom(2048)[1]
            report(names.get(sender[0], sender[0]), listeners[ready])


def connect(target, *sources):
    for source in sources:
        for port in TCP_PORTS:
            with contextlib.suppress(OSError):
                socket.create_connection((target, port), 0.25, (source, 0)).close()
        for port in UDP_PORTS:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind((source, 0))
                udp.sendto(b"x", (target, port))
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP) as raw:
            raw.bind((source, 0))
            raw.sendto(b"x", (target, 0))


if __name__ == "__main__":
    {"listen": listen, "connect": connect}[sys.argv[1]](*sys.argv[2:])
