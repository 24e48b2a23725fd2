"""The command line. Imports only what the command needs, for a quick start."""
import os
import sys

from .errors import FatalError
from .settings import VERSION


def main():
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    if arguments[:1] == ["kubectl"]:
        name, arguments = "kubectl", arguments[1:]
    try:
        if name == "kubectl":
            from .kubectl import run_kubectl
            run_kubectl(arguments)
        elif arguments == ["--version"]:
            print(f"k3s version {VERSION} (a stand-in of the tests, not k3s)")
        elif arguments == ["server"]:
            serve_until_killed()
        else:
            sys.exit(f"{name}: this is a stand-in of the tests: it knows `server`, `--version` and `kubectl get nodes`")
    except FatalError as error:
        from .log import log
        log("fatal", str(error))
        os._exit(1)  # without waiting for threads


def serve_until_killed():
    import signal
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    from .server import run_server
    run_server()
    while True:
        signal.pause()
