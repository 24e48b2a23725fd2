"""Files: atomic writes and the check of permissions."""
import json
import os

from .errors import FatalError


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def write_file(path, data):
    """Writes all or nothing, also if power fails. Only the owner can read the file."""
    with open(path + ".new", "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def require_private(path):
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise FatalError(f"open {path}: {error.strerror}") from error
    if mode & 0o077:
        raise FatalError(f"stand-in: {path} is readable by others (mode {mode & 0o777:04o})")


class RecordFile:
    """One JSON record in a file: the storage of an `Acceptor`."""

    def __init__(self, path):
        self.path = path

    def load(self):
        return json.loads(read_file(self.path))

    def save(self, record):
        write_file(self.path, json.dumps(record).encode())
