#!/usr/bin/env python3
"""ClickHouse for tests: the genuine engine (PyPI's `chdb`), behind ClickHouse's HTTP interface.

    tests/servers/clickhouse.py [--cache DIR] [--port N] [--user NAME] [--password TEXT] [--path DIR]

There is no server's binary in any package registry, but there is its engine, in process. Here it gets the HTTP interface: `query` in the
URL or in the body, data in the body, settings and parameters (`param_x`) in the URL, `database`, basic authentication or `user` and
`password`, results as a stream, errors as ClickHouse writes them. The first time `chdb` is put into a virtual environment in the cache
(default: $POPULACE_SERVERS, or ~/.cache/populace-servers).

Prints `clickhouse://USER:PASSWORD@127.0.0.1:PORT` when it takes requests, and ends with whoever holds its standard input. Lines on
standard input are faults, each answered with a line: `down` and `up` (connections are cut), `slow SECONDS` (every insert), `fail N` (the
next N inserts are taken and then answered with a cut connection), `refuse N` (the next N inserts end midway with an error).
"""

import argparse
import base64
import hmac
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

VERSION = "4.4.0"
# What the URL says that is not a setting.
OWN = {"query", "database", "user", "password", "default_format", "session_id", "query_id", "compress", "decompress"}
INSERT = re.compile(r"\s*(INSERT\s+INTO\s.*?)\s+FORMAT\s+(\w+)\s*$", re.IGNORECASE | re.DOTALL)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


