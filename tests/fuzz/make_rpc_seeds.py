#!/usr/bin/env python3
"""Writes the first inputs of fuzz_rpc_messages: make_rpc_seeds.py CORPUS_DIRECTORY. Needs nothing but Python."""

import hashlib
import pathlib
import sys

from make_seeds import batches, data, number, varint


def produce_requests():
    """The fields of ProduceRequest, good ones and some that break a rule."""
    topic = data(1, b"orders")
    for _, batch in batches():
        yield topic + number(2, 3) + data(15, batch)
    good = data(15, data(15, data(2, b"v")))
    yield topic + data(3, b"key") + number(4, 2) + number(5, 0) + data(8, b"0123456789abcdef") + good
    yield topic + number(2, 1) + data(3, b"last wins") + number(5, -1) + good
    yield topic + good + good
    yield data(1, b"\xff") + good
    yield number(1, 1) + data(2, b"x") + number(15, 1)
    yield topic + varint(90 << 3 | 3) + number(1, 1) + varint(91 << 3 | 3) + varint(91 << 3 | 4) + varint(90 << 3 | 4)
    yield topic + varint(90 << 3 | 5) + b"4by." + varint(91 << 3 | 1) + b"8 bytes." + good
    yield b"\x8a\x80\x80\x80\x00\x01t" + good
    yield b"\x0b" * 101 + b"\x0c" * 101


def stream_requests():
    for request in produce_requests():
        yield number(1, 7) + data(15, request)
    yield number(1, -1) + data(3, data(1, b"orders") + data(2, varint(1) + varint(300)))
    yield data(3, data(1, b"a")) + data(15, b"")
    yield data(3, b"") + data(3, b"")


def main(directory):
    corpus = pathlib.Path(directory, "fuzz_rpc_messages")
    corpus.mkdir(parents=True, exist_ok=True)
    for message in [*produce_requests(), *stream_requests()]:
        for chunks in (b"\x00", b"\x01", b"\x21"):
            content = chunks + message
            corpus.joinpath(hashlib.sha1(content).hexdigest()).write_bytes(content)


main(sys.argv[1])
