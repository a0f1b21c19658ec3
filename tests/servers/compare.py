#!/usr/bin/env python3
"""A topic against the file of the same run, with clients that have nothing in common with ours: `kafka-python` and `fastavro`.

    tests/servers/compare.py --topic kafka://HOST:PORT/TOPIC --file FILE.jsonl --key COLUMN [--first N] [--registry URL]

Reads the topic from beginning to end. Every record's key must be the user and its partition the one that Java's clients would choose; each
user's records must be the lines of the file that are the user's, in the file's order, all of them, each once. JSON is compared byte by byte;
Avro, which --registry says it is, is decoded under the schema that the registry has for the number in the record, and compared value by
value. --first: the file's first N lines alone. Prints what it saw as JSON; ends with 1 and the first difference if there is one.

Its packages are put into a virtual environment in the cache ($POPULACE_SERVERS, or ~/.cache/populace-servers).
"""

import argparse
import base64
import datetime
import fcntl
import io
import json
import os
import pathlib
import subprocess
import sys
import urllib.request
import venv
from collections import defaultdict
from urllib.parse import quote, unquote, urlsplit

# `kafka.py` beside this file is not the package.
sys.path = [path for path in sys.path if pathlib.Path(path).resolve() != pathlib.Path(__file__).resolve().parent]
PACKAGES = ["kafka-python==3.0.12", "lz4==4.4.5", "fastavro==1.13.1"]


def with_packages():
    """Runs this file again with an interpreter that has the packages."""
    try:
        import fastavro  # noqa: F401
        import kafka  # noqa: F401
        import lz4  # noqa: F401
    except ImportError:
        cache = pathlib.Path(os.environ.get("POPULACE_SERVERS") or pathlib.Path.home() / ".cache/populace-servers")
        home = cache / ("readers-" + "-".join(package.split("==")[1] for package in PACKAGES))
        python = home / "bin" / "python"
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "readers.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / "ready").exists():
                venv.create(home, with_pip=True, clear=True)
                made = subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                if made.returncode != 0:
                    sys.exit(f"compare.py: pip could not install {PACKAGES}:\n{made.stdout.decode()}")
                (home / "ready").touch()
        os.execv(python, [str(python), *sys.argv])


def differ(message):
    sys.exit(f"compare.py: {message}")


def records(address, topic):
    """All records of a topic, by partition and offset, and how many partitions it has."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, auto_offset_reset="earliest", group_id=None)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    ends = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found = []
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for batch in consumer.poll(timeout_ms=1000, max_records=5000).values():
            found.extend(batch)
    consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset)), len(partitions)


class Registry:
    """Schemas, as Confluent's interface gives them."""

    def __init__(self, url):
        parts = urlsplit(url)
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self.base = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
        self.headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
        self.known = {}

    def get(self, path):
        with urllib.request.urlopen(urllib.request.Request(self.base + path, headers=self.headers), timeout=30) as answer:
            return json.load(answer)

    def schema(self, number):
        import fastavro

        if number not in self.known:
            self.known[number] = fastavro.parse_schema(json.loads(self.get(f"/schemas/ids/{number}")["schema"]))
        return self.known[number]


def plain(value, expected, kind):
    """A decoded value as JSON has it. `kind` is the field's type without null."""
    logical = kind.get("logicalType") if isinstance(kind, dict) else None
    if value is None:
        return None
    if logical == "timestamp-micros":
        # Some scenarios leave the `Z` out.
        given = datetime.datetime.fromisoformat(expected.removesuffix("Z")).replace(tzinfo=datetime.timezone.utc) if expected else None
        return expected if given == value else value.isoformat()
    if logical in ("date", "uuid"):
        return str(value)
    if isinstance(value, str) and not isinstance(expected, str):
        return json.loads(value)
    return value


def same(value, expected):
    numbers = isinstance(value, float) and isinstance(expected, (int, float)) and not isinstance(expected, bool)
    return value == expected if numbers else type(value) is type(expected) and value == expected


def decoded(payload, registry, expected, numbers):
    """Compares a record in Confluent's wire format with a line."""
    import fastavro

    if payload[0] != 0:
        return f"the first byte is {payload[0]}, not 0"
    numbers.add(number := int.from_bytes(payload[1:5], "big"))
    schema, body = registry.schema(number), io.BytesIO(payload[5:])
    row, line = fastavro.schemaless_reader(body, schema), json.loads(expected)
    if rest := body.read():
        return f"{len(rest)} bytes are left over"
    if list(row) != list(line):
        return f"fields {list(row)} are not {list(line)}"
    for field in schema["fields"]:
        name, kind = field["name"], field["type"]
        kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
        if not same(plain(row[name], line[name], kind), line[name]):
            return f"{name}: {row[name]!r} is not {line[name]!r}"
    return None


def main():
    with_packages()
    from kafka.partitioner.default import murmur2

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--topic", "--file", "--key"):
        arguments.add_argument(name, required=True)
    arguments.add_argument("--first", type=int)
    arguments.add_argument("--registry")
    given = arguments.parse_args()
    registry = given.registry and Registry(given.registry)
    address, _, topic = given.topic.partition("://")[2].partition("/")
    lines, total = defaultdict(list), 0
    with open(given.file, encoding="utf-8") as file:
        for line in file:
            if total == given.first:
                break
            lines[str(json.loads(line)[given.key])].append(line.rstrip("\n").encode())
            total += 1
    found, partitions = records(address, topic)
    users, numbers = defaultdict(list), set()
    for record in found:
        if record.partition != (murmur2(record.key) & 0x7FFFFFFF) % partitions:
            differ(f"partition {record.partition} is not that of the key {record.key}")
        users[record.key.decode()].append(record.value)
    if users.keys() != lines.keys():
        differ(f"{len(users)} users are not the {len(lines)} of the file")
    for user, expected in lines.items():
        if len(users[user]) != len(expected):
            differ(f"{user}: {len(users[user])} records are not the {len(expected)} lines of the file")
        for row, (value, line) in enumerate(zip(users[user], expected)):
            wrong = decoded(value, registry, line, numbers) if registry else value != line and f"{value} is not {line}"
            if wrong:
                differ(f"{user}: row {row}: {wrong}")
    if registry:
        latest = registry.get(f"/subjects/{quote(topic + '-value', safe='')}/versions/latest")
        if numbers != {latest["id"]}:
            differ(f"records are of the schemas {numbers}, and the latest of {topic}-value is {latest['id']}")
    used = len({record.partition for record in found})
    print(json.dumps({"rows": total, "users": len(users), "partitions": used, "schemas": sorted(numbers)}))


if __name__ == "__main__":
    main()
