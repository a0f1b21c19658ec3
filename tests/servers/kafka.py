#!/usr/bin/env python3
"""Apache Kafka for tests: one genuine broker in KRaft mode on loopback.

    tests/servers/kafka.py [--cache DIR] [--port N] [--tls DIR]

Needs `java` 17 or later, and `mvn` the first time: the broker comes from its Maven artefacts, kept in the cache
(default: $POPULACE_SERVERS, or ~/.cache/populace-servers). Ends with whoever holds its standard input. Lines on standard input: `kill` (as
kill -9), `stop`, `start`; `damage TOPIC PARTITION` (a bit of its first batch is turned over on disk, or back again); `allow TOPIC` (the
user `stranger` may do everything with it and with any group), `forbid TOPIC` (he may not read it, whatever he may), `permit TOPIC` (he may
again). Each is answered with a line.

Prints one line when it takes requests: `kafka://127.0.0.1:PORT`, where everybody may do everything, and then other ways to the same broker:

`login=ADDRESS`    SASL with PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512: the user `populace` with the password `open:sesame/1` may do everything,
                   the user `stranger` with the password `stranger` may do nothing
`forgets=ADDRESS`  every few answers the connection is cut, and the answer is lost although the broker has done what it says
`tls=ADDRESS`      with --tls: encrypted, under a certificate that signed itself, for `localhost` and 127.0.0.1; it is put into DIR/ca.pem
"""

import argparse
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

