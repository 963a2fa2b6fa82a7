#!/usr/bin/env python3
"""Writes the first inputs of fuzz_keys, fuzz_read_requests, fuzz_admin_requests, fuzz_group_requests and
fuzz_received_records: make_request_seeds.py CORPUS_DIRECTORY. Needs nothing but Python."""

import base64
import pathlib
import random
import struct
import sys

from make_seeds import data, number, varint

READ_ID = b"t" * 15 + b"o"  # of the topics whose name begins with o
OTHER_ID = b"z" * 16


def fetches():
    orders = data(1, b"orders")
    yield "earliest", orders
    yield "offset", orders + number(2, 2) + number(3, 17) + data(8, READ_ID)
    yield "latest", orders + number(4, 2) + number(7, 500) + number(9, 4096) + number(10, 5) + number(11, 1)
    yield "time", orders + number(5, 1_700_000_000_000) + number(6, 9) + number(12, 2)
    yield "negative", orders + number(3, -1) + number(6, -1)
    yield "wait", orders + number(7, 60_001)
    yield "sizes", orders + number(9, 1) + number(11, 1 << 30)
    yield "partition", orders + number(2, 3)
    yield "other_id", orders + data(8, OTHER_ID)
    yield "short_id", orders + data(8, b"abc")
    yield "unknown", data(1, b"nothing")
    yield "bad_name", data(1, b"a/b")
    yield "position", orders + number(4, 9)
    yield "delivery", orders + number(12, 7)


def subscriptions():
    def start(*fields):
        return data(1, b"".join(fields))

    orders, europe = data(1, b"orders"), data(1, b"orders.eu")
    yield "whole", start(data(1, orders))
    options = number(2, 2), number(3, 1000), number(4, 9), number(5, 100)
    yield "two", start(data(1, orders), data(1, europe), *options)
    one = data(3, number(1, 1) + number(2, 7) + number(3, 9))
    yield "partition", start(data(1, orders + data(2, READ_ID) + one + number(4, 2)))
    yield "twice", start(data(1, orders + one + one))
    yield "topic_twice", start(data(1, orders), data(1, orders))
    yield "too_many", start(data(1, data(1, b"wide")))
    yield "time", start(data(1, orders + number(5, 12)))
    yield "negative", start(data(1, orders), number(3, -1), number(4, -1), number(5, -1))
    yield "end", start(data(1, orders + data(3, number(3, -1))))
    yield "none", start()
    yield "credit", data(2, number(1, 5))


def listings():
    orders = data(1, b"orders")
    yield "all", orders
    yield "some", orders + data(2, READ_ID) + data(3, varint(2) + varint(0)) + number(4, 2)
    yield "time", orders + data(3, varint(9)) + number(5, 7)
    yield "too_many", orders + data(3, b"\0" * 4)
    yield "position", orders + number(4, 8)


CONFIG = b"".join(
    number(field, value) for field, value in enumerate((60_000, 1 << 20, 1, 4096, 1, 2, 2), start=1)
)


def creations():
    name = data(1, b"new")
    yield "defaults", name
    yield "full", name + number(2, 12) + number(3, 3) + data(4, CONFIG) + number(5, 1)
    yield "exists", data(1, b"orders")
    yield "reserved", data(1, b"__mine")
    yield "dots", data(1, b"..")
    yield "partitions", name + number(2, 65)
    yield "replicas", name + number(3, 4)
    yield "negative", name + number(2, -1) + number(3, -1)
    yield "retention", name + data(4, number(1, 0))
    yield "record_bytes", name + data(4, number(4, 1 << 30))
    yield "policy", name + data(4, number(3, 9))


def updates():
    def mask(*paths):
        return data(3, b"".join(data(1, path) for path in paths))

    name = data(1, b"orders")
    yield "all", name + data(2, CONFIG)
    yield "nothing", name
    yield "one", name + data(2, CONFIG) + mask(b"retention_bytes") + data(4, READ_ID)
    yield "default", name + mask(b"retention_ms", b"durability", b"max_record_bytes")
    yield "path", name + mask(b"retention")
    paths = b"min_in_sync_replicas", b"timestamp_type", b"cleanup_policy"
    yield "in_sync", name + data(2, number(5, 3)) + mask(*paths)
    yield "other_id", name + data(2, CONFIG) + data(4, OTHER_ID)
    yield "unknown", data(1, b"nothing") + data(2, CONFIG)


def growths():
    name = data(1, b"orders")
    yield "more", name + number(2, 9)
    yield "same", name + number(2, 3)
    yield "too_many", name + number(2, 65) + data(4, READ_ID)
    yield "other_id", name + number(2, 9) + data(4, OTHER_ID)


def deletions():
    yield "plain", data(1, b"orders")
    yield "by_id", data(1, b"orders.eu") + data(2, READ_ID)
    yield "unknown", data(1, b"nothing")


