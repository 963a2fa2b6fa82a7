"""Flips one bit of what a broker that does not run has on its disk."""

import os

HEADER_BYTES = 4096  # of a segment; see storage/FORMAT.md


class NothingToFlip(Exception):
    """There is no such file, or nothing in it."""


def flip(data, where, chance):
    """where: "a sealed segment", "the active segment" or "the index"; data: the data directory. Says what it was."""
    path, begin, end = {"a sealed segment": _sealed, "the active segment": _active, "the index": _index}[where](
        data, chance)
    if begin >= end:
        raise NothingToFlip
    at, bit = chance.randrange(begin, end), chance.randrange(8)
    with open(path, "r+b") as f:
        f.seek(at)
        byte, = f.read(1)
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))
        os.fsync(f.fileno())
    return f"bit {bit} of byte {at} in {path}, which was 0x{byte:02x}"


def _written_segments(data):
    """(path, where what was written ends), by rising id. Segments are preallocated: zeros follow the last entry."""
    folder = os.path.join(data, "store/segments")
    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".seg") and (end := _end_of_data(path)) > HEADER_BYTES:
            found.append((path, end))
    return found


def _end_of_data(path):
    with open(path, "rb") as f:
        return len(f.read().rstrip(b"\0"))


def _sealed(data, chance):
    segments = _written_segments(data)[:-1]
    if not segments:
        raise NothingToFlip
    path, end = chance.choice(segments)
    return path, 0, end


def _active(data, _):
    segments = _written_segments(data)
    if not segments:
        raise NothingToFlip
    path, end = segments[-1]
    return path, 0, end


def _index(data, chance):
    folder = os.path.join(data, "store/index")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".sst"))
    if not names:
        raise NothingToFlip
    path = os.path.join(folder, chance.choice(names))
    return path, 0, os.path.getsize(path)
