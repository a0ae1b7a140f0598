"""The cases of the two Python drivers, which share a package name: `cassandra-driver` and
`scylla-driver`. Arguments: contact point, persona, admin port. `../src/cases.rs` says what is printed.
"""

import datetime
import decimal
import ipaddress
import json
import socket
import sys
import time
import uuid

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.connection import ConnectionException
from cassandra.policies import DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy
from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, SimpleStatement
from cassandra.util import Date, Duration, Time

# Time for what the client does by itself: connections, what it learns of a node.
PATIENCE_SECONDS = 30


class Admin:
    """The nodes' admin port: a line of JSON each way."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.file = socket.create_connection((host, int(port))).makefile("rw")

    def ask(self, command, **arguments):
        self.file.write(json.dumps({"cmd": command, **arguments}) + "\n")
        self.file.flush()
        answer = json.loads(self.file.readline())
        assert "error" not in answer, answer
        return answer

    def total(self, counter):
        return sum(sum(shard[counter] for shard in node) for node in self.shards())

    def shards(self):
        return [node["shards"] for node in self.ask("counters")["nodes"]]


def await_that(what, condition):
    """Asks again until it holds. The pause only spares the processor."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} after {PATIENCE_SECONDS} s"
        time.sleep(0.02)


def same(got, expect):
    assert got == expect, f"expected {expect!r}, got {got!r}"


class OnlyConnections(FallthroughRetryPolicy):
    """Goes on to another node when a connection is lost; what a node refuses is to be seen."""

    def on_request_error(self, query, consistency, error, retry_num):
        if isinstance(error, ConnectionException):
            return self.RETRY_NEXT_HOST, None
        return self.RETHROW, None


