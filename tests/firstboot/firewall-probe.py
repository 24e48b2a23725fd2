#!/usr/bin/env python3
"""Listens on the ports in question, or knocks at them: see `firewall`, which runs it."""
import os
import select
import socket
import sys

TCP = [22, 80, 443, 2379, 6443, 9101, 9999, 10250]
UDP = [8472, 9998]
VRRP = 112


def say(line):
    """In one write: both sides talk to the same pipe."""
    os.write(1, f"{line}\n".encode())


def listen(_):
    servers = [socket.create_server(("0.0.0.0", port)) for port in TCP]
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP)
    datagrams = {raw: "vrrp"}
    for port in UDP:
        datagrams[udp := socket.socket(socket.AF_INET, socket.SOCK_DGRAM)] = f"udp/{port}"
        udp.bind(("0.0.0.0", port))
    while True:
        for ready in select.select(servers + list(datagrams), [], [])[0]:
            if ready in datagrams:
                say(f"{ready.recvfrom(2048)[1][0]} {datagrams[ready]}")
            else:
                ready.accept()[0].close()


def knock(target, *sources):
    for source in sources:
        for port in TCP:
            try:
                socket.create_connection((target, port), 0.25, (source, 0)).close()
                say(f"{source} tcp/{port}")
            except OSError:
                pass
        for port in UDP:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind((source, 0))
                udp.sendto(b"x", (target, port))
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP) as raw:
            raw.bind((source, 0))
            raw.sendto(b"x", (target, 0))


if __name__ == "__main__":
    {"listen": listen, "knock": knock}[sys.argv[1]](*sys.argv[2:])
