"""HTTP/1.1 over TLS, as much as is needed: `http.client` and `http.server` take long to import."""
import base64
import json
import socket
import threading

from .settings import REPLY_TIMEOUT


class Connection:
    """A connection to another server, kept open between requests."""

    def __init__(self, host, port, context, credentials=None, timeout=REPLY_TIMEOUT):
        self.address, self.context, self.timeout = (host, port), context, timeout
        self.credentials = credentials
        self.lock = threading.Lock()
        self.socket = self.file = None

    def ask(self, method, path, body=None):
        """The status and the body; OSError or ValueError if there is no usable answer."""
        with self.lock:
            try:
                return self.try_to_ask(method, path, body)
            except ConnectionError:  # the server may have closed the kept connection
                return self.try_to_ask(method, path, body)

    def try_to_ask(self, method, path, body):
        try:
            if self.socket is None:
                self.open()
            self.socket.sendall(self.encode_request(method, path, body))
            answer = read_message(self.file)
            if answer is None:
                raise ConnectionResetError("closed")
            return int(answer[0][1]), answer[2]
        except (OSError, ValueError):
            self.close()
            raise

    def open(self):
        plain = socket.create_connection(self.address, self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.context.wrap_socket(plain, server_hostname=self.address[0])
        self.file = self.socket.makefile("rb")

    def encode_request(self, method, path, body):
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.address[0]}\r\nContent-Length: {len(data)}\r\n"
        if self.credentials:
            head += f"Authorization: {basic_authorization(self.credentials)}\r\n"
        return head.encode() + b"\r\n" + data

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = self.file = None


def basic_authorization(credentials):
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def read_message(file):
    """First line, headers and body; None at the end of the stream."""
    first = file.readline(8192).decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    while (line := file.readline(8192).strip()):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return first, headers, file.read(int(headers.get("content-length", 0)))


def serve(address, context, respond):
    """Calls respond(method, path, headers, body, certificate) for a status and JSON, text or bytes."""
    listener = socket.create_server(address, backlog=64)

    def accept():
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=answer_requests, args=(plain, context, respond), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def answer_requests(plain, context, respond):
    try:
        plain.settimeout(30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_side=True) as tls, tls.makefile("rb") as file:
            while (request := read_message(file)):
                (method, path, *_), headers, body = request
                status, answer = respond(method, path, headers, body, tls.getpeercert())
                # The API server indents JSON for curl.
                indent = 2 if headers.get("user-agent", "").startswith("curl/") else None
                tls.sendall(encode_answer(status, answer, indent))
    except (OSError, ValueError):
        plain.close()


def encode_answer(status, answer, indent):
    kind = "text/plain"
    if isinstance(answer, (dict, list)):
        kind, answer = "application/json", json.dumps(answer, indent=indent)
    if isinstance(answer, str):
        answer = answer.encode()
    return f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer
