"""Kafka as a contestant: one KRaft node or several, driven by rdkafka-load (librdkafka), or by Kafka's own perf-test."""

import base64
import glob
import os
import re
import shutil
import subprocess
import time

from processes import Failure, free_ports, stats

VERSION = "4.3.0"
LOG4J_VERSION = "2.25.4"
DURABILITY = {True: "`flush.messages=1`: each append fsynced before its ack",
              False: "acked from the page cache (Kafka's default)"}

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>naru</groupId><artifactId>peers-kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
LOG4J = """<Configuration status="warn">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""
# As Kafka's own start script has them.
JVM = ["-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
       "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]
# As its config/server.properties has them, with internal topics for one node; batches of 1 MiB must fit. A topic has a
# copy on each node, of which two must be there, as naru's have.
PROPERTIES = """process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
default.replication.factor={nodes}
min.insync.replicas={in_sync_min}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
log.dirs={data}
message.max.bytes=4194304
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
"""


# What perf-test chooses from, and what it says in each interval.
PAYLOADS = 10_000
REPORT = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec", re.M)


class Kafka:
    name = "kafka"
    # The JVM compiles what is hot while it runs: more time to get to speed than the others.
    extra_warmup_seconds = 5

    def __init__(self, children, bin_folder, build_folder):
        self._children = children
        self._load = os.path.join(bin_folder, "rdkafka-load")
        self._folder = os.path.join(build_folder, "kafka-" + VERSION)
        self._cluster_id = "naruPeersBenchmarks001"
        self.server = self._run_folder = None
        self._processes = []

    def fetch(self):
        """From Maven Central into the build folder, once."""
        if not os.path.exists(self._load):
            raise Failure(f"{self._load} is not built: it needs librdkafka (librdkafka-dev) when CMake configures")
        libraries = os.path.join(self._folder, "libs")
        if os.path.exists(os.path.join(self._folder, "done")):
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        os.makedirs(self._folder)
        for name, text in (("pom.xml", POM), ("log4j2.xml", LOG4J)):
            with open(os.path.join(self._folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        maven = subprocess.run(
            ["mvn", "-q", "-B", "-f", os.path.join(self._folder, "pom.xml"), "dependency:copy-dependencies",
             f"-DoutputDirectory={libraries}", "-DincludeScope=runtime"], check=False)
        if maven.returncode or not glob.glob(os.path.join(libraries, f"kafka_2.13-{VERSION}.jar")):
            raise Failure(f"Kafka {VERSION} could not be fetched from Maven Central")
        with open(os.path.join(self._folder, "done"), "w", encoding="utf-8"):
            pass

    def version(self):
        java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
        return f"Kafka {VERSION}, {java.splitlines()[0] if java else 'java'}"

    def durability(self, fsync):
        return DURABILITY[fsync]

    def _java(self, *arguments):
        return ["java", "-cp", os.path.join(self._folder, "libs", "*"),
                f"-Dlog4j2.configurationFile={os.path.join(self._folder, 'log4j2.xml')}", *arguments]

    def start(self, folder, entry):
        """Formats an empty folder for each node, then starts them and does not wait. The processes."""
        self._run_folder = folder
        nodes = entry.brokers
        ports = free_ports(2 * nodes)
        ports, controllers = ports[:nodes], ports[nodes:]
        voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(controllers))
        self.server = ",".join(f"127.0.0.1:{port}" for port in ports)
        log = os.path.join(folder, "log")
        all_properties = []
        for i in range(nodes):
            all_properties.append(os.path.join(folder, f"server-{i + 1}.properties"))
            with open(all_properties[-1], "w", encoding="utf-8") as f:
                f.write(PROPERTIES.format(node=i + 1, voters=voters, nodes=nodes, in_sync_min=min(nodes, 2),
                                          port=ports[i], controller=controllers[i],
                                          data=os.path.join(folder, f"data-{i + 1}")))
            formatting = self._children.start(self._java("kafka.tools.StorageTool", "format", "-t", self._cluster_id,
                                                         "-c", all_properties[-1]), log)
            formatting.wait(120)
            self._children.stop(formatting)
            if formatting.returncode:
                raise Failure(f"kafka-storage format ended with {formatting.returncode}")
        for properties in all_properties:
            self._processes.append(self._children.start(self._java(*JVM, "kafka.Kafka", properties), log))
        return self._processes

    def stop(self):
        for process in self._processes:
            self._children.stop(process)
        self._processes = []

    def first_ack_command(self):
        return [self._load, "first-ack", "--server", self.server.split(",")[0], "--fsync", "true"]

    def _create_topic(self, name, partitions, fsync):
        made = subprocess.run(
            self._java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.server, "--create", "--topic",
                       name, "--partitions", str(partitions), *(["--config", "flush.messages=1"] if fsync else [])),
            capture_output=True, text=True, check=False)
        if made.returncode:
            raise Failure(f"kafka-topics: {made.stdout.strip()[-500:]} {made.stderr.strip()[-500:]}")

    def _perf_test(self, cell, entry, seconds, warmup):
        """Kafka's own load generator until it is stopped, with payloads from a file: to make random ones costs it more
        than to send them. It says an average and a maximum of the latencies, so none are given."""
        payloads, log = (os.path.join(self._run_folder, name) for name in ("payloads", "perf-test"))
        random_bytes = cell.record_bytes // 2
        with open(payloads, "w", encoding="ascii") as f:
            for _ in range(PAYLOADS):
                text = base64.b64encode(os.urandom(random_bytes)).decode()[:random_bytes]
                f.write(text.ljust(cell.record_bytes, "x") + "\n")
        self._create_topic("perf-test", cell.partitions, entry.fsync)
        client = self._children.start(
            self._java("-Xmx1g", "org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", self.server,
                       "--topic", "perf-test", "--num-records", str(10**9), "--throughput", "-1", "--payload-file",
                       payloads, "--reporting-interval", "1000", "--command-property", "acks=1",
                       f"batch.size={cell.batch_bytes}", "linger.ms=5", "buffer.memory=134217728",
                       "max.request.size=4194304"), log)
        server = self._processes[0]
        try:
            time.sleep(warmup)
            size, begin = os.path.getsize(log), time.monotonic()
            before = stats(client.pid), stats(server.pid)
            time.sleep(seconds)
            after, took = (stats(client.pid), stats(server.pid)), time.monotonic() - begin
        except OSError:
            size = before = None
        finally:
            self._children.stop(client)
        with open(log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        reports = [(int(records), float(rate)) for records, rate in REPORT.findall(text[size or 0:])]
        if before is None or not reports:
            raise Failure(f"kafka-producer-perf-test: {text.strip()[-500:]}")
        client_cores, server_cores = ((new["cpu_seconds"] - old["cpu_seconds"]) / took
                                      for old, new in zip(before, after))
        return [{"records_per_second": sum(n for n, _ in reports) / sum(n / rate for n, rate in reports if rate),
                 "client_cores": client_cores, "server_cores": server_cores, "failures": 0}]

    def run_cell(self, cell, entry, seconds, warmup):
        if dict(entry.changes).get("client") == "perf-test":
            return self._perf_test(cell, entry, seconds, warmup)
        common = ["--server", self.server, "--seconds", seconds, "--warmup", warmup, "--partitions", cell.partitions,
                  "--record-bytes", cell.record_bytes]
        if entry.brokers == 1:
            common += ["--server-pid", self._processes[0].pid]
        load = ["--batch-bytes", cell.batch_bytes, "--depth", cell.depth, "--fsync", str(entry.fsync).lower(),
                "--acks", 1 if entry.brokers == 1 else -1]
        linger = dict(entry.changes).get("linger_ms", 0)
        if cell.kind == "fetch":
            verb = ["fetch", *common, "--total-bytes", cell.total_bytes]
        elif cell.kind == "end-to-end":
            verb = ["end-to-end", *common, *load, "--rate", cell.rate, "--linger-ms", linger]
        elif cell.kind == "one":
            verb = ["produce", *common, *load, "--linger-ms", linger]
        else:
            verb = ["produce", *common, *load, "--linger-ms", 5]
        return self._children.run_client([self._load, *verb], seconds_max=seconds + warmup + 240)
