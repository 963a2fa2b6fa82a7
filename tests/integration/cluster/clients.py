#!/usr/bin/env python3
"""One process of clients of the cluster test. What they see goes to a history for tests/integration/crash/checker.py.

  clients.py --stubs DIR --servers A,B,C --history FILE --topic T --partitions N [--unary-producers N] [...]
  clients.py --stubs DIR --servers A --history FILE --topic T --partitions N --drain NAME

The first goes on until SIGTERM; the second reads everything once.
"""

import argparse
import os
import random
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ["stubs", "servers", "history", "topic"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    for name in ["unary-producers", "stream-producers", "stamped-producers", "fetch-readers", "subscribe-readers",
                 "seed"]:
        parser.add_argument("--" + name, type=int, default=0)
    parser.add_argument("--rate", type=float, default=20, help="batches a second of each producer")
    parser.add_argument("--drain", help="read everything once, under this name")
    args = parser.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    import stubs as stub_folder
    from history import History
    from producers import Source, StampedProducer, StreamProducer, UnaryProducer
    from readers import Drain, FetchReader, SubscribeReader
    stubs = stub_folder.load(args.stubs)
    history, servers = History(args.history), args.servers.split(",")
    if args.drain:
        wrong = Drain(args.drain, stubs, history, args.topic, args.partitions, servers[0]).wrong
        if wrong:
            print(wrong, file=sys.stderr, flush=True)
        return 1 if wrong else 0

    threads = []
    kinds = ([UnaryProducer] * args.unary_producers + [StreamProducer] * args.stream_producers +
             [StampedProducer] * args.stamped_producers)
    for i, kind in enumerate(kinds):
        source = Source(i + 1, stubs, history, args.topic, args.partitions, args.rate,
                        random.Random(f"{args.seed} {i}"))
        threads.append(kind(source, servers, stopping))
    for i in range(args.fetch_readers + args.subscribe_readers):
        kind = FetchReader if i < args.fetch_readers else SubscribeReader
        threads.append(kind(f"c{i + 1}", stubs, history, args.topic, args.partitions, servers, stopping))
    for thread in threads:
        thread.start()
    stopping.wait()
    for thread in threads:
        thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