VERSION = "4.1.1"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>populace.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>"""
USERS = {"populace": "open:sesame/1", "stranger": "stranger"}


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


def whole(connection, size):
    """So many bytes."""
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


class Forgetful:
    """A way to the broker on which answers are lost."""

    def __init__(self, behind):
        self.behind, self.count = behind, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                broker = socket.create_connection(("127.0.0.1", self.behind))
            except OSError:
                client.close()
                continue
            self.count += 1
            threading.Thread(target=self.requests, args=(client, broker), daemon=True).start()
            # Enough for a client to get on.
            threading.Thread(target=self.answers, args=(broker, client, 8 + self.count * 7 % 20), daemon=True).start()

    @staticmethod
    def requests(client, broker):
        try:
            while piece := client.recv(1 << 16):
                broker.sendall(piece)
        except OSError:
            pass

    @staticmethod
    def answers(broker, client, count):
        try:
            for number in range(count + 1):
                size = whole(broker, 4)
                answer = whole(broker, int.from_bytes(size, "big"))
                if number < count:
                    client.sendall(size + answer)
        except OSError:
            pass
        for end in (broker, client):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


def certificate(folder):
    """A key and its own certificate, as Java wants them and as `ca.pem`."""
    folder.mkdir(parents=True, exist_ok=True)
    store, common = folder / "keystore.p12", ["-storepass", "unimportant", "-alias", "broker"]
    if not store.exists():
        names = ["-dname", "CN=localhost", "-ext", "SAN=dns:localhost,ip:127.0.0.1"]
        key = ["-genkeypair", "-keyalg", "RSA", "-keysize", "2048", "-validity", "3650", "-storetype", "PKCS12"]
        subprocess.run(["keytool", *key, *names, "-keystore", store, *common], check=True, stderr=subprocess.DEVNULL)
    pem = ["-exportcert", "-rfc", "-keystore", store, *common, "-file", folder / "ca.pem"]
    subprocess.run(["keytool", *pem], check=True, stderr=subprocess.DEVNULL)
    return store


class Broker:
    def __init__(self, jars, port, home, tls):
        self.port, self.home, self.process = port, home, None
        heap = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        self.java = ["java", *heap, "-cp", f"{jars}/*"]
        self.config = home / "server.properties"
        controller, login, behind = (free_port() for _ in range(3))
        # What clients are told, and where the broker listens.
        ways = {"PLAINTEXT": (port, port), "LOGIN": (login, login), "FORGETS": (Forgetful(behind).port, behind)}
        protocols = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT", "FORGETS": "PLAINTEXT", "LOGIN": "SASL_PLAINTEXT", "TLS": "SSL"}
        if tls:
            ways["TLS"] = (free_port(),) * 2
        self.ways = [f"{name.lower()}=127.0.0.1:{told}" for name, (told, _) in ways.items() if name != "PLAINTEXT"]
        module = "org.apache.kafka.common.security"
        users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": ",".join([f"CONTROLLER://127.0.0.1:{controller}", *(f"{name}://127.0.0.1:{at}" for name, (_, at) in ways.items())]),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{told}" for name, (told, _) in ways.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.login.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {users};",
            "listener.name.login.scram-sha-256.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
            "listener.name.login.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:populace",
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
        if tls:
            settings |= {
                "listener.name.tls.ssl.keystore.location": certificate(tls),
                "listener.name.tls.ssl.keystore.password": "unimportant",
                "listener.name.tls.ssl.keystore.type": "PKCS12",
            }
        self.config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def tool(self, name, *arguments):
        done = subprocess.run([*self.java, name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            fail(f"{name} failed:\n{done.stdout}")
        return done.stdout.strip().splitlines()

    def damage(self, topic, partition):
        """Turns over a bit near the end of the first batch of a partition, while the broker is stopped in order and keeps no page of it."""
        self.stop()
        segment = min((self.home / "log" / f"{topic}-{partition}").glob("*.log"))
        data = bytearray(segment.read_bytes())
        data[12 + int.from_bytes(data[8:12], "big") - 5] ^= 1
        segment.write_bytes(data)
        self.start()

    def acl(self, remove, resources, operation, permission):
        """Adds or removes what the user `stranger` may do with resources, (type, name) each: CreateAcls or DeleteAcls, version 1."""

        def text(value):
            return struct.pack(">h", len(value)) + value.encode()

        about = [
            struct.pack(">b", kind) + text(name) + struct.pack(">b", 3) + text("User:stranger") + text("*") + struct.pack(">bb", operation, permission)
            for kind, name in resources
        ]
        request = struct.pack(">hhi", 31 if remove else 30, 1, 1) + text("tests") + struct.pack(">i", len(about)) + b"".join(about)
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = whole(connection, int.from_bytes(whole(connection, 4), "big"))
        # Correlation, throttle time, results; the error of each is the first of it.
        if struct.unpack_from(">h", answer, 12)[0]:
            fail(f"the broker refuses to set rights: {answer!r}")

    def format(self):
        cluster = self.tool("kafka.tools.StorageTool", "random-uuid")[-1]
        users = [f"{way}=[name={name},password={password}]" for name, password in USERS.items() for way in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
        scram = [word for user in users for word in ("--add-scram", user)]
        self.tool("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(self.config), *scram)

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
    arguments.add_argument("--tls", type=pathlib.Path, metavar="DIR")
    given = arguments.parse_args()
    if not shutil.which("java"):
        fail("needs Java 17 or later (apt-get install openjdk-17-jre-headless)")
    jars = libraries(given.cache)
    home = pathlib.Path(tempfile.mkdtemp(prefix="populace-kafka-"))
    broker = Broker(jars, given.port or free_port(), home, given.tls)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        broker.format()
        broker.start()
        print(f"kafka://127.0.0.1:{broker.port}", *broker.ways, flush=True)
        for line in sys.stdin:
            match line.split():
                case ["kill"]:
                    broker.stop(hard=True)
                case ["stop"]:
                    broker.stop()
                case ["start"]:
                    broker.start()
                case ["damage", topic, partition]:
                    broker.damage(topic, partition)
                case ["allow", topic]:
                    broker.acl(False, [(2, topic), (2, f"{topic}-dlq"), (3, "*"), (4, "kafka-cluster")], 2, 3)
                case ["forbid" | "permit" as way, topic]:
                    broker.acl(way == "permit", [(2, topic)], 3, 2)
                case _:
                    print(f"no such command: {line.strip()}", flush=True)
                    continue
            print("done", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        broker.stop(hard=True)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
