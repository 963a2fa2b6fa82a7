"""What is measured: cells, and in each the contestants with their settings."""

import dataclasses

KIB, MIB = 1 << 10, 1 << 20


@dataclasses.dataclass(frozen=True)
class Entry:
    """One contestant in a cell. `label` tells two of the same peer apart."""
    peer: str
    fsync: bool
    label: str = ""
    # Settings of the peer's own for this cell; "brokers" says how many, where it is not one, and "client" which load
    # generator, where a peer has two.
    changes: tuple = ()

    def name(self):
        return f"{self.peer} {self.label}".strip()

    @property
    def brokers(self):
        return dict(self.changes).get("brokers", 1)


@dataclasses.dataclass(frozen=True)
class Cell:
    id: str
    title: str
    # produce, one (record in flight), end-to-end, fetch or start.
    kind: str
    # The figure that contestants are compared by, and whether less of it is better.
    headline: str
    entries: tuple
    record_bytes: int = 1024
    batch_bytes: int = 64 * KIB
    partitions: int = 16
    depth: int = 64  # batches on the way
    rate: int = 0  # records a second
    total_bytes: int = 256 * MIB
    lower_is_better: bool = False
    # start: with a topic of `partitions` that nobody uses.
    idle_topic: bool = False
    # Seconds of warm-up more than usual, for everybody.
    more_warmup: float = 0
    note: str = ""


def _produce(id_, title, fsync, nats=False, kafka_fsync=None, perf_test=True, **fields):
    kafka_fsync = fsync if kafka_fsync is None else kafka_fsync
    entries = [Entry("naru", fsync), Entry("kafka", kafka_fsync)]
    if perf_test:
        entries.append(Entry("kafka", kafka_fsync, "perf-test", (("client", "perf-test"),)))
    if nats:
        entries.append(Entry("nats", fsync))
    return Cell(id_, title, "produce", fields.pop("headline", "mb_per_second"), tuple(entries), **fields)


CELLS = (
    _produce("1", "100 B records, 64 KiB batches, 6 partitions, no fsync", False, record_bytes=100, partitions=6,
             headline="records_per_second"),
    _produce("2", "1 KB records, 64 KiB batches, 16 partitions, no fsync", False, nats=True),
    _produce("3", "1 KB records, 1 MiB batches, 16 partitions, no fsync", False, batch_bytes=MIB, depth=16),
    _produce("4", "1 KB records, 64 KiB batches, 16 partitions, fsync before the ack", True, nats=True),
    _produce("5", "1 KB records, 1 MiB batches, 16 partitions, fsync before the ack", True, batch_bytes=MIB, depth=16),
    Cell("6", "1 KB records, one in flight, fsync before the ack", "one", "records_per_second",
         (Entry("naru", True), Entry("kafka", True), Entry("nats", True)), partitions=1, batch_bytes=1024, depth=1),
    _produce("7", "1 KB records, 64 KiB batches, 1,000 partitions, fsync before the ack", True, kafka_fsync=False,
             perf_test=False, partitions=1000, more_warmup=15,
             note="Kafka without fsync. 15 s more of warm-up for both: Kafka is busy for a while with so many new "
                  "partitions."),
    Cell("8", "20,000 single 1 KB records a second, end to end", "end-to-end", "p99_ms",
         (Entry("naru", True), Entry("kafka", True, "", (("linger_ms", 20),)),
          Entry("kafka", False, "no fsync", (("linger_ms", 1),)), Entry("nats", True),
          Entry("nats", False, "no fsync")),
         partitions=6, batch_bytes=1024, rate=20_000, lower_is_better=True,
         note="Open loop: from the time a record was meant to be sent to its arrival at a reader, so a peer that "
              "cannot keep up shows it as latency; the acks' latencies are in the JSON file. Kafka's linger.ms is 20 "
              "with fsync and 1 without, which served it best of 0, 1, 5 and 20 in short runs."),
    Cell("9a", "reading 100 B records from memory", "fetch", "records_per_second",
         (Entry("naru", False), Entry("naru", False, "decoded", (("decode", True),)), Entry("kafka", False),
          Entry("nats", False)), record_bytes=100, batch_bytes=MIB,
         note="\"decoded\" parses every answer with protobuf; without it naru's client counts records, as one that "
              "forwards them would."),
    Cell("9b", "reading 1 KB records from memory", "fetch", "mb_per_second",
         (Entry("naru", False), Entry("naru", False, "decoded", (("decode", True),)), Entry("kafka", False),
          Entry("nats", False)), batch_bytes=MIB),
    Cell("10", "start of an empty server, and at rest", "start", "first_ack_ms",
         (Entry("naru", True), Entry("kafka", True), Entry("nats", True)), lower_is_better=True,
         note="From the process's start to the first acknowledged record, with the topic made in between; then memory "
              "and CPU at rest."),
)


