#!/usr/bin/env python3
"""Writes the first inputs of the batch fuzzers: make_seeds.py CORPUS_DIRECTORY. Needs nothing but Python."""

import gzip
import pathlib
import sys
import zlib


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def number(field, value):
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def data(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def record(*fields):
    return data(15, b"".join(fields))


def batches():
    """Plain batches, good ones and some that break a rule."""
    header = data(3, data(1, "näme".encode()) + data(2, b"\xff\x00"))
    now = 1_700_000_000_000
    keyed = [record(data(1, b"key%d" % i), data(2, b"value"), number(4, now + i)) for i in range(5)]
    yield "keyed", b"".join(keyed)
    yield "keyless", record(data(2, b"a")) * 3
    yield "empty_record", record()
    yield "headers", record(data(2, b"v"), header, header)
    yield "claims", number(3, 1) + number(4, 7) + record(data(1, b""), number(4, 7))
    yield "mixed", keyed[0] + record(data(2, b"no key")) + record(data(1, b"tombstone"))
    yield "last_wins", record(data(1, b"a"), data(1, b"b"), number(4, 9), number(4, 0))
    fixed32, fixed64 = varint(101 << 3 | 5) + b"4by.", varint(102 << 3 | 1) + b"8 bytes."
    yield "unknown_fields", record(number(99, 1), data(100, b"x"), fixed32, fixed64)
    yield "long_value", record(data(2, bytes(range(256)) * 3))
    yield "offset", record(number(15, 1))
    yield "negative", record(number(4, -1))
    yield "group", record(varint(99 << 3 | 3) + varint(99 << 3 | 4))
    yield "not_utf8", record(data(3, data(1, b"\xed\xa0\x80")))
    stamp = data(1, number(1, 7) + number(2, 1) + number(3, 300))
    yield "stamp", stamp + keyed[0]
    yield "stamp_behind", keyed[0] + keyed[1] + stamp
    yield "stamp_empty", data(1, b"") + keyed[0]
    yield "stamp_unknown_field", data(1, number(1, 7) + number(4, 1)) + keyed[0]
    yield "stamp_negative", data(1, number(1, 7) + number(2, -1)) + keyed[0]
    yield "unknown_batch_field", number(5, 1) + keyed[0]
    yield "duplicate", number(3, 1) + keyed[0] + number(3, 1)
    yield "wrong_count", number(3, 2) + keyed[0]
    yield "tag_long", record(b"\x8a\x00\x01k")


def main(directory):
    walk = pathlib.Path(directory, "fuzz_walk_batch")
    walk.mkdir(parents=True, exist_ok=True)
    for index, (name, plain) in enumerate(batches()):
        for form in range(5):
            head = bytes([form, (index * 5 + form) % 18, (index * 16 + form) % 256])
            (walk / f"seed_{name}_{form}").write_bytes(head + plain)
    decompress = pathlib.Path(directory, "fuzz_decompress")
    decompress.mkdir(parents=True, exist_ok=True)
    text = b"some text, some text, some text" * 4
    stream = gzip.compress(text, mtime=0)
    inputs = {
        "gzip": b"\x01\x00\xff\xff" + stream,
        "gzip_two_members": b"\x01\x03\xff\xff" + stream + stream,
        "gzip_over_cap": b"\x01\x05\x00\x20" + stream,
        "zlib": b"\x01\x05\xff\xff" + zlib.compress(text),
        "snappy": b"\x04\x02\xff\xff" + b"\x05\x10hello",
        "snappy_huge": b"\x04\x02\xff\xff" + b"\xff\xff\xff\xff\x0f\x10hello",
        "zstd_raw_block": b"\x03\x02\xff\xff" + b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello",
        "lz4_empty": b"\x02\x02\xff\xff" + bytes.fromhex("04224d186040820000000000"),
    }
    for codec in range(5):
        inputs[f"round_trip_{codec}"] = bytes([130 + codec, 3, 0, 0]) + text
    for name, content in inputs.items():
        (decompress / f"seed_{name}").write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1])
