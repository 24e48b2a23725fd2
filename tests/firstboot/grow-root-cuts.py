"""Cuts the power of a growing disk after each sector: grow-root-cuts.py SCRIPT DISK NUMBER SECTORS

Runs SCRIPT on DISK, partition NUMBER of which has SECTORS, once for each sector that it writes, and loses the rest;
the sectors of one write reach the disk forwards, then backwards. After each cut Linux must accept the table, and
another run must give the same bytes as a run without a cut. Prints the number of cuts.
"""
import hashlib
import os
import runpy
import struct
import sys
import zlib

SECTOR = 512
script, path, number, least = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pwrite = os.pwrite
left, direction, undo = 0, 1, []


class PowerCut(Exception):
    pass


def write_what_is_left(file, data, offset):
    global left
    for at in list(range(0, len(data), SECTOR))[::direction]:
        if left == 0:
            raise PowerCut
        undo.append((offset + at, os.pread(file, SECTOR, offset + at)))
        pwrite(file, data[at:at + SECTOR], offset + at)
        left -= 1
    return len(data)


os.pwrite = write_what_is_left
os.fsync = lambda file: None
sys.argv = [script, path, str(number)]


def is_complete(sectors):
    """Runs the script; false if the power was cut."""
    global left
    left = sectors
    try:
        runpy.run_path(script, run_name="__main__")
    except PowerCut:
        return False
    return True


def check_table():
    """The kernel's rules: without a valid first copy there is no table. The partition has not shrunk."""
    with open(path, "rb") as file:
        disk = file.read(128 * SECTOR)
        sectors = os.fstat(file.fileno()).st_size // SECTOR
    header = disk[SECTOR:2 * SECTOR]
    size, crc = struct.unpack_from("<II", header, 12)
    at, count, entry_size, entries_crc = struct.unpack_from("<QIII", header, 72)
    assert zlib.crc32(header[:16] + bytes(4) + header[20:size]) == crc, "header"
    entries = disk[at * SECTOR:at * SECTOR + count * entry_size]
    assert zlib.crc32(entries) == entries_crc, "entries"
    assert struct.unpack_from("<Q", header, 48)[0] < sectors, "last usable sector"
    assert 0xEE in disk[450:510:16], "protective slot"
    first, last = struct.unpack_from("<QQ", entries, (number - 1) * entry_size + 32)
    assert last + 1 - first >= least, "size"


def digest():
    with open(path, "rb") as file:
        # The spare entries stay, so all that a run writes is compared.
        return hashlib.sha256(file.read()).digest()


def restore():
    with open(path, "r+b") as file:
        for offset, data in reversed(undo):
            file.seek(offset)
            file.write(data)
    undo.clear()


cuts = 0
is_complete(-1)
grown = digest()
restore()
for direction in (1, -1):
    for sectors in range(10000):
        complete = is_complete(sectors)
        try:
            check_table()
            assert complete or (is_complete(-1) and digest() == grown), "another run"
        except (AssertionError, SystemExit) as error:
            sys.exit(f"cut after {sectors} sectors, direction {direction}: {error}")
        restore()
        if complete:
            break
        cuts += 1
print(cuts)
