#!/usr/bin/env python3
"""Servers that answer on 6443 as k3s does, or as it doesn't: k3s-server.py CERT KEY PORT HOST=MANNER…

Manners: `pong` answers /ping as k3s; `lie` answers something else; `flood` never ends its answer;
`hang` accepts and says nothing; `later` refuses for two seconds, then answers as k3s.
"""
import socket
import ssl
import sys
import threading
import time


def answer(connection, context, manner):
    try:
        if manner == "hang":
            time.sleep(60)
        with context.wrap_socket(connection, server_side=True) as tls:
            path = tls.recv(4096).split(b" ")[1]
            if manner in ("pong", "later") and path == b"/ping":
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong")
            elif manner == "flood":
                tls.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while True:
                    tls.sendall(b"pong" * 4096)
            else:
                tls.sendall(b"HTTP/1.0 401 Unauthorized\r\n\r\n<h1>pong</h1>\n")
    except OSError:
        pass


def serve(host, port, context, manner):
    if manner == "later":
        time.sleep(2)
    with socket.create_server((host, port)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, context, manner), daemon=True).start()


def main():
    cert, key, port, *hosts = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    for host, manner in (entry.split("=") for entry in hosts):
        threading.Thread(target=serve, args=(host, int(port), context, manner), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
