"""The cases of `cqlsh`: scripted sessions, each a process of its own, and what they print.
Arguments: contact point, persona, admin port (not used). `../src/cases.rs` says what is printed.
"""

import csv
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(sys.executable)


class Cases:
    def __init__(self, contact, persona, folder):
        self.host, self.port = contact.rsplit(":", 1)
        self.persona, self.folder = persona, folder

    def shell(self, script, keyspace=None):
        """What the script prints. An error in it ends the shell with one."""
        path = os.path.join(self.folder, "script.cql")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        command = [os.path.join(HERE, "cqlsh"), "--no-color", "--encoding=utf-8", "-f", path]
        if keyspace:
            command += ["-k", keyspace]
        # A home of its own: cqlsh reads a configuration there, and keeps a history.
        environment = {**os.environ, "HOME": self.folder}
        done = subprocess.run([*command, self.host, self.port], env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"cqlsh ended with {done.returncode}: {said}"
        assert "Traceback" not in said, said
        return done.stdout

    def prints(self, script, *expect):
        said = self.shell(script, "shell")
        for line in expect:
            assert line in said, f"`{line}` is missing in: {said}"

    def connect(self):
        said = self.shell("SHOW VERSION\nSHOW HOST\n")
        release = "Cassandra 5.0.9" if self.persona == "cassandra" else "Cassandra 3.0.8"
        for part in (release, f"Connected to shardwire at {self.host}:{self.port}"):
            assert part in said, f"`{part}` is missing in: {said}"

    def statements(self):
        self.shell("CREATE KEYSPACE shell WITH replication = "
                   "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3};")
        self.prints(
            "CREATE TABLE people (id int PRIMARY KEY, name text, at timestamp);\n"
            "BEGIN BATCH INSERT INTO people (id, name, at) VALUES (1, 'Ada', '2026-11-27');"
            " INSERT INTO people (id, name) VALUES (2, 'it''s'); APPLY BATCH;\n"
            "UPDATE people SET name = 'Bea' WHERE id = 1 IF name = 'Ada';\n"
            "SELECT * FROM people;\nEXPAND ON\nSELECT * FROM people WHERE id = 2;\n",
            "[applied]", "True", "2026-11-27 00:00:00.000000+0000 |  Bea", "it's", "(2 rows)",
            "@ Row 1")

    def types(self):
        self.prints(
            "CREATE TYPE pair (a int, b text);\n"
            "CREATE TABLE types (id int PRIMARY KEY, a ascii, b blob, c decimal, d duration, "
            "e inet, f frozen<pair>, g list<frozen<tuple<int, text>>>, h map<text, time>, "
            "i vector<float, 2>, j varint, k set<date>, l uuid);\n"
            "INSERT INTO types (id, a, b, c, d, e, f, g, h, i, j, k, l) VALUES (1, 'x', 0xff00, "
            "1.50, 1mo2d3ns, '::1', {a: 1, b: 'y'}, [(1, 'z')], {'noon': '12:00:00'}, "
            "[0.5, 1.5], 12345678901234567890, {'1969-07-20'}, "
            "00000000-0000-4000-8000-000000000001);\nEXPAND ON\nSELECT * FROM types;\n",
            "b  | 0xff00", "c  | 1.50", "d  | 1mo2d3ns", "e  | ::1", "f  | {a: 1, b: 'y'}",
            "g  | [(1, 'z')]", "h  | {'noon': 12:00:00.000000000}", "i  | [0.5, 1.5]",
            "j  | 12345678901234567890", "k  | {1969-07-20}",
            "l  | 00000000-0000-4000-8000-000000000001")

    def pages(self):
        inserts = "".join(
            f"INSERT INTO pages (pk, ck) VALUES ({n % 7}, {n});\n" for n in range(1000))
        self.prints("CREATE TABLE pages (pk int, ck int, PRIMARY KEY (pk, ck));\n"
                    f"{inserts}PAGING 37\nSELECT * FROM pages;\n", "Page size: 37", "(1000 rows)")

    def copy(self):
        # No line ends in values: cqlsh counts lines, and waits for as many rows.
        rows = [[str(n), f'say "{n}", then go', f"[{n}, {n + 1}]", "" if n % 3 else "0.25"]
                for n in range(1000)]
        source, target = (os.path.join(self.folder, name) for name in ("from.csv", "to.csv"))
        with open(source, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, doublequote=False, escapechar="\\").writerows(rows)
        columns = "copied (id, words, numbers, part)"
        self.prints("CREATE TABLE copied (id int PRIMARY KEY, words text, numbers list<int>, "
                    "part double);\n"
                    f"COPY {columns} FROM '{source}';\nSELECT count(*), count(part) FROM copied;\n"
                    f"COPY {columns} TO '{target}' WITH PAGESIZE = 100;\n",
                    "1000 rows imported from 1 files", f"1000 | {334:>18}",
                    "1000 rows exported to 1 files")
        with open(target, newline="", encoding="utf-8") as file:
            got = list(csv.reader(file, doublequote=False, escapechar="\\"))
        assert sorted(got) == sorted(rows), f"other rows came back: {sorted(got)[:3]}"

    def tracing(self):
        self.prints("TRACING ON\nSELECT * FROM people;\n", "Tracing session: ", "Request complete")

    def describe_keyspaces(self):
        self.describes("KEYSPACES", "shell", "system_schema")

    def describe_table(self):
        self.describes("TABLE people", "CREATE TABLE shell.people (", "id int PRIMARY KEY",
                       "at timestamp")

    def describe_schema(self):
        self.describes("SCHEMA", "CREATE KEYSPACE shell WITH replication = {",
                       "CREATE TYPE shell.pair (", "CREATE TABLE shell.types (")

    def describes(self, what, *expect):
        if self.persona == "scylla":
            raise Absent("cqlsh sends no DESCRIBE to a node that says 3.0.8")
        self.prints(f"DESCRIBE {what};\n", *expect)


class Absent(Exception):
    """The client does not have it."""


def main():
    names = ("connect statements types pages copy tracing describe_keyspaces describe_table "
             "describe_schema").split()
    failed = False
    with tempfile.TemporaryDirectory(prefix="shardwire-cqlsh-") as folder:
        cases = Cases(*sys.argv[1:3], folder)
        for name in names:
            try:
                getattr(cases, name)()
                print(f"passed {name}", flush=True)
            except Absent as reason:
                print(f"absent {name}: {reason}", flush=True)
            except Exception as error:
                line = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"failed {name}: {line}", flush=True)
                failed = True
    sys.exit(failed)


main()
