"""How the clients of the cluster tests reach it: through any broker, and what its errors mean for them."""

import random

import grpc

# Reasons that types.proto calls "not appended", or that say that nothing was done.
CERTAIN = {"NO_LEADER", "COORDINATOR_LOADING", "NOT_ENOUGH_REPLICAS", "STALE_LEADER_EPOCH", "STREAM_ITEM_SKIPPED",
           "STORAGE_FULL", "SHUTTING_DOWN", "TOO_MANY_IN_FLIGHT", "EXPECTED_OFFSET_MISMATCH", "TOPIC_ID_MISMATCH",
           "INVALID_FIELD", "MALFORMED_BATCH", "RECORD_TOO_LARGE", "BATCH_TOO_LARGE", "TOPIC_NOT_FOUND",
           "PARTITION_NOT_FOUND"}
# Codes of reads that are worth another try, at another broker.
PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED,
           grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED}
CONNECT_SECONDS = 0.3


def reason_of(error):
    """naru-reason of a failed call; its code where it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == "naru-reason":
            return value
    return error.code().name


def open_channel(address):
    """A connection of its own, without the long back-off that a channel to a dead address builds up."""
    return grpc.insecure_channel(address, options=[
        ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20),
        ("grpc.max_reconnect_backoff_ms", 100)])


class Routes:
    """Connections of one thread to any of the brokers."""

    def __init__(self, servers, seed):
        self.servers = servers
        self.last = None  # where the connection given out last goes to
        self.random = random.Random(seed)

    def connect(self, stopping):
        """A channel to a broker that took the connection; None when told to stop."""
        while not stopping.is_set():
            self.last = self.random.choice(self.servers)
            channel = open_channel(self.last)
            try:
                grpc.channel_ready_future(channel).result(timeout=CONNECT_SECONDS)
                return channel
            except grpc.FutureTimeoutError:
                channel.close()
        return None