def _of_partitions(partitions):
    """naru with so many partitions: as fast as it goes, at a rate, and at rest."""
    name = f"{partitions:,} partition{'s' if partitions > 1 else ''}"
    return (
        Cell(f"p{partitions}", f"{name}: 1 KB records, 64 KiB batches, fsync before the ack", "produce", "mb_per_second",
             (Entry("naru", True),), partitions=partitions),
        Cell(f"p{partitions}-rate", f"{name}: the same at 200,000 records a second", "produce", "p99_ms",
             (Entry("naru", True),), partitions=partitions, rate=200_000, lower_is_better=True),
        Cell(f"p{partitions}-idle", f"{name} at rest", "start", "first_ack_ms", (Entry("naru", True),),
             partitions=partitions, lower_is_better=True, idle_topic=True),
    )


def _within(limit, cell):
    """A cell with naru alone, whose memory is limited."""
    entries = tuple(dataclasses.replace(e, changes=(("memory_limit", limit),)) for e in cell.entries
                    if e.peer == "naru")
    return dataclasses.replace(cell, id=f"m{cell.id}", entries=entries, note="",
                               title=f"{cell.title}; --memory-limit {limit}")


def _copies(id_, title, kind="produce", headline="mb_per_second", **fields):
    """Three brokers of each, all on this machine, each with a copy of every partition; and one naru, to see what the
    copies cost."""
    three = ("brokers", 3)
    return Cell(id_, f"three copies: {title}", kind, headline,
                (Entry("naru", True, "three brokers", (three,)), Entry("kafka", False, "three brokers", (three,)),
                 Entry("naru", True, "one broker")), **fields,
                note="acks=all: of naru fsynced by every replica in sync, of Kafka in their memory. All brokers and the "
                     "client share this machine's cores and its disk.")


# Measured only when asked for; all but the copies of naru alone.
MORE_CELLS = (tuple(cell for partitions in (1, 100, 1_000, 10_000) for cell in _of_partitions(partitions))
              + tuple(_within("512MiB", cell) for cell in CELLS if cell.kind == "produce")
              + (_copies("c64k", "1 KB records, 64 KiB batches, 16 partitions", depth=32),
                 _copies("c1m", "1 KB records, 1 MiB batches, 16 partitions", batch_bytes=MIB, depth=32),
                 _copies("c100b", "100 B records, 64 KiB batches, 6 partitions", headline="records_per_second",
                         record_bytes=100, partitions=6, depth=32),
                 _copies("cone", "1 KB records, one in flight", "one", "records_per_second", partitions=1,
                         batch_bytes=1024, depth=1)))
GROUPS = {"partitions": [c.id for c in MORE_CELLS if c.id.startswith("p")],
          "memory": [c.id for c in MORE_CELLS if c.id.startswith("m")],
          "copies": [c.id for c in MORE_CELLS if c.id.startswith("c")]}


def chosen(ids):
    """The cells of these ids; "9" is 9a and 9b, and there are GROUPS. ValueError names what there is not."""
    found = []
    for one in (i for name in ids for i in GROUPS.get(name, [name])):
        cells = [c for c in CELLS + MORE_CELLS if c.id == one or c.id.rstrip("ab") == one]
        if not cells:
            raise ValueError(f"cell {one}: there are {', '.join(c.id for c in CELLS + MORE_CELLS)}, and together "
                             f"{', '.join(GROUPS)}")
        found += [c for c in cells if c not in found]
    return found
