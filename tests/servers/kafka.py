#!/usr/bin/env python3
"""Apache Kafka for tests: one genuine broker in KRaft mode on loopback.

    tests/servers/kafka.py [--cache DIR] [--port N]

Needs `java` 17 or later, and `mvn` the first time: the broker comes from its Maven artefacts, kept in the cache
(default: $POPULACE_SERVERS, or ~/.cache/populace-servers). Prints `kafka://127.0.0.1:PORT` when it takes requests, and ends with
whoever holds its standard input. Lines on standard input: `kill` (as kill -9), `stop`, `start`; each is answered with a line.
"""

import argparse
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

VERSION = "4.1.1"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>populace.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>"""


def fail(message):
    sys.exit(f"kafka.py: {message}")


def libraries(cache):
    """The folder of the broker's jars, fetched if it is not there."""
    folder = cache / f"kafka-{VERSION}"
    if folder.is_dir():
        return folder
    if not shutil.which("mvn"):
        fail("the broker is not in the cache and `mvn` is not there to fetch it; install Maven (apt-get install maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        (pathlib.Path(scratch) / "pom.xml").write_text(POM)
        command = ["mvn", "-q", "-B", "-f", scratch, "dependency:copy-dependencies", f"-DoutputDirectory={scratch}/libs"]
        fetched = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if fetched.returncode != 0:
            fail(f"Maven could not fetch org.apache.kafka:kafka_2.13:{VERSION}:\n{fetched.stdout}")
        try:
            os.rename(f"{scratch}/libs", folder)
        except OSError:
            if not folder.is_dir():  # Another process was faster.
                raise
    return folder


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    def __init__(self, jars, port, home):
        self.port, self.home, self.process = port, home, None
        heap = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        self.java = ["java", *heap, "-cp", f"{jars}/*"]
        self.config = home / "server.properties"
        controller = free_port()
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": home / "log",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
            "log.segment.bytes": 64 << 20,
        }
        self.config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def tool(self, name, *arguments):
        done = subprocess.run([*self.java, name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            fail(f"{name} failed:\n{done.stdout}")
        return done.stdout.strip().splitlines()

    def format(self):
        cluster = self.tool("kafka.tools.StorageTool", "random-uuid")[-1]
        self.tool("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(self.config))

    def start(self):
        log = open(self.home / "broker.log", "ab")
        self.process = subprocess.Popen(
            [*self.java, "kafka.Kafka", str(self.config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        until = time.monotonic() + 300
        while time.monotonic() < until:
            if self.process.poll() is not None:
                fail(f"the broker ended:\n{(self.home / 'broker.log').read_text()[-4000:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        fail(f"the broker does not listen after 300 s:\n{(self.home / 'broker.log').read_text()[-4000:]}")

    def stop(self, hard=False):
        if self.process:
            (self.process.kill if hard else self.process.terminate)()
            self.process.wait()
            self.process = None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("POPULACE_SERVERS") or pathlib.Path.home() / ".cache/populace-servers"
    arguments.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(default))
    arguments.add_argument("--port", type=int, default=0)
    given = arguments.parse_args()
    if not shutil.which("java"):
        fail("needs Java 17 or later (apt-get install openjdk-17-jre-headless)")
    jars = libraries(given.cache)
    home = pathlib.Path(tempfile.mkdtemp(prefix="populace-kafka-"))
    broker = Broker(jars, given.port or free_port(), home)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        broker.format()
        broker.start()
        print(f"kafka://127.0.0.1:{broker.port}", flush=True)
        for line in sys.stdin:
            match line.strip():
                case "kill":
                    broker.stop(hard=True)
                case "stop":
                    broker.stop()
                case "start":
                    broker.start()
                case other:
                    print(f"no such command: {other}", flush=True)
                    continue
            print("done", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        broker.stop(hard=True)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
