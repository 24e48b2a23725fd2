"""The manifests folder: records the events that k3s records, but applies nothing."""
import os
import time

from .errors import Refused
from .files import read_file
from .log import log
from .settings import MANIFEST_SCAN_INTERVAL

REFUSAL_MARK = b"stand-in: refuse"  # a manifest with these words counts as refused


def watch_manifests(folder, member):
    """Never returns."""
    applied = {}
    while True:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = f"{folder}/{name}"
            if not name.endswith((".yaml", ".yml", ".json")) or not member.has_majority():
                continue
            content = read_file(path)
            if applied.get(path) == content:
                continue
            refused = REFUSAL_MARK in content
            try:
                member.submit(event_of(path, refused))
                applied[path] = None if refused else content  # k3s tries a refused manifest again
            except Refused as error:
                log("error", str(error))
        time.sleep(MANIFEST_SCAN_INTERVAL)


def event_of(path, refused):
    kind, reason, message = "Normal", "AppliedManifest", f'Applied manifest at "{path}"'
    if refused:
        kind, reason = "Warning", "ApplyManifestFailed"
        message = f'Applying manifest at "{path}" failed: the stand-in was told to refuse it'
    return {"op": "record_event", "file": os.path.splitext(os.path.basename(path))[0], "time": time.time(),
            "type": kind, "reason": reason, "message": message}