class Cases:
    def __init__(self, contact, persona, admin):
        self.contact, self.persona = contact, persona
        self.admin = Admin(admin)

    def connect(self):
        host, port = self.contact.rsplit(":", 1)
        profile = ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy("datacenter1")),
            consistency_level=ConsistencyLevel.LOCAL_QUORUM,
            retry_policy=OnlyConnections(),
        )
        self.cluster = Cluster([host], port=int(port),
                               execution_profiles={EXEC_PROFILE_DEFAULT: profile})
        self.session = self.cluster.connect(wait_for_all_pools=True)
        same(len(self.cluster.metadata.all_hosts()), 3)
        same({host.is_up for host in self.cluster.metadata.all_hosts()}, {True})

    def knows_shards(self):
        return self.persona == "scylla" and hasattr(self.cluster, "is_shard_aware")

    def schema(self):
        run = self.session.execute
        run("CREATE KEYSPACE py WITH replication = "
            "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}")
        run("CREATE KEYSPACE py_single WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1} AND durable_writes = false")
        self.session.set_keyspace("py")
        run("CREATE TABLE events (day int, at int, name text, shared text static, "
            "PRIMARY KEY (day, at)) WITH CLUSTERING ORDER BY (at DESC) AND comment = 'it''s'")
        run("ALTER TABLE events ADD extra blob")
        run("CREATE INDEX by_name ON events (name)")
        table = self.cluster.metadata.keyspaces["py"].tables["events"]
        same([column.name for column in table.primary_key], ["day", "at"])
        same(table.columns["extra"].cql_type, "blob")
        assert table.columns["at"].is_reversed and table.columns["shared"].is_static
        same(table.options["comment"], "it's")
        assert "by_name" in table.indexes, table.indexes
        text = self.cluster.metadata.keyspaces["py"].export_as_string()
        assert "CLUSTERING ORDER BY (at DESC)" in text, text
        run("DROP INDEX by_name")
        run("DROP TABLE events")
        assert "events" not in self.cluster.metadata.keyspaces["py"].tables

    def scalars(self):
        values = {
            "ascii": "plain", "bigint": -(2**63), "blob": b"\x00\xff", "boolean": True,
            "date": Date(datetime.date(1969, 7, 20)), "decimal": decimal.Decimal("-12.340"),
            "double": 0.1, "duration": Duration(-14, -3, -5), "float": 0.5,
            "inet": "2001:db8::1", "int": -(2**31), "smallint": -(2**15), "text": "žluť 🐎",
            "time": Time(86_399_999_999_999),
            "timestamp": datetime.datetime(2026, 11, 27, 8, 30, 1, 250_000),
            "timeuuid": uuid.uuid1(), "tinyint": -128, "uuid": uuid.uuid4(), "varchar": "",
            "varint": -(2**100),
        }
        self.round_trip("scalars", values)
        row = self.session.execute(
            "SELECT writetime(v_text) AS w, toTimestamp(v_timeuuid) AS t, CAST(v_int AS text) AS c "
            "FROM scalars WHERE id = 0").one()
        assert row.w > 1_600_000_000_000_000 and row.t.year >= 2024, row
        same(row.c, str(-(2**31)))
        self.session.execute("UPDATE scalars SET v_inet = '127.0.0.1' WHERE id = 0")
        row = self.session.execute("SELECT v_inet FROM scalars WHERE id = 0").one()
        same(ipaddress.ip_address(row.v_inet), ipaddress.ip_address("127.0.0.1"))

    def round_trip(self, table, values, order=None):
        """A column of each type: written by a prepared statement, read by a plain one as well."""
        names = [f"v{index}" if order else f"v_{typ}" for index, typ in enumerate(values)]
        columns = ", ".join(f"{name} {typ}" for name, typ in zip(names, values))
        self.session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, {columns})")
        marks = ", ".join("?" * len(names))
        insert = self.session.prepare(
            f"INSERT INTO {table} (id, {', '.join(names)}) VALUES (0, {marks})")
        self.session.execute(insert, list(values.values()))
        select = f"SELECT {', '.join(names)} FROM {table} WHERE id = 0"
        for statement in (select, self.session.prepare(select)):
            row = self.session.execute(statement).one()
            for typ, got, expect in zip(values, row, values.values()):
                assert got == expect, f"{typ}: expected {expect!r}, got {got!r}"

    def collections(self):
        self.round_trip("collections", {
            "list<int>": [3, 1, 3], "set<text>": {"b", "a"}, "map<text, bigint>": {"a": 1, "b": -1},
            "frozen<list<frozen<set<int>>>>": [{1, 2}, {3}],
            "list<frozen<map<int, text>>>": [{1: "x"}, {}],
            "map<int, frozen<list<uuid>>>": {7: [uuid.UUID(int=1)], 8: []},
            "set<frozen<tuple<text, int>>>": {("a", 1), ("b", None)},
            "frozen<map<inet, timestamp>>": {"10.0.0.1": datetime.datetime(2026, 1, 1)},
        }, order=True)
        run = self.session.execute
        run("UPDATE collections SET v0 = v0 + [4], v1 = v1 - {'a'}, v2['c'] = 5 WHERE id = 0")
        run("DELETE v0[0], v2['a'] FROM collections WHERE id = 0")
        row = run("SELECT v0, v1, v2 FROM collections WHERE id = 0").one()
        same((list(row.v0), set(row.v1), dict(row.v2)), ([1, 3, 4], {"b"}, {"b": -1, "c": 5}))

    def tuples(self):
        self.round_trip("tuples", {
            "tuple<int, text, boolean>": (1, "x", None),
            "frozen<tuple<tuple<int, int>, list<text>>>": ((1, 2), ["a"]),
            "list<frozen<tuple<uuid, double>>>": [(uuid.UUID(int=2), 1.5)],
        }, order=True)

    def udts(self):
        run = self.session.execute
        run("CREATE TYPE street (name text, number int)")
        run("CREATE TYPE address (street frozen<street>, tags set<text>, at tuple<double, double>)")
        run("CREATE TABLE people (id int PRIMARY KEY, home address, "
            "others map<text, frozen<address>>)")
        insert = self.session.prepare("INSERT INTO people (id, home, others) VALUES (?, ?, ?)")

        class Street:
            def __init__(self, name, number):
                self.name, self.number = name, number

        class Address:
            def __init__(self, street, tags, at):
                self.street, self.tags, self.at = street, tags, at

        self.cluster.register_user_type("py", "street", Street)
        self.cluster.register_user_type("py", "address", Address)
        home = Address(Street("Main", 5), {"a", "b"}, (1.0, 2.0))
        run(insert, (1, home, {"work": Address(None, None, None)}))
        row = run("SELECT home, others FROM people WHERE id = 1").one()
        assert isinstance(row.home, Address) and isinstance(row.home.street, Street), row
        same((row.home.street.name, row.home.street.number), ("Main", 5))
        same((set(row.home.tags), row.home.at), ({"a", "b"}, (1.0, 2.0)))
        same(row.others["work"].street, None)
        run("UPDATE people SET home.tags = {'c'} WHERE id = 1")
        run("ALTER TYPE address ADD zip text")
        row = run("SELECT home.tags FROM people WHERE id = 1").one()
        same(set(row[0]), {"c"})
        same(self.cluster.metadata.keyspaces["py"].user_types["address"].field_names[-1], "zip")

    def vectors(self):
        self.round_trip("vectors", {
            "vector<float, 3>": [0.5, -1.0, 2.0],
            "vector<text, 2>": ["", "long"],
            "list<frozen<vector<int, 2>>>": [[1, 2], [3, 4]],
        }, order=True)

    def pages(self):
        self.session.execute("CREATE TABLE pages (pk int, ck int, v text, PRIMARY KEY (pk, ck))")
        insert = self.session.prepare("INSERT INTO pages (pk, ck, v) VALUES (?, ?, ?)")
        rows = [(index % 7, index, "v" * (index % 50)) for index in range(1000)]
        execute_concurrent_with_args(self.session, insert, rows, concurrency=50)
        for statement in (SimpleStatement("SELECT pk, ck, v FROM pages", fetch_size=37),
                          self.session.prepare("SELECT pk, ck, v FROM pages")):
            statement.fetch_size = 37
            result = self.session.execute(statement)
            count, got = 0, []
            while True:
                count, got = count + 1, got + [tuple(row) for row in result.current_rows]
                if not result.has_more_pages:
                    break
                # From what a program would keep, in a request of its own.
                result = self.session.execute(statement, paging_state=result.paging_state)
            same(sorted(got), sorted(rows))
            assert 28 <= count <= 29, f"{count} pages"

    def batches(self):
        self.session.execute("CREATE TABLE batches (pk int, ck int, v int, PRIMARY KEY (pk, ck))")
        insert = self.session.prepare("INSERT INTO batches (pk, ck, v) VALUES (?, ?, ?)")
        for pk, kind in enumerate((BatchType.LOGGED, BatchType.UNLOGGED)):
            batch = BatchStatement(kind)
            for ck in range(10):
                batch.add(insert, (pk, ck, ck))
            batch.add("INSERT INTO batches (pk, ck, v) VALUES (%s, 10, 10)", (pk,))
            batch.add(SimpleStatement(f"DELETE FROM batches WHERE pk = {pk} AND ck = 0"))
            self.session.execute(batch)
            got = self.session.execute("SELECT ck FROM batches WHERE pk = %s", (pk,))
            same([row.ck for row in got], [*range(1, 11)])
        self.session.execute("BEGIN BATCH USING TIMESTAMP 1 "
                             "INSERT INTO batches (pk, ck, v) VALUES (9, 1, 1); "
                             "INSERT INTO batches (pk, ck, v) VALUES (9, 2, 2); APPLY BATCH")
        row = self.session.execute("SELECT sum(v), max(writetime(v)) FROM batches WHERE pk = 9")
        same(tuple(row.one()), (3, 1))

    def counters(self):
        self.session.execute("CREATE TABLE counts (id int PRIMARY KEY, n counter)")
        add = self.session.prepare("UPDATE counts SET n = n + ? WHERE id = ?")
        for _ in range(2):
            batch = BatchStatement(BatchType.COUNTER)
            for id in range(3):
                batch.add(add, (id + 1, id))
            self.session.execute(batch)
        self.session.execute("UPDATE counts SET n = n - 10 WHERE id = 2")
        got = {row.id: row.n for row in self.session.execute("SELECT id, n FROM counts")}
        same(got, {0: 2, 1: 4, 2: -4})

    def conditions(self):
        run = self.session.execute
        run("CREATE TABLE once (pk int, ck int, v int, PRIMARY KEY (pk, ck))")
        insert = self.session.prepare("INSERT INTO once (pk, ck, v) VALUES (?, ?, ?) IF NOT EXISTS")
        assert run(insert, (1, 1, 5)).was_applied
        again = run(insert, (1, 1, 6))
        assert not again.was_applied
        same(again.one().v, 5)
        update = "UPDATE once SET v = 7 WHERE pk = 1 AND ck = 1 IF v = %s"
        refused = run(update, (4,))
        assert not refused.was_applied
        same(refused.one().v, 5)
        assert run(update, (5,)).was_applied
        assert not run("DELETE FROM once WHERE pk = 2 AND ck = 1 IF EXISTS").was_applied
        same(run("SELECT v FROM once WHERE pk = 1 AND ck = 1").one().v, 7)

    def conditional_batches(self):
        run = self.session.execute
        run("CREATE TABLE together (pk int, ck int, v int, PRIMARY KEY (pk, ck))")
        insert = self.session.prepare(
            "INSERT INTO together (pk, ck, v) VALUES (?, ?, ?) IF NOT EXISTS")
        for times in range(2):
            batch = BatchStatement()
            batch.add(insert, (1, 1, 5))
            batch.add("UPDATE together SET v = 8 WHERE pk = 1 AND ck = 2")
            same(run(batch).was_applied, times == 0)
        same({row.ck: row.v for row in run("SELECT ck, v FROM together")}, {1: 5, 2: 8})

    def prepared(self):
        run = self.session.execute
        run("CREATE TABLE prepared (a int, b text, c int, d list<int>, PRIMARY KEY ((a, b), c))")
        positions = self.session.prepare("INSERT INTO prepared (a, b, c, d) VALUES (?, ?, ?, ?)")
        same(positions.routing_key_indexes, [0, 1])
        run(positions, (1, "x", 2, [3]))
        names = self.session.prepare("INSERT INTO prepared (c, d, b, a) VALUES (:c, :d, :b, :a)")
        run(names, {"a": 1, "b": "x", "c": 3, "d": [4]})
        select = self.session.prepare(
            "SELECT c, d FROM prepared WHERE a = :a AND b = :b AND c IN :cs LIMIT :n")
        same([(r.c, list(r.d)) for r in run(select, (1, "x", [2, 3], 5))], [(2, [3]), (3, [4])])
        # A changed table: the client's columns are out of date, or the node has to say so.
        everything = self.session.prepare("SELECT * FROM prepared WHERE a = 1 AND b = 'x' LIMIT 1")
        same(len(run(everything).one()), 4)
        run("ALTER TABLE prepared ADD e text")
        run("UPDATE prepared SET e = 'new' WHERE a = 1 AND b = 'x' AND c = 2")
        same(getattr(run("SELECT * FROM prepared LIMIT 1").one(), "e"), "new")
        same(run("SELECT c FROM prepared WHERE a = %(a)s AND b = %(b)s AND c > %(c)s",
                 {"a": 1, "b": "x", "c": 2}).one().c, 3)

    def nulls(self):
        run = self.session.execute
        run("CREATE TABLE nulls (id int PRIMARY KEY, a int, b text, c set<int>)")
        insert = self.session.prepare("INSERT INTO nulls (id, a, b, c) VALUES (?, ?, ?, ?)")
        run(insert, (1, 1, "b", {1}))
        run(insert, (1, None, UNSET_VALUE, UNSET_VALUE))
        row = run("SELECT a, b, c FROM nulls WHERE id = 1").one()
        same((row.a, row.b, set(row.c)), (None, "b", {1}))
        run(insert, {"id": 1, "a": 2})  # what is not named is unset
        run(insert, (1, UNSET_VALUE, None, set()))
        row = run("SELECT a, b, c FROM nulls WHERE id = 1").one()
        same((row.a, row.b, row.c), (2, None, None))

    def routing(self):
        run = self.session.execute
        run("CREATE TABLE py_single.routed (pk text, ck int, v int, PRIMARY KEY (pk, ck))")
        insert = self.session.prepare("INSERT INTO py_single.routed (pk, ck, v) VALUES (?, ?, ?)")
        if self.knows_shards():
            assert self.cluster.is_shard_aware()
            await_that("not each shard has a connection", lambda: all(
                shard["connections"] for node in self.admin.shards() for shard in node))
            await_that("the client does not hold them yet", lambda: all(
                stats["connected"] == stats["shards_count"]
                for stats in self.cluster.shard_aware_stats().values()))
        self.admin.ask("reset")
        for key in range(300):
            run(insert, (f"key {key}", key, key))
        same(self.admin.total("right") + self.admin.total("wrong_shard"), 300)
        same((self.admin.total("wrong_node"), self.admin.total("unrouted")), (0, 0))
        if self.knows_shards():
            same(self.admin.total("wrong_shard"), 0)

    def restart(self):
        run = self.session.execute
        run("CREATE TABLE restart (id int PRIMARY KEY, v int)")
        insert = self.session.prepare("INSERT INTO restart (id, v) VALUES (?, ?)")
        insert.is_idempotent = True
        select = self.session.prepare("SELECT v FROM restart WHERE id = ?")
        select.is_idempotent = True

        def work():
            for id in range(100):
                run(insert, (id, id))
                same(run(select, (id,)).one().v, id)

        def reached(node):
            return sum(s["right"] + s["wrong_shard"] for s in self.admin.shards()[node])

        work()
        # The contact point is one of them.
        for node in (1, 0):
            self.admin.ask("stop_node", node=node)
            work()
            self.admin.ask("start_node", node=node)
            self.admin.ask("reset")

            def comes_back():
                work()
                return reached(node) > 0

            await_that(f"node {node} gets nothing", comes_back)
        run("CREATE TABLE afterwards (id int PRIMARY KEY)")
        assert "afterwards" in self.cluster.metadata.keyspaces["py"].tables


def main():
    cases = Cases(*sys.argv[1:])
    names = ("connect schema scalars collections tuples udts vectors pages batches counters "
             "conditions conditional_batches prepared nulls routing restart").split()
    failed = False
    for name in names:
        try:
            getattr(cases, name)()
            print(f"passed {name}", flush=True)
        except Exception as error:
            # What the client says may take several lines.
            line = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"failed {name}: {line}", flush=True)
            failed = True
    sys.exit(failed)


main()