def with_engine(cache):
    """Runs this file again with an interpreter that has the engine."""
    try:
        import chdb  # noqa: F401
    except ImportError:
        home = cache / f"chdb-{VERSION}"
        python = home / "bin" / "python"
        if not (home / "ready").exists():
            venv.create(home, with_pip=True)
            made = subprocess.run([python, "-m", "pip", "install", "-q", f"chdb=={VERSION}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if made.returncode != 0:
                sys.exit(f"clickhouse.py: pip could not install chdb {VERSION}:\n{made.stdout.decode()}")
            (home / "ready").touch()
        os.execv(python, [str(python), *sys.argv])


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Failed(Exception):
    """An answer that is not a success: HTTP status, ClickHouse's code, text."""

    def __init__(self, status, code, text):
        super().__init__(text)
        self.status, self.code, self.text = status, code, text

    @classmethod
    def of(cls, error):
        text, code = str(error), 1000
        if found := re.search(r"Code: (\d+)", text):
            text, code = text[found.start() :], int(found.group(1))
        return cls({60: 404, 81: 404, 516: 403, 497: 403, 159: 408}.get(code, 400 if code in (62, 36, 47) else 500), code, text)


class Engine:
    """One session of the engine, one statement at a time."""

    def __init__(self, path, user, password):
        from chdb import session

        self.session, self.user, self.password = session.Session(path), user, password
        self.lock = threading.Lock()
        self.down, self.slow, self.fail, self.refuse = False, 0.0, 0, 0

    def authenticate(self, headers, query):
        user, password = query.get("user", "default"), query.get("password", "")
        given = headers.get("Authorization", "")
        if given.startswith("Basic "):
            user, _, password = base64.b64decode(given[6:]).decode().partition(":")
        elif "X-ClickHouse-User" in headers:
            user, password = headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
        if not (hmac.compare_digest(user, self.user) and hmac.compare_digest(password.encode(), self.password.encode())):
            text = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise Failed(403, 516, f"Code: 516. DB::Exception: {text} (AUTHENTICATION_FAILED) (version 26.9.2.1)")

    def run(self, query, body, form, answer):
        """Runs a statement; `body` gives its data in pieces, `answer` takes the pieces of what comes out."""
        settings = [(name, value) for name, value in form.items() if name not in OWN and not name.startswith("param_")]
        parameters = {name[6:]: value for name, value in form.items() if name.startswith("param_")}
        with self.lock:
            try:
                self.session.query(f"USE `{form.get('database') or 'default'}`")
                if insert := INSERT.match(query):
                    return self.insert(*insert.groups(), settings, body)
                for piece in body:
                    query += piece.decode()
                for name, value in settings:
                    self.session.query(f"SET {name} = {quoted(value)}")
                found = FORMAT.search(query)
                shape = found.group(1) if found else form.get("default_format", "TabSeparated")
                if re.match(r"\s*(SELECT|WITH)\b", query, re.IGNORECASE) and not parameters:
                    for chunk in self.session.send_query(query, shape):
                        answer(chunk.bytes())
                else:
                    answer(self.session.query(query, shape, params=parameters or None).bytes())
            except Failed:
                raise
            except Exception as error:  # The engine's own type is not exported.
                raise Failed.of(error) from error
            finally:
                for name, _ in settings:
                    self.session.query(f"SET {name} = DEFAULT")

    def insert(self, into, shape, settings, body):
        time.sleep(self.slow)
        for name, value in settings:
            self.session.query(f"SET {name} = {quoted(value)}")
        inserter = self.session.send_insert(into, shape)
        done = False
        try:
            for piece in body:
                inserter.append(piece)
                if self.refuse:
                    self.refuse -= 1
                    raise Failed(500, 241, "Code: 241. DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED)")
            inserter.finish()
            done = True
        finally:
            if not done:
                inserter.cancel()
        if self.fail:
            self.fail -= 1
            raise ConnectionAbortedError


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                left = size
                while left:
                    if not (piece := self.rfile.read(min(left, 1 << 20))):
                        raise ConnectionAbortedError
                    left -= len(piece)
                    yield piece
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            if not (piece := self.rfile.read(min(left, 1 << 20))):
                raise ConnectionAbortedError
            left -= len(piece)
            yield piece

    def handle_request(self):
        if self.engine.down:
            raise ConnectionAbortedError
        url = urlsplit(self.path)
        if url.path == "/ping":
            return self.reply(200, b"Ok.\n")
        form = dict(parse_qsl(url.query, keep_blank_values=True))
        self.begun = False
        body = self.body()
        try:
            self.engine.authenticate(self.headers, form)
            query = form.get("query", "")
            if not query:
                query, body = b"".join(body).decode(), iter(())
            self.engine.run(query, body, form, self.piece)
            if not self.begun:
                return self.reply(200, b"")
            self.wfile.write(b"0\r\n\r\n")
        except Failed as error:
            if self.begun:
                raise ConnectionAbortedError from error
            for _ in body:
                pass
            self.reply(error.status, error.text.encode() + b"\n", code=error.code)

    def piece(self, data):
        """A piece of the result: the head of the answer waits for the first, so that an early error can have its own."""
        if not data:
            return
        if not self.begun:
            self.begun = True
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
        self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")

    def reply(self, status, data, code=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if code is not None:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        try:
            self.handle_request()
        except (ConnectionError, ValueError):
            self.close_connection = True
            self.connection.close()

    do_GET = do_POST


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


def obey(engine, line):
    match line.split():
        case ["down"]:
            engine.down = True
        case ["up"]:
            engine.down = False
        case ["slow", seconds]:
            engine.slow = float(seconds)
        case ["fail", count]:
            engine.fail = int(count)
        case ["refuse", count]:
            engine.refuse = int(count)
        case _:
            return f"no such command: {line.strip()}"
    return "done"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("POPULACE_SERVERS") or pathlib.Path.home() / ".cache/populace-servers"
    arguments.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(default))
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--user", default="sendflowr")
    arguments.add_argument("--password", default="sendflowr_dev")
    arguments.add_argument("--path", help="where the tables are kept [default: a temporary folder]")
    given = arguments.parse_args()
    with_engine(given.cache)
    scratch = None if given.path else tempfile.mkdtemp(prefix="populace-clickhouse-")
    try:
        engine = Engine(given.path or scratch, given.user, given.password)
        Handler.engine = engine
        server = Server(("127.0.0.1", given.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"clickhouse://{given.user}:{given.password}@127.0.0.1:{server.server_port}", flush=True)
        for line in sys.stdin:
            print(obey(engine, line), flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)  # The engine's threads are not waited for.


if __name__ == "__main__":
    main()
