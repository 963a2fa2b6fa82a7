#!/usr/bin/env python3
"""Looks at a group's committed positions again and again, through any broker, and writes down what it saw.

  lookout.py --stubs DIR --servers A,B,C --history FILE --group G        until SIGTERM

Lines: {"t0":T,"t":T,"server":A,"offsets":{partition:offset}}, nanoseconds of CLOCK_MONOTONIC.
"""

import argparse
import json
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
CALL_SECONDS = 4
EVERY_SECONDS = 0.1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ["stubs", "servers", "history", "group"]:
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    import grpc
    import stubs as stub_folder
    from history import now
    from routes import PASSING, Routes, reason_of
    pb = stub_folder.load(args.stubs)
    routes = Routes(args.servers.split(","), 0)
    with open(args.history, "w", buffering=1, encoding="utf-8") as history:
        while channel := routes.connect(stopping):
            stub = pb.group_grpc.GroupServiceStub(channel)
            for _ in range(20):
                if stopping.is_set():
                    break
                begun = now()
                try:
                    answer = stub.ListCommittedOffsets(pb.group.ListCommittedOffsetsRequest(group=args.group),
                                                       timeout=CALL_SECONDS)
                except grpc.RpcError as error:
                    if error.code() not in PASSING and reason_of(error) != "GROUP_NOT_FOUND":
                        print(f"positions of {args.group}: {reason_of(error)}: {error.details()}", file=sys.stderr)
                        return 1
                    break
                history.write(json.dumps({"t0": begun, "t": now(), "server": routes.last,
                                          "offsets": {o.partition: o.offset for o in answer.offsets}}) + "\n")
                stopping.wait(EVERY_SECONDS)
            channel.close()
            stopping.wait(EVERY_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