def pages():
    def token(text):
        return data(2, base64.urlsafe_b64encode(text).rstrip(b"="))

    yield "all", b""
    yield "one", number(1, 1)
    yield "prefix", number(1, 1) + data(3, b"orders")
    yield "token", number(1, 2) + token(b"topics1//orders")
    yield "token_and_prefix", number(1, 1) + token(b"topics1/orders/orders") + data(3, b"orders")
    yield "other_prefix", token(b"topics1/pay/payments") + data(3, b"orders")
    yield "no_token", data(2, b"%%%")
    yield "negative", number(1, -1)
    yield "long_prefix", data(3, b"o" * 250)


def record_deletions():
    def partition(number_of, before):
        return data(2, number(1, number_of) + number(2, before))

    name = data(1, b"orders")
    yield "some", name + partition(0, 3) + partition(2, -1) + data(3, READ_ID)
    yield "above", name + partition(1, 6) + partition(7, 1)
    yield "twice", name + partition(1, 1) + partition(1, 1)
    yield "negative", name + partition(0, -2)
    yield "none", name
    yield "other_id", name + partition(0, 0) + data(3, OTHER_ID)


def joins():
    group, orders = data(1, b"readers"), data(2, b"orders")
    yield "plain", group + orders
    names = data(4, b"member") + data(5, b"instance") + data(15, b"reports")
    sizes = number(9, 4096) + number(10, 1 << 20)
    times = number(11, 1000) + number(12, 2000) + number(13, 3000) + number(14, 100)
    yield "full", group + orders + data(3, b"orders\\..*") + names + number(6, 2) + number(7, 3) + sizes + times
    yield "pattern", group + data(3, b"(orders|pay.*)")
    yield "bad_pattern", group + data(3, b"(((a{100}){100}){100}")
    yield "no_group", orders
    yield "control", data(1, b"a\nb") + orders
    yield "unknown", group + data(2, b"nothing")
    yield "enums", group + orders + number(6, 4) + number(7, 4) + number(8, 3)
    yield "negative", group + orders + number(10, -1)
    yield "late", group + orders + number(11, 1_800_001)
    yield "long", group + orders + data(4, b"m" * 250)


def commits():
    def position(topic, partition, offset, *more):
        return data(4, data(1, topic) + number(3, partition) + number(4, offset) + b"".join(more))

    group = data(1, b"readers")
    yield "two", group + position(b"orders", 0, 7) + position(b"orders.eu", 0, 50, data(5, b"words"))
    yield "member", group + data(2, b"m") + number(3, 4) + position(b"orders", 2, 0)
    yield "none", group
    yield "above", group + position(b"orders", 0, 51)
    yield "negative", group + position(b"orders", 0, -1)
    yield "partition", group + position(b"orders", 3, 1)
    yield "twice", group + position(b"orders", 1, 1) + position(b"orders", 1, 2)
    yield "id", group + position(b"orders", 1, 1, data(2, b"t" * 15 + b"3"))
    yield "other_id", group + position(b"orders", 1, 1, data(2, OTHER_ID))


def group_pages():
    def token(text):
        return data(2, base64.urlsafe_b64encode(text).rstrip(b"="))

    yield "all", b""
    yield "one", number(1, 1)
    yield "two", number(1, 2) + token(b"groups1/a")
    yield "behind", token(b"groups1/z")
    yield "no_token", data(2, b"%%%")
    yield "other_token", token(b"topics1//orders")
    yield "negative", number(1, -1)


def sessions():
    choose = random.Random(5)
    for mode in range(3):
        for start in range(3):
            setting = bytes([start, mode, (start + mode) % 2, 7])
            yield f"{mode}_{start}", setting + choose.randbytes(400)


def topic_records():
    def partition(log, leader, epoch, *replicas):
        return data(5, number(1, log) + number(2, leader) + number(3, epoch) + data(4, bytes(replicas)))

    def topic(*partitions, name=b"orders", factor=2, config=CONFIG, topic_id=READ_ID):
        head = data(1, name) + data(2, topic_id) + data(3, config) + number(4, 1_700_000_000_000)
        return head + b"".join(partitions) + number(6, factor)

    good = partition(1, 1, 0, 1, 2), partition(2, 2, 7, 2, 1)
    yield "good", topic(*good)
    yield "other", topic(partition(3, 1, 0, 1), name=b"payments", factor=1)
    yield "no_config", topic(*good, config=b"")
    yield "bad_config", topic(*good, config=number(1, 0))
    yield "no_partitions", topic()
    yield "no_log", topic(partition(0, 1, 0, 1))
    yield "no_replicas", topic(partition(1, 1, 0))
    yield "no_leader", topic(partition(1, 3, 0, 1, 2))
    yield "replica_twice", topic(partition(1, 1, 0, 1, 1))
    yield "replica_0", topic(partition(1, 1, 0, 1, 0))
    yield "epoch", topic(partition(1, 1, -1, 1))
    yield "bad_name", topic(*good, name=b"a/b")
    yield "short_id", topic(*good, topic_id=b"abc")
    yield "no_factor", topic(*good, factor=0)
    yield "unknown_field", topic(*good) + data(99, b"later")


