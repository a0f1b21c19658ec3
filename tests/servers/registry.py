#!/usr/bin/env python3
"""A schema registry for tests: the genuine Apicurio Registry, by its interface that is Confluent's, in memory, on loopback.

    tests/servers/registry.py [--cache DIR] [--port N] [--user NAME] [--password TEXT]

Confluent's own registry is in no public package registry; Apicurio's is on Maven Central. Needs `java` 17 or later, and `mvn` the first time:
it is kept in the cache (default: $POPULACE_SERVERS, or ~/.cache/populace-servers). In front of it stands a page of Python that asks for user
and password (basic authentication, as reverse proxies do) and otherwise hands everything on as it is.

Prints `http://USER:PASSWORD@127.0.0.1:PORT/apis/ccompat/v7` when it takes requests, and ends with whoever holds its standard input.
"""

import argparse
import base64
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

# The last that runs on Java 17.
VERSION = "3.0.9"
PATH = "/apis/ccompat/v7"


def fail(message):
    sys.exit(f"registry.py: {message}")


def runner(cache):
    """The registry's jar, fetched if it is not there."""
    folder = cache / f"apicurio-{VERSION}"
    jar = folder / f"apicurio-registry-app-{VERSION}-runner.jar"
    if jar.exists():
        return jar
    if not shutil.which("mvn"):
        fail("the registry is not in the cache and `mvn` is not there to fetch it; install Maven (apt-get install maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        artefact = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
        command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artefact}", f"-DoutputDirectory={scratch}"]
        fetched = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=scratch)
        if fetched.returncode != 0:
            fail(f"Maven could not fetch {artefact}:\n{fetched.stdout}")
        with tarfile.open(f"{scratch}/apicurio-registry-app-{VERSION}-all.tar.gz") as archive:
            archive.extractall(f"{scratch}/whole")
        try:
            os.rename(f"{scratch}/whole", folder)
        except OSError:
            if not jar.exists():  # Another process was faster.
                raise
    return jar


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def guard(port, behind, user, password):
    """A server that asks for user and password and hands on what it gets."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def hand_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != expected:
                status, kind, answer = 401, "application/json", b'{"error_code":40101,"message":"Unauthorized"}'
            else:
                connection = http.client.HTTPConnection("127.0.0.1", behind, timeout=60)
                kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
                connection.request(self.command, self.path, body, kept)
                got = connection.getresponse()
                status, kind, answer = got.status, got.headers.get("Content-Type", "text/plain"), got.read()
                connection.close()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            if status == 401:
                self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = hand_on

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def wait(process, port, log):
    until = time.monotonic() + 300
    while time.monotonic() < until:
        if process.poll() is not None:
            fail(f"the registry ended:\n{log.read_text()[-4000:]}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", f"{PATH}/subjects")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    fail(f"the registry does not answer after 300 s:\n{log.read_text()[-4000:]}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("POPULACE_SERVERS") or pathlib.Path.home() / ".cache/populace-servers"
    arguments.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(default))
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--user", default="registrar")
    arguments.add_argument("--password", default="open:sesame/1")
    given = arguments.parse_args()
    if not shutil.which("java"):
        fail("needs Java 17 or later (apt-get install openjdk-17-jre-headless)")
    jar, behind = runner(given.cache), free_port()
    with tempfile.TemporaryDirectory(prefix="populace-registry-") as home:
        log = pathlib.Path(home) / "registry.log"
        java = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={home}"]
        settings = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={behind}"]
        with log.open("wb") as out:
            process = subprocess.Popen([*java, *settings, "-jar", jar], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=home)
        try:
            wait(process, behind, log)
            port = guard(given.port, behind, given.user, given.password)
            print(f"http://{quote(given.user, safe='')}:{quote(given.password, safe='')}@127.0.0.1:{port}{PATH}", flush=True)
            sys.stdin.read()
        except KeyboardInterrupt:
            pass
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
