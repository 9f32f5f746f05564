"""The example of Kafka Connect under `deploy/`, against a real broker: scores in a database."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import uuid
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer

import odd_events
from conftest import ROOT, TARGET, Process, free_port, wait_until
from contracts import schema, subschemas
from test_contracts import processed, read

CONNECT = ROOT / "deploy/connect"
# Nobody, where the tests run as root: PostgreSQL refuses to.
UNPRIVILEGED = 65534


def as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]


@pytest.fixture(scope="session")
def connect_jars() -> Path:
    """Where the jars of Connect and PostgreSQL lie."""
    done = subprocess.run(
        [ROOT / "tests/operate/connect/jars", TARGET], check=True, capture_output=True, text=True
    )
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def postgres(connect_jars):
    """How to reach a PostgreSQL of this run: the arguments of a connection."""
    # Outside the directory of the tests, which only its owner may enter.
    home = Path(tempfile.mkdtemp(prefix="lifetide-postgres-"))
    [jar] = (connect_jars / "worker").glob("embedded-postgres-binaries-*.jar")
    with zipfile.ZipFile(jar) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".txz")]
        with archive.open(name) as packed, tarfile.open(fileobj=packed, mode="r:xz") as programs:
            programs.extractall(home, filter="fully_trusted")
    secret = home / "password"
    secret.write_text("correct horse")
    data = home / "data"
    data.mkdir(mode=0o700)
    if as_user():
        for path in (home, secret, data):
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    subprocess.run(
        [*as_user(), home / "bin/initdb", "-D", data, "-U", "shop", f"--pwfile={secret}",
         "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"],
        check=True, capture_output=True, cwd=home,
    )
    reach = {"host": "127.0.0.1", "port": free_port(), "user": "shop", "dbname": "postgres",
             "password": secret.read_text()}
    log = home / "log"
    process = Process(
        [*as_user(), home / "bin/postgres", "-D", data, "-h", reach["host"], "-p", reach["port"],
         "-k", ""], log, cwd=home,
    )

    def answers():
        process.assert_runs()
        try:
            with psycopg.connect(**reach):
                return True
        except psycopg.OperationalError:
            return False

    wait_until("PostgreSQL", answers)
    yield reach
    process.stop()
    shutil.rmtree(home)


def properties(path: Path, own: dict) -> str:
    """A file of the example with these settings in place of its own."""
    text = path.read_text()
    for name, value in own.items():
        lines = [line for line in text.splitlines() if line.startswith(f"{name}=")]
        assert len(lines) == 1, name
        text = text.replace(lines[0], f"{name}={value}")
    return text


class Worker:
    """`connect-standalone` with the files of the example."""

    def __init__(self, jars: Path, directory: Path, broker: str, reach: dict, topic: str):
        self.jars, self.directory = jars, directory
        self.files = [directory / "worker.properties", directory / "connector.properties"]
        self.files[0].write_text(properties(CONNECT / "worker.properties", {
            "plugin.path": jars / "plugins", "listeners": f"http://127.0.0.1:{free_port()}",
            "offset.storage.file.filename": directory / "offsets",
        }) + "consumer.session.timeout.ms=10000\n")
        self.files[1].write_text(
            properties(CONNECT / "scores-postgres.properties", {"topics": topic})
        )
        self.env = {
            "KAFKA_BROKERS": broker,
            "SCORES_JDBC_URL": "jdbc:postgresql://{host}:{port}/{dbname}".format(**reach),
            "SCORES_DB_USER": reach["user"], "SCORES_DB_PASSWORD": reach["password"],
        }
        self.process = None

    def start(self):
        self.process = Process(
            ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{self.jars}/worker/*",
             "org.apache.kafka.connect.cli.ConnectStandalone", *self.files],
            self.directory / f"connect-{free_port()}.log", self.env,
        )

    def assert_works(self):
        """A task that has failed leaves its worker running."""
        self.process.assert_runs()
        text = self.process.text()
        assert "Task threw an uncaught" not in text, text[-8000:]

    def kill(self):
        self.process.child.kill()
        self.process.child.wait(60)


def connect_fields(node: dict, path="") -> dict:
    """The fields of a schema of Connect: their type, and whether they may be absent."""
    found = {}
    for field in node["fields"]:
        place = f"{path}/{field['field']}"
        if field["type"] == "struct":
            found |= connect_fields(field, place)
        else:
            found[place] = (field["type"], field.get("optional", False))
    return found


def test_the_schema_for_connect_is_that_of_the_score():
    text = (CONNECT / "scores-postgres.properties").read_text()
    _, text = text.split("schema.content=")
    of_connect = connect_fields(json.loads(text.replace("\\\n", "")))
    names = {"integer": "int64", "number": "double", "string": "string"}
    told = {}
    for path, node in subschemas(schema("score")):
        for name, field in node.get("properties", {}).items():
            if field.get("type", "object") != "object":
                optional = name not in node.get("required", [])
                told[f"{path}/{name}"] = (names[field["type"]], optional)
    # The key has it, and the form's own name is no column.
    assert told.pop("/customer_id") == ("string", False)
    assert of_connect == told
    columns = (CONNECT / "scores.sql").read_text()
    for path in [*told, "/customer_id"]:
        column = path[1:].replace("/", "_")
        assert f"\n  {column} " in columns, column


def abort(broker: str, topic: str, told: dict):
    """Leaves a record in the topic that was never committed."""
    producer = Producer({"bootstrap.servers": broker, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(topic, json.dumps(told), told["customer_id"], 0)
    assert producer.flush(60) == 0
    producer.abort_transaction(60)


def jdbc_version(pom: str) -> str:
    [found] = re.findall(r"<artifactId>debezium-connector-jdbc</artifactId>\s*<version>(.+)<", pom)
    return found


def test_the_steps_are_those_that_were_tried():
    text = (CONNECT / "README.md").read_text()
    poms = ROOT / "tests/operate/connect"
    assert f"JDBC sink {jdbc_version((poms / 'sink.xml').read_text())} " in text
    kafka = (ROOT / "tests/kafka/broker/pom.xml").read_text()
    [version] = re.findall(r"<kafka.version>(.+)</kafka.version>", kafka)
    assert f"Kafka {version}," in text
    [postgres] = re.findall(r"<version>(\d+)[.\d]+</version>\s*</dependency>\s*</dependencies>",
                            (poms / "pom.xml").read_text())
    assert f"PostgreSQL {postgres}." in text
    files = [CONNECT / name for name in ("worker.properties", "scores-postgres.properties")]
    settings = "".join(file.read_text() for file in files)
    assert f"connect-standalone.sh {files[0].name} {files[1].name}\n" in text
    asked = set(re.findall(r"\$\{env:(\w+)\}", settings)) - {"NAME"}
    assert asked == set(re.findall(r"export (\w+)", text)) and len(asked) == 4
    [above] = re.findall(r"^plugin.path=(.+)$", settings, re.MULTILINE)
    assert f"-DoutputDirectory={above}/debezium-jdbc\n" in text
    [name] = re.findall(r"^name=(.+)$", settings, re.MULTILINE)
    assert set(re.findall(r"connect-lifetide-\w+", text)) == {f"connect-{name}"}
    [query] = re.findall(r"```sql\n(.+?)```", text, re.DOTALL)
    columns = set(re.findall(r"^  (\w+) ", (CONNECT / "scores.sql").read_text(), re.MULTILINE))
    named = set(re.findall(r"[a-z][a-z_]+", re.sub(r"'\w+'", "", query))) - {"customer_scores"}
    assert len(named) == 5 and named <= columns, named - columns
    # What fetches the jars here takes the same way.
    assert "dependency:copy-dependencies" in (poms / "jars").read_text()
    assert (CONNECT / "../../tests/operate/connect/sink.xml").samefile(poms / "sink.xml")


def row_of(score: dict) -> dict:
    """A score as the table should have it."""
    flat = {}
    for name, value in score.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": one for inner, one in value.items()}
        elif name != "schema":
            flat[name] = value
    amounts = ("gross", "refunded", "net_revenue", "acquisition_cost", "historic")
    for name, value in flat.items():
        if name == "as_of":
            flat[name] = datetime.fromisoformat(value)
        elif name.endswith("_on") or name == "trend_since":
            flat[name] = date.fromisoformat(value)
        elif name.endswith(amounts):
            flat[name] = Decimal(value)
    return flat


def table(reach: dict) -> dict[str, dict]:
    """The rows by customer, without what is null."""
    with psycopg.connect(**reach, row_factory=psycopg.rows.dict_row) as connection:
        rows = connection.execute("SELECT * FROM customer_scores").fetchall()
    known = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return {row["customer_id"]: row for row in known}


def newest(broker: str, topic: str) -> dict[str, dict]:
    """What the topic says of each customer who was not erased, as rows."""
    found = {record.key().decode(): record.value() for record in read(broker, topic)}
    return {key: row_of(json.loads(value)) for key, value in found.items() if value is not None}


@pytest.mark.long
def test_scores_become_rows_and_an_erasure_takes_one_away(
    processor, broker, postgres, connect_jars, tmp_path
):
    """Also where the worker is killed in between, and reads again what it had written."""
    with psycopg.connect(**postgres) as connection:
        connection.execute((CONNECT / "scores.sql").read_text())
    one = processor({"processing.emit": "event", "processing.idle_lag_s": -1}, partitions=1)
    topic = one.settings["kafka.scores_topic"]
    worker = Worker(connect_jars, tmp_path, broker, postgres, topic)

    def arrived():
        worker.assert_works()
        rows, told = table(postgres), newest(broker, topic)
        return rows if rows == told else None

    events = odd_events.lives()
    erasure = next(i for i, (_, value) in enumerate(events) if b"customer.erased" in value)
    worker.start()
    try:
        processed(one, broker, events[:erasure])
        rows = wait_until("the first scores", arrived)
        assert "forgotten" in rows
        assert rows["grand"]["history_acquisition_cost"] == Decimal("35.00")
        worker.kill()
        abort(broker, topic, schema("score")["examples"][0])
        processed(one, broker, events[erasure:], n_before=erasure)
        worker.start()
        rows = wait_until("all scores, and one row fewer", arrived)
        assert "forgotten" not in rows
        assert rows["stranger"]["clv_historic"] == Decimal("-9.90")
        assert rows.keys() == {"steady", "leaver", "user", "grand", "stranger", "brief"}
    finally:
        worker.process.stop()