def stores():
    def values(*pieces):
        return b"".join(bytes([len(piece)]) + piece for piece in pieces)

    records = dict(topic_records())
    identity = data(1, b"0123456789abcdef0123456789abcdef") + number(2, 1)
    counters = number(1, 4) + number(2, 2) + number(3, 17)
    yield "fresh", values(identity, number(1, 1) + number(2, 1))
    yield "topics", values(identity, counters, records["good"], records["other"])
    yield "log_above_counter", values(identity, number(1, 2) + number(2, 2), records["good"])
    again = records["good"].replace(b"orders", b"orderz")
    yield "log_twice", values(identity, counters, records["good"], again)
    yield "settled_above_next", values(identity, number(1, 1) + number(2, 2))
    yield "no_identity", values(b"", counters)
    yield "not_hexadecimal", values(identity.replace(b"0", b"x"), counters)


def keys():
    def pairs(tables, *numbers):
        return bytes(tables) + struct.pack("<QqQq", *numbers)

    yield "neighbours", pairs((6, 6), 1, 9, 1, 10)
    yield "bytes_that_carry", pairs((6, 5), 255, 255, 256, 256)
    yield "signs", pairs((5, 5), 1, -1, 1, 0)
    yield "ends", pairs((0, 9), 2**64 - 1, -(2**63), 2**63, 2**63 - 1)
    yield "short", b"\x01\x02\x03"


def rows():
    key = b"R" + struct.pack(">QQ", 3, 42 ^ 1 << 63)
    run = struct.pack("<qQQIIqqqqqi", 45, 1, 4096, 300, 3, 210, 0, 17, 17, 18, 2)
    yield "run", key + run
    yield "run_cut", key + run[:-1]
    yield "run_long", key + run + b"\0"
    yield "key", key
    yield "applied", struct.pack("<QQQ", 9, 1, 4096)
    yield "segment", struct.pack("<QQqq", 1, 9, 4096, 300)
    yield "segment_cut", struct.pack("<QQqi", 1, 9, 4096, 3)
    yield "short", b"R\0\0"


def responses():
    def record(offset, *fields):
        return data(15, b"".join(fields) + number(4, 1_700_000_000_000) + number(15, offset))

    def header(key, value):
        return data(3, data(1, key) + data(2, value))

    head = data(1, b"orders") + number(2, 7) + number(3, 20) + number(4, 30) + number(5, 1) + number(6, 4096)
    small = record(17, data(1, b"key"), data(2, b"value")) + record(18, data(2, b"")) + record(19)
    large = b"".join(record(i, data(2, bytes([97 + i]) * 300 * i)) for i in range(1, 6))
    yield "small", data(15, head + small)
    yield "large", data(15, head + large)
    yield "headers", data(15, head + record(17, header(b"a", b"1"), header(b"", b""), data(2, b"v")))
    yield "header_no_text", data(15, head + record(17, header(b"\xff", b"1")))
    yield "head_behind", data(15, small + head)
    yield "unknown", data(15, head + data(200, b"later") + small + record(20, number(99, 5)))
    yield "long_tag", data(15, head + b"\xfa\x00" + varint(4) + data(2, b"ab"))
    yield "twice", data(15, head + small) + data(15, large)
    yield "group", data(15, head + b"\x0b\x0c")
    yield "batches", data(15, head + data(14, number(1, 5)))
    yield "end", data(3, data(1, b"orders") + number(2, 1) + number(3, 20))
    yield "idle", data(2, number(1, 1_700_000_000_000))
    yield "cut", data(15, head + small)[:-3]


TARGETS = {
    "fuzz_keys": (keys, rows, topic_records, stores),
    "fuzz_read_requests": (fetches, subscriptions, listings),
    "fuzz_received_records": (responses,),
    "fuzz_group_requests": (joins, commits, group_pages, sessions),
    "fuzz_admin_requests": (creations, updates, growths, deletions, pages, record_deletions),
}


def main(directory):
    for target, kinds in TARGETS.items():
        corpus = pathlib.Path(directory, target)
        corpus.mkdir(parents=True, exist_ok=True)
        for index, kind in enumerate(kinds):
            for name, content in kind():
                corpus.joinpath(f"{kind.__name__}_{name}").write_bytes(bytes([index]) + content)


main(sys.argv[1])
