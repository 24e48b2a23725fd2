"""Log lines and timestamps in k3s's format."""
import json
import sys
import time


def log(level, message):
    print(f'time="{timestamp()}" level={level} msg={json.dumps(message)}', file=sys.stderr, flush=True)


def timestamp(seconds=None):
    """RFC 3339, of now by default."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
