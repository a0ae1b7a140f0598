// The cases of the Java driver. Arguments: contact point, persona, admin port. `../src/cases.rs` says
// what is printed.

import com.datastax.oss.driver.api.core.CqlIdentifier;
import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.cql.AsyncResultSet;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchType;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.DefaultBatchType;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.ResultSet;
import com.datastax.oss.driver.api.core.cql.Row;
import com.datastax.oss.driver.api.core.cql.SimpleStatement;
import com.datastax.oss.driver.api.core.cql.Statement;
import com.datastax.oss.driver.api.core.data.CqlDuration;
import com.datastax.oss.driver.api.core.data.CqlVector;
import com.datastax.oss.driver.api.core.data.TupleValue;
import com.datastax.oss.driver.api.core.data.UdtValue;
import com.datastax.oss.driver.api.core.type.TupleType;
import com.datastax.oss.driver.api.core.type.UserDefinedType;
import com.datastax.oss.driver.api.core.uuid.Uuids;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Cases {
  // Time for what the client does by itself: connections, what it learns of a node.
  static final Duration PATIENCE = Duration.ofSeconds(30);

  final InetSocketAddress contact;
  final Socket admin;
  final BufferedReader answers;
  CqlSession session;

  interface Case {
    void run() throws Exception;
  }

  interface Condition {
    boolean holds() throws Exception;
  }

  Cases(String contact, String admin) throws Exception {
    this.contact = address(contact);
    InetSocketAddress port = address(admin);
    this.admin = new Socket(port.getAddress(), port.getPort());
    this.answers = new BufferedReader(new InputStreamReader(this.admin.getInputStream()));
  }

  static InetSocketAddress address(String text) {
    int colon = text.lastIndexOf(':');
    return new InetSocketAddress(
        text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
  }

  static void same(String what, Object got, Object expect) {
    if (!Objects.equals(got, expect)) {
      throw new AssertionError(what + ": expected " + expect + ", got " + got);
    }
  }

  /** Asks again until it holds. The pause only spares the processor. */
  static void awaitThat(String what, Condition condition) throws Exception {
    Instant deadline = Instant.now().plus(PATIENCE);
    while (!condition.holds()) {
      if (Instant.now().isAfter(deadline)) {
        throw new AssertionError(what + " after " + PATIENCE.toSeconds() + " s");
      }
      Thread.sleep(20);
    }
  }

  /** The nodes' admin port: a line of JSON each way. */
  String ask(String command) throws Exception {
    admin.getOutputStream().write((command + "\n").getBytes("UTF-8"));
    String answer = answers.readLine();
    if (answer.contains("\"error\"")) {
      throw new AssertionError(command + ": " + answer);
    }
    return answer;
  }

  /** A counter of one node, or of all where it is -1; all shards together. */
  int count(String counter, int node) throws Exception {
    // Each node's object begins with its address, and JSON needs a library.
    String[] nodes = ask("{\"cmd\":\"counters\"}").split("\"address\"");
    int sum = 0;
    for (int index = 1; index < nodes.length; index++) {
      Matcher matcher = Pattern.compile("\"" + counter + "\":(\\d+)").matcher(nodes[index]);
      while ((node == -1 || node == index - 1) && matcher.find()) {
        sum += Integer.parseInt(matcher.group(1));
      }
    }
    return sum;
  }

  ResultSet run(String statement, Object... values) {
    return session.execute(SimpleStatement.newInstance(statement, values));
  }

  void connect() throws Exception {
    DriverConfigLoader configuration =
        DriverConfigLoader.programmaticBuilder()
            .withString(DefaultDriverOption.REQUEST_CONSISTENCY, "LOCAL_QUORUM")
            // The first requests of a cold JVM may take longer than the client's 2 s.
            .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, PATIENCE)
            // Each change of the schema waits for others that may follow, by default for 1 s.
            .withDuration(DefaultDriverOption.METADATA_SCHEMA_WINDOW, Duration.ofMillis(10))
            .build();
    session =
        CqlSession.builder()
            .addContactPoint(contact)
            .withLocalDatacenter("datacenter1")
            .withConfigLoader(configuration)
            .build();
    same("nodes", session.getMetadata().getNodes().size(), 3);
    run("CREATE KEYSPACE java WITH replication = "
        + "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}");
    run("USE java");
  }

  void schema() {
    run("CREATE KEYSPACE java_single WITH replication = "
        + "{'class': 'SimpleStrategy', 'replication_factor': 1} AND durable_writes = false");
    run("CREATE TABLE events (day int, at int, name text, shared text static, "
        + "PRIMARY KEY (day, at)) WITH CLUSTERING ORDER BY (at DESC) AND comment = 'it''s'");
    run("ALTER TABLE events ADD extra blob");
    run("CREATE INDEX by_name ON events (name)");
    var keyspaces = session.refreshSchema().getKeyspaces();
    var table = keyspaces.get(id("java")).getTable("events").get();
    same("partition key", table.getPartitionKey().get(0).getName(), id("day"));
    same("order", table.getClusteringColumns().values().toString(), "[DESC]");
    same("extra", table.getColumn("extra").get().getType().asCql(false, false), "blob");
    same("static", table.getColumn("shared").get().isStatic(), true);
    same("comment", table.getOptions().get(id("comment")), "it's");
    same("index", table.getIndex("by_name").isPresent(), true);
    same("durable", keyspaces.get(id("java_single")).isDurableWrites(), false);
    if (!table.describe(true).contains("CLUSTERING ORDER BY (at DESC)")) {
      throw new AssertionError(table.describe(true));
    }
    run("DROP INDEX by_name");
    run("DROP TABLE events");
  }

  static CqlIdentifier id(String name) {
    return CqlIdentifier.fromInternal(name);
  }

  /** A column of each type: written and read by prepared statements, and read by a plain one. */
  void roundTrip(String table, Map<String, Object> values) {
    StringBuilder columns = new StringBuilder(), names = new StringBuilder("id");
    StringBuilder marks = new StringBuilder("0");
    List<Object> bound = new ArrayList<>(values.values());
    int index = 0;
    for (String type : values.keySet()) {
      columns.append(", v").append(index).append(' ').append(type);
      names.append(", v").append(index++);
      marks.append(", ?");
    }
    run("CREATE TABLE " + table + " (id int PRIMARY KEY" + columns + ")");
    String insert = "INSERT INTO " + table + " (" + names + ") VALUES (" + marks + ")";
    session.execute(session.prepare(insert).bind(bound.toArray()));
    String select = "SELECT " + names + " FROM " + table + " WHERE id = 0";
    for (Row row :
        List.of(run(select).one(), session.execute(session.prepare(select).bind()).one())) {
      index = 0;
      for (Map.Entry<String, Object> value : values.entrySet()) {
        same(value.getKey(), row.getObject(++index), value.getValue());
      }
    }
  }

  void scalars() throws Exception {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("ascii", "plain");
    values.put("bigint", Long.MIN_VALUE);
    values.put("blob", ByteBuffer.wrap(new byte[] {0, -1}));
    values.put("boolean", true);
    values.put("date", LocalDate.of(1969, 7, 20));
    values.put("decimal", new BigDecimal("-12.340"));
    values.put("double", 0.1);
    values.put("duration", CqlDuration.newInstance(-14, -3, -5));
    values.put("float", 0.5f);
    values.put("inet", InetAddress.getByName("2001:db8::1"));
    values.put("int", Integer.MIN_VALUE);
    values.put("smallint", Short.MIN_VALUE);
    values.put("text", "žluť 🐎");
    values.put("time", LocalTime.MAX);
    values.put("timestamp", Instant.parse("2026-11-27T08:30:01.250Z"));
    values.put("timeuuid", Uuids.timeBased());
    values.put("tinyint", Byte.MIN_VALUE);
    values.put("uuid", Uuids.random());
    values.put("varchar", "");
    values.put("varint", BigInteger.TWO.pow(100).negate());
    roundTrip("scalars", values);
    Row row = run("SELECT writetime(v0) AS w, CAST(v10 AS text) AS c FROM scalars").one();
    same("CAST", row.getString("c"), "-2147483648");
    same("writetime", row.getLong("w") > 1_600_000_000_000_000L, true);
    run("UPDATE scalars SET v9 = '127.0.0.1' WHERE id = 0");
    same("inet", run("SELECT v9 FROM scalars").one().getInetAddress(0),
        InetAddress.getByName("127.0.0.1"));
  }

  void collections() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("list<int>", List.of(3, 1, 3));
    values.put("set<text>", Set.of("a", "b"));
    values.put("map<text, bigint>", Map.of("a", 1L, "b", -1L));
    values.put("frozen<list<frozen<set<int>>>>", List.of(Set.of(1, 2), Set.of(3)));
    values.put("list<frozen<map<int, text>>>", List.of(Map.of(1, "x"), Map.of()));
    values.put("map<int, frozen<list<double>>>", Map.of(7, List.of(1.5), 8, List.of()));
    values.put("set<frozen<list<text>>>", Set.of(List.of(), List.of("a", "b")));
    roundTrip("collections", values);
    session.execute(
        session
            .prepare("UPDATE collections SET v0 = v0 + ?, v1 = v1 - ?, v2['c'] = ? WHERE id = 0")
            .bind(List.of(4), Set.of("a"), 5L));
    run("DELETE v0[0], v2['a'] FROM collections WHERE id = 0");
    Row row = run("SELECT v0, v1, v2 FROM collections WHERE id = 0").one();
    same("list", row.getObject(0), List.of(1, 3, 4));
    same("set", row.getObject(1), Set.of("b"));
    same("map", row.getObject(2), Map.of("b", -1L, "c", 5L));
  }

  void tuples() {
    run("CREATE TABLE tuples (id int PRIMARY KEY, a tuple<int, text, boolean>, "
        + "b frozen<tuple<tuple<int, int>, list<text>>>, c list<frozen<tuple<uuid, double>>>)");
    PreparedStatement insert =
        session.prepare("INSERT INTO tuples (id, a, b, c) VALUES (1, ?, ?, ?)");
    var types = insert.getVariableDefinitions();
    TupleValue a = ((TupleType) types.get(0).getType()).newValue(1, "x", null);
    TupleType outer = (TupleType) types.get(1).getType();
    TupleType inner = (TupleType) outer.getComponentTypes().get(0);
    TupleValue b = outer.newValue(inner.newValue(1, 2), List.of("a"));
    var element = ((com.datastax.oss.driver.api.core.type.ListType) types.get(2).getType());
    TupleValue c = ((TupleType) element.getElementType()).newValue(new UUID(1, 2), 1.5);
    session.execute(insert.bind(a, b, List.of(c)));
    Row row = run("SELECT a, b, c FROM tuples").one();
    same("a", row.getTupleValue(0), a);
    same("b", row.getTupleValue(1), b);
    same("c", row.getList(2, TupleValue.class), List.of(c));
  }

  void udts() {
    run("CREATE TYPE street (name text, number int)");
    run("CREATE TYPE address (street frozen<street>, tags set<text>, at tuple<double, double>)");
    run("CREATE TABLE people (id int PRIMARY KEY, home address, "
        + "others map<text, frozen<address>>)");
    PreparedStatement insert =
        session.prepare("INSERT INTO people (id, home, others) VALUES (1, ?, ?)");
    UserDefinedType type = (UserDefinedType) insert.getVariableDefinitions().get(0).getType();
    UserDefinedType streetType = (UserDefinedType) type.getFieldTypes().get(0);
    TupleType pair = (TupleType) type.getFieldTypes().get(2);
    UdtValue street = streetType.newValue("Main", 5);
    UdtValue home = type.newValue(street, Set.of("a", "b"), pair.newValue(1.0, 2.0));
    UdtValue work = type.newValue().setSet("tags", Set.of("c"), String.class);
    session.execute(insert.bind(home, Map.of("work", work)));
    Row row = run("SELECT home, others FROM people").one();
    UdtValue got = row.getUdtValue(0);
    same("street", got.getUdtValue("street").getFormattedContents(), street.getFormattedContents());
    same("tags", got.getSet("tags", String.class), Set.of("a", "b"));
    same("at", got.getTupleValue("at").getDouble(1), 2.0);
    UdtValue other = row.getMap(1, String.class, UdtValue.class).get("work");
    same("others", other.getUdtValue("street"), null);
    run("UPDATE people SET home.tags = {'d'} WHERE id = 1");
    run("ALTER TYPE address ADD zip text");
    row = run("SELECT home.tags FROM people WHERE id = 1").one();
    same("tags", row.getSet(0, String.class), Set.of("d"));
    var types = session.refreshSchema().getKeyspace("java").get().getUserDefinedTypes();
    same("fields", types.get(id("address")).getFieldNames().size(), 4);
  }

  void vectors() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("vector<float, 3>", CqlVector.newInstance(0.5f, -1f, 2f));
    values.put("vector<text, 2>", CqlVector.newInstance("", "long"));
    values.put("list<frozen<vector<int, 2>>>",
        List.of(CqlVector.newInstance(1, 2), CqlVector.newInstance(3, 4)));
    roundTrip("vectors", values);
  }

  void pages() throws Exception {
    run("CREATE TABLE pages (pk int, ck int, v text, PRIMARY KEY (pk, ck))");
    PreparedStatement insert = session.prepare("INSERT INTO pages (pk, ck, v) VALUES (?, ?, ?)");
    for (int index = 0; index < 1000; index++) {
      session.execute(insert.bind(index % 7, index, "v".repeat(index % 50)));
    }
    Statement<?> plain = SimpleStatement.newInstance("SELECT ck, v FROM pages").setPageSize(37);
    Statement<?> bound = session.prepare("SELECT ck, v FROM pages").bind().setPageSize(37);
    for (Statement<?> statement : List.of(plain, bound)) {
      TreeSet<Integer> numbers = new TreeSet<>();
      int pages = 0;
      ByteBuffer state = null;
      do {
        // From what a program would keep, in a request of its own.
        AsyncResultSet page =
            session.executeAsync(statement.setPagingState(state)).toCompletableFuture().get();
        for (Row row : page.currentPage()) {
          same("v", row.getString(1).length(), row.getInt(0) % 50);
          numbers.add(row.getInt(0));
        }
        state = page.getExecutionInfo().getPagingState();
        pages++;
      } while (state != null);
      same("rows", List.of(numbers.size(), numbers.first(), numbers.last()), List.of(1000, 0, 999));
      same("pages", pages == 28 || pages == 29, true);
      // And as the client does it by itself.
      same("rows", session.execute(statement).all().size(), 1000);
    }
  }

  void batches() {
    run("CREATE TABLE batches (pk int, ck int, v int, PRIMARY KEY (pk, ck))");
    PreparedStatement insert = session.prepare("INSERT INTO batches (pk, ck, v) VALUES (?, ?, ?)");
    int pk = 0;
    for (BatchType type : List.of(DefaultBatchType.LOGGED, DefaultBatchType.UNLOGGED)) {
      var batch = BatchStatement.builder(type);
      for (int ck = 0; ck < 10; ck++) {
        batch.addStatement(insert.bind(pk, ck, ck));
      }
      batch.addStatement(SimpleStatement.newInstance(
          "INSERT INTO batches (pk, ck, v) VALUES (?, 10, 10)", pk));
      batch.addStatement(SimpleStatement.newInstance(
          "DELETE FROM batches WHERE pk = " + pk + " AND ck = 0"));
      session.execute(batch.build());
      Row row = run("SELECT count(*), sum(v) FROM batches WHERE pk = ?", pk++).one();
      same("rows", List.of(row.getLong(0), row.getInt(1)), List.of(10L, 55));
    }
  }

  void counters() {
    run("CREATE TABLE counts (id int PRIMARY KEY, n counter)");
    PreparedStatement add = session.prepare("UPDATE counts SET n = n + ? WHERE id = ?");
    for (int times = 0; times < 2; times++) {
      var batch = BatchStatement.builder(DefaultBatchType.COUNTER);
      for (int id = 0; id < 3; id++) {
        batch.addStatement(add.bind(id + 1L, id));
      }
      session.execute(batch.build());
    }
    run("UPDATE counts SET n = n - 10 WHERE id = 2");
    Map<Integer, Long> got = new LinkedHashMap<>();
    run("SELECT id, n FROM counts").forEach(row -> got.put(row.getInt(0), row.getLong(1)));
    same("counters", got, Map.of(0, 2L, 1, 4L, 2, -4L));
  }

  void conditions() {
    run("CREATE TABLE once (pk int, ck int, v int, PRIMARY KEY (pk, ck))");
    PreparedStatement insert =
        session.prepare("INSERT INTO once (pk, ck, v) VALUES (?, ?, ?) IF NOT EXISTS");
    same("insert", session.execute(insert.bind(1, 1, 5)).wasApplied(), true);
    ResultSet again = session.execute(insert.bind(1, 1, 6));
    same("again", again.wasApplied(), false);
    same("v", again.one().getInt("v"), 5);
    String update = "UPDATE once SET v = 7 WHERE pk = 1 AND ck = 1 IF v = ?";
    same("v", run(update, 4).one().getInt("v"), 5);
    same("update", run(update, 5).wasApplied(), true);
    String delete = "DELETE FROM once WHERE pk = 2 AND ck = 1 IF EXISTS";
    same("delete", run(delete).wasApplied(), false);
    same("v", run("SELECT v FROM once WHERE pk = 1 AND ck = 1").one().getInt(0), 7);
  }

  void conditionalBatches() {
    run("CREATE TABLE together (pk int, ck int, v int, PRIMARY KEY (pk, ck))");
    PreparedStatement insert =
        session.prepare("INSERT INTO together (pk, ck, v) VALUES (?, ?, ?) IF NOT EXISTS");
    for (int times = 0; times < 2; times++) {
      var batch = BatchStatement.builder(DefaultBatchType.LOGGED);
      batch.addStatement(insert.bind(1, 1, 5));
      batch.addStatement(SimpleStatement.newInstance(
          "UPDATE together SET v = 8 WHERE pk = 1 AND ck = 2"));
      same("applied", session.execute(batch.build()).wasApplied(), times == 0);
    }
    Row row = run("SELECT count(*), sum(v) FROM together").one();
    same("rows", List.of(row.getLong(0), row.getInt(1)), List.of(2L, 13));
  }

  void prepared() {
    run("CREATE TABLE prepared (a int, b text, c int, d list<int>, PRIMARY KEY ((a, b), c))");
    PreparedStatement positions =
        session.prepare("INSERT INTO prepared (a, b, c, d) VALUES (?, ?, ?, ?)");
    same("key", positions.getPartitionKeyIndices(), List.of(0, 1));
    session.execute(positions.bind(1, "x", 2, List.of(3)));
    BoundStatement names =
        session
            .prepare("INSERT INTO prepared (c, d, b, a) VALUES (:c, :d, :b, :a)")
            .boundStatementBuilder()
            .setInt("a", 1)
            .setString("b", "x")
            .setInt("c", 3)
            .setList("d", List.of(4), Integer.class)
            .build();
    session.execute(names);
    PreparedStatement select = session.prepare(
        "SELECT c, d FROM prepared WHERE a = :a AND b = :b AND c IN :cs LIMIT :n");
    List<Integer> got = new ArrayList<>();
    session.execute(select.bind(1, "x", List.of(2, 3), 5)).forEach(row -> got.add(row.getInt(0)));
    same("rows", got, List.of(2, 3));
    // A changed table: the client's columns are out of date, or the node has to say so.
    PreparedStatement all = session.prepare("SELECT * FROM prepared WHERE a = 1 AND b = 'x'");
    same("columns", session.execute(all.bind()).getColumnDefinitions().size(), 4);
    run("ALTER TABLE prepared ADD e text");
    run("UPDATE prepared SET e = 'new' WHERE a = 1 AND b = 'x' AND c = 2");
    same("d", session.execute(all.bind()).one().getList("d", Integer.class), List.of(3));
    if (session.getContext().getProtocolVersion().getCode() >= 5) {
      same("e", session.execute(all.bind()).one().getString("e"), "new");
    }
    Map<String, Object> values = Map.of("a", 1, "b", "x", "c", 2);
    String named = "SELECT c FROM prepared WHERE a = :a AND b = :b AND c > :c";
    same("c", session.execute(SimpleStatement.newInstance(named, values)).one().getInt(0), 3);
  }

  void nulls() {
    run("CREATE TABLE nulls (id int PRIMARY KEY, a int, b text, c set<int>)");
    PreparedStatement insert =
        session.prepare("INSERT INTO nulls (id, a, b, c) VALUES (?, ?, ?, ?)");
    session.execute(insert.bind(1, 1, "b", Set.of(1)));
    // What is not bound is unset.
    session.execute(insert.bind(1, null));
    Row row = run("SELECT a, b, c FROM nulls").one();
    same("a", row.isNull(0), true);
    same("b", row.getString(1), "b");
    same("c", row.getSet(2, Integer.class), Set.of(1));
    session.execute(insert.bind(1, 2, null, Set.of()));
    row = run("SELECT a, b, c FROM nulls").one();
    same("a", row.getInt(0), 2);
    same("b", row.getString(1), null);
    same("c", row.isNull(2), true);
  }

  void routing() throws Exception {
    run("CREATE TABLE java_single.routed (pk text, ck int, v int, PRIMARY KEY (pk, ck))");
    PreparedStatement insert =
        session.prepare("INSERT INTO java_single.routed (pk, ck, v) VALUES (?, ?, ?)");
    // The client computes its map of tokens beside its requests.
    awaitThat("the client does not know the replicas", () -> {
      var map = session.getMetadata().getTokenMap();
      return map.isPresent()
          && !map.get().getReplicas(id("java_single"), ByteBuffer.wrap(new byte[1])).isEmpty();
    });
    ask("{\"cmd\":\"reset\"}");
    for (int key = 0; key < 300; key++) {
      session.execute(insert.bind("key " + key, key, key));
    }
    same("sent to a replica", count("right", -1) + count("wrong_shard", -1), 300);
    same("sent elsewhere", count("wrong_node", -1) + count("unrouted", -1), 0);
  }

  void restart() throws Exception {
    run("CREATE TABLE restart (id int PRIMARY KEY, v int)");
    PreparedStatement insert = session.prepare("INSERT INTO restart (id, v) VALUES (?, ?)");
    PreparedStatement select = session.prepare("SELECT v FROM restart WHERE id = ?");
    Case work = () -> {
      for (int id = 0; id < 100; id++) {
        session.execute(insert.bind(id, id).setIdempotent(true));
        same("v", session.execute(select.bind(id).setIdempotent(true)).one().getInt(0), id);
      }
    };
    work.run();
    // The contact point is one of them.
    for (int node : new int[] {1, 0}) {
      ask("{\"cmd\":\"stop_node\",\"node\":" + node + "}");
      work.run();
      ask("{\"cmd\":\"start_node\",\"node\":" + node + "}");
      ask("{\"cmd\":\"reset\"}");
      awaitThat("node " + node + " gets nothing", () -> {
        work.run();
        return count("right", node) + count("wrong_shard", node) > 0;
      });
    }
    run("CREATE TABLE afterwards (id int PRIMARY KEY)");
  }

  public static void main(String[] arguments) throws Exception {
    PrintStream out = new PrintStream(System.out, true, "UTF-8");
    Cases cases = new Cases(arguments[0], arguments[2]);
    Map<String, Case> all = new LinkedHashMap<>();
    all.put("connect", cases::connect);
    all.put("schema", cases::schema);
    all.put("scalars", cases::scalars);
    all.put("collections", cases::collections);
    all.put("tuples", cases::tuples);
    all.put("udts", cases::udts);
    all.put("vectors", cases::vectors);
    all.put("pages", cases::pages);
    all.put("batches", cases::batches);
    all.put("counters", cases::counters);
    all.put("conditions", cases::conditions);
    all.put("conditional_batches", cases::conditionalBatches);
    all.put("prepared", cases::prepared);
    all.put("nulls", cases::nulls);
    all.put("routing", cases::routing);
    all.put("restart", cases::restart);
    int code = 0;
    for (Map.Entry<String, Case> each : all.entrySet()) {
      try {
        each.getValue().run();
        out.println("passed " + each.getKey());
      } catch (Throwable error) {
        out.println("failed " + each.getKey() + ": " + error.toString().replaceAll("\\s+", " "));
        code = 1;
      }
    }
    // Its threads would go on.
    System.exit(code);
  }
}
