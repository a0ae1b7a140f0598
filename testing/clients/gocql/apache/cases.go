// The cases of both gocql, whose names are in `driver.go`. Arguments: contact point, persona, admin
// port. `../../src/cases.rs` says what is printed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"gopkg.in/inf.v0"
)

// Time for what the client does by itself: connections, what it learns of a node.
const patience = 30 * time.Second

type cases struct {
	contact, persona string
	admin            *admin
	session          *Session
	// 0: the client chooses.
	version int
}

// What fails ends the case, from any depth.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same(what string, got, expect any) {
	if !reflect.DeepEqual(got, expect) && !sameText(got, expect) {
		panic(fmt.Errorf("%s: expected %#v, got %#v", what, expect, got))
	}
}

// Numbers of any size have several forms in memory.
func sameText(got, expect any) bool {
	left, isText := got.(fmt.Stringer)
	right, areTexts := expect.(fmt.Stringer)
	return isText && areTexts && left.String() == right.String()
}

// Asks again until it holds. The pause only spares the processor.
func awaitThat(what string, condition func() bool) {
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			panic(fmt.Errorf("%s after %v", what, patience))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// The nodes' admin port: a line of JSON each way.
type admin struct {
	connection net.Conn
	lines      *bufio.Reader
}

type shard struct {
	Right       int `json:"right"`
	WrongShard  int `json:"wrong_shard"`
	WrongNode   int `json:"wrong_node"`
	Unrouted    int `json:"unrouted"`
	Connections int `json:"connections"`
}

type answer struct {
	Error string `json:"error"`
	Nodes []struct {
		Shards []shard `json:"shards"`
	} `json:"nodes"`
}

func (a *admin) ask(format string, values ...any) answer {
	_, err := fmt.Fprintf(a.connection, format+"\n", values...)
	must(err)
	line, err := a.lines.ReadBytes('\n')
	must(err)
	var got answer
	must(json.Unmarshal(line, &got))
	if got.Error != "" {
		panic(errors.New(got.Error))
	}
	return got
}

// The counters of one node, or of all where it is -1.
func (a *admin) sum(node int) (sum shard) {
	for index, each := range a.ask(`{"cmd":"counters"}`).Nodes {
		for _, shard := range each.Shards {
			if node == -1 || node == index {
				sum.Right += shard.Right
				sum.WrongShard += shard.WrongShard
				sum.WrongNode += shard.WrongNode
				sum.Unrouted += shard.Unrouted
			}
		}
	}
	return sum
}

// Goes on to another node when a connection is lost; what a node refuses is to be seen.
type onlyConnections struct{}

func (onlyConnections) Attempt(query RetryableQuery) bool { return query.Attempts() <= 3 }

func (onlyConnections) GetRetryType(err error) RetryType {
	var refused RequestError
	if errors.As(err, &refused) {
		return Rethrow
	}
	return RetryNextHost
}

func (c *cases) run(statement string, values ...any) {
	if err := c.session.Query(statement, values...).Exec(); err != nil {
		panic(fmt.Errorf("%s: %w", statement, err))
	}
}

// Reads one row.
func (c *cases) read(dest []any, statement string, values ...any) {
	if err := c.session.Query(statement, values...).Scan(dest...); err != nil {
		panic(fmt.Errorf("%s: %w", statement, err))
	}
}

func (c *cases) connect() {
	// Without a keyspace first: sessions have one from the beginning.
	session := c.open("")
	create := "CREATE KEYSPACE gocql WITH replication = " +
		"{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}"
	must(session.Query(create).Exec())
	session.Close()
	c.session = c.open("gocql")
	same("nodes", len(c.session.GetHosts()), 3)
}

func (c *cases) open(keyspace string) *Session {
	host, port, err := net.SplitHostPort(c.contact)
	must(err)
	cluster := NewCluster(host)
	// Of all nodes: ScyllaDB's tables name no port.
	cluster.Port, err = strconv.Atoi(port)
	must(err)
	cluster.ProtoVersion = c.version
	cluster.Keyspace = keyspace
	cluster.Consistency = LocalQuorum
	cluster.PoolConfig.HostSelectionPolicy = TokenAwareHostPolicy(RoundRobinHostPolicy())
	cluster.RetryPolicy = onlyConnections{}
	session, err := cluster.CreateSession()
	must(err)
	return session
}

func (c *cases) schema() {
	c.run("CREATE KEYSPACE gocql_single WITH replication = " +
		"{'class': 'SimpleStrategy', 'replication_factor': 1} AND durable_writes = false")
	c.run("CREATE TABLE events (day int, at int, name text, shared text static, " +
		"PRIMARY KEY (day, at)) WITH CLUSTERING ORDER BY (at DESC) AND comment = 'it''s'")
	c.run("ALTER TABLE events ADD extra blob")
	c.run("CREATE INDEX by_name ON events (name)")
	awaitThat("the client does not know the table", func() bool {
		table := tableMetadata(c.session, "gocql", "events")
		return table != nil && table.Columns["extra"] != nil &&
			len(table.PartitionKey) == 1 && table.PartitionKey[0].Name == "day" &&
			len(table.ClusteringColumns) == 1 && table.ClusteringColumns[0].Name == "at"
	})
	keyspace, err := c.session.KeyspaceMetadata("gocql_single")
	must(err)
	same("durable_writes", keyspace.DurableWrites, false)
	c.run("DROP INDEX by_name")
	c.run("DROP TABLE events")
}

// A column: its type and a value.
type column struct {
	typ   string
	value any
}

// A column of each type: written and read by prepared statements, and read by a plain one.
func (c *cases) roundTrip(table string, columns []column) {
	var definitions, names, marks, values = "", []string{}, "", []any{}
	for index, column := range columns {
		name := fmt.Sprintf("v%d", index)
		definitions += fmt.Sprintf(", %s %s", name, column.typ)
		names, marks, values = append(names, name), marks+", ?", append(values, column.value)
	}
	c.run(fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY%s)", table, definitions))
	all := strings.Join(names, ", ")
	c.run(fmt.Sprintf("INSERT INTO %s (id, %s) VALUES (0%s)", table, all, marks), values...)
	for _, with := range [][]any{nil, {0}} {
		where := map[int]string{0: "0", 1: "?"}[len(with)]
		dest := []any{}
		for _, column := range columns {
			dest = append(dest, reflect.New(reflect.TypeOf(column.value)).Interface())
		}
		c.read(dest, fmt.Sprintf("SELECT %s FROM %s WHERE id = %s", all, table, where), with...)
		for index, column := range columns {
			got := reflect.ValueOf(dest[index]).Elem().Interface()
			same(column.typ, got, column.value)
		}
	}
}

func (c *cases) scalars() {
	huge, _ := new(big.Int).SetString("-1267650600228229401496703205376", 10)
	c.roundTrip("scalars", []column{
		{"ascii", "plain"}, {"bigint", int64(-1 << 63)}, {"blob", []byte{0, 255}},
		{"boolean", true}, {"date", time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC)},
		{"decimal", inf.NewDec(-12340, 3)}, {"double", 0.1},
		{"duration", Duration{Months: -14, Days: -3, Nanoseconds: -5}},
		{"float", float32(0.5)}, {"inet", net.ParseIP("2001:db8::1")},
		{"inet", net.IPv4(127, 0, 0, 1).To4()}, {"int", int32(-1 << 31)},
		{"smallint", int16(-1 << 15)}, {"text", "žluť 🐎"}, {"time", 24*time.Hour - 1},
		{"timestamp", time.Date(2026, 11, 27, 8, 30, 1, 250_000_000, time.UTC)},
		{"timeuuid", TimeUUID()}, {"tinyint", int8(-128)}, {"uuid", MustRandomUUID()},
		{"varchar", ""}, {"varint", huge},
	})
	var written int64
	var text string
	c.read([]any{&written, &text}, "SELECT writetime(v0), CAST(v11 AS text) FROM scalars")
	same("CAST", text, "-2147483648")
	if written < 1_600_000_000_000_000 {
		panic(fmt.Errorf("written at %d", written))
	}
}

func (c *cases) collections() {
	c.roundTrip("collections", []column{
		{"list<int>", []int{3, 1, 3}}, {"set<text>", []string{"a", "b"}},
		{"map<text, bigint>", map[string]int64{"a": 1, "b": -1}},
		{"frozen<list<frozen<set<int>>>>", [][]int{{1, 2}, {3}}},
		{"list<frozen<map<int, text>>>", []map[int]string{{1: "x"}, {}}},
		{"map<int, frozen<list<double>>>", map[int][]float64{7: {1.5}, 8: {}}},
		{"set<frozen<list<text>>>", [][]string{{}, {"a", "b"}}},
	})
	c.run("UPDATE collections SET v0 = v0 + ?, v1 = v1 - ?, v2['c'] = ? WHERE id = 0",
		[]int{4}, []string{"a"}, 5)
	c.run("DELETE v0[0], v2['a'] FROM collections WHERE id = 0")
	var list []int
	var set []string
	var pairs map[string]int64
	c.read([]any{&list, &set, &pairs}, "SELECT v0, v1, v2 FROM collections WHERE id = 0")
	same("list", list, []int{1, 3, 4})
	same("set", set, []string{"b"})
	same("map", pairs, map[string]int64{"b": -1, "c": 5})
}

func (c *cases) tuples() {
	type pair struct {
		A int
		B float64
	}
	type deep struct {
		C []int
		D int
	}
	c.run("CREATE TABLE tuples (id int PRIMARY KEY, a tuple<int, text, boolean>, " +
		"b list<frozen<tuple<int, double>>>, c map<int, frozen<tuple<list<int>, int>>>)")
	c.run("INSERT INTO tuples (id, a, b, c) VALUES (1, (?, ?, ?), ?, ?)", 1, "x", nil,
		[]pair{{1, 0.5}, {2, 1.5}}, map[int]deep{7: {[]int{3}, 4}})
	// A column that is a tuple is scanned element by element.
	var number int
	var text string
	var missing *bool
	var list []pair
	var nested map[int]deep
	c.read([]any{&number, &text, &missing, &list, &nested},
		"SELECT a, b, c FROM tuples WHERE id = ?", 1)
	same("a", []any{number, text, missing}, []any{1, "x", (*bool)(nil)})
	same("b", list, []pair{{1, 0.5}, {2, 1.5}})
	same("c", nested, map[int]deep{7: {[]int{3}, 4}})
}

type street struct {
	Name   string `cql:"name"`
	Number int    `cql:"number"`
}

type address struct {
	Street *street  `cql:"street"`
	Tags   []string `cql:"tags"`
}

func (c *cases) udts() {
	c.run("CREATE TYPE street (name text, number int)")
	c.run("CREATE TYPE address (street frozen<street>, tags set<text>)")
	c.run("CREATE TABLE people (id int PRIMARY KEY, home address, " +
		"others map<text, frozen<address>>)")
	home := address{&street{"Main", 5}, []string{"a", "b"}}
	others := map[string]address{"work": {nil, []string{"c"}}}
	c.run("INSERT INTO people (id, home, others) VALUES (?, ?, ?)", 1, home, others)
	var gotHome address
	var gotOthers map[string]address
	c.read([]any{&gotHome, &gotOthers}, "SELECT home, others FROM people WHERE id = ?", 1)
	same("home", *gotHome.Street, *home.Street)
	same("home.tags", gotHome.Tags, home.Tags)
	same("others", gotOthers["work"].Tags, []string{"c"})
	c.run("UPDATE people SET home.tags = ? WHERE id = 1", []string{"d"})
	c.run("ALTER TYPE address ADD zip text")
	var tags []string
	c.read([]any{&tags}, "SELECT home.tags FROM people WHERE id = 1")
	same("home.tags", tags, []string{"d"})
}

func (c *cases) vectors() {
	c.roundTrip("vectors", []column{
		{"vector<float, 3>", []float32{0.5, -1, 2}},
		{"vector<text, 2>", []string{"", "long"}},
		{"list<frozen<vector<int, 2>>>", [][]int{{1, 2}, {3, 4}}},
	})
}

func (c *cases) pages() {
	c.run("CREATE TABLE pages (pk int, ck int, v text, PRIMARY KEY (pk, ck))")
	for index := range 1000 {
		c.run("INSERT INTO pages (pk, ck, v) VALUES (?, ?, ?)",
			index%7, index, strings.Repeat("v", index%50))
	}
	for _, with := range [][]any{nil, {-1}} {
		statement := "SELECT ck, v FROM pages"
		if with != nil {
			statement += " WHERE ck > ? ALLOW FILTERING"
		}
		var state []byte
		var numbers []int
		pages := 0
		for {
			// From what a program would keep, in a request of its own.
			iter := c.session.Query(statement, with...).PageSize(37).PageState(state).Iter()
			state = append([]byte(nil), iter.PageState()...)
			var number int
			var text string
			for range iter.NumRows() {
				if !iter.Scan(&number, &text) {
					break
				}
				same("v", len(text), number%50)
				numbers = append(numbers, number)
			}
			must(iter.Close())
			pages++
			if len(state) == 0 {
				break
			}
		}
		sort.Ints(numbers)
		same("rows", len(numbers), 1000)
		for index, number := range numbers {
			same("ck", number, index)
		}
		if pages < 28 || pages > 29 {
			panic(fmt.Errorf("%d pages", pages))
		}
	}
	// And as the client does it by itself.
	count := 0
	iter := c.session.Query("SELECT ck FROM pages").PageSize(37).Iter()
	for number := 0; iter.Scan(&number); count++ {
	}
	must(iter.Close())
	same("rows", count, 1000)
}

func (c *cases) batches() {
	c.run("CREATE TABLE batches (pk int, ck int, v int, PRIMARY KEY (pk, ck))")
	for pk, batch := range []any{LoggedBatch, UnloggedBatch} {
		kind := LoggedBatch
		if batch == any(UnloggedBatch) {
			kind = UnloggedBatch
		}
		batch := c.session.Batch(kind)
		for ck := range 10 {
			batch.Query("INSERT INTO batches (pk, ck, v) VALUES (?, ?, ?)", pk, ck, ck)
		}
		batch.Query(fmt.Sprintf("INSERT INTO batches (pk, ck, v) VALUES (%d, 10, 10)", pk))
		batch.Query("DELETE FROM batches WHERE pk = ? AND ck = 0", pk)
		must(c.session.ExecuteBatch(batch))
		var count, sum int
		c.read([]any{&count, &sum}, "SELECT count(*), sum(v) FROM batches WHERE pk = ?", pk)
		same("rows", []int{count, sum}, []int{10, 55})
	}
}

func (c *cases) counters() {
	c.run("CREATE TABLE counts (id int PRIMARY KEY, n counter)")
	for range 2 {
		batch := c.session.Batch(CounterBatch)
		for id := range 3 {
			batch.Query("UPDATE counts SET n = n + ? WHERE id = ?", int64(id+1), id)
		}
		must(c.session.ExecuteBatch(batch))
	}
	c.run("UPDATE counts SET n = n - 10 WHERE id = 2")
	got := map[int]int64{}
	iter := c.session.Query("SELECT id, n FROM counts").Iter()
	var id int
	var n int64
	for iter.Scan(&id, &n) {
		got[id] = n
	}
	must(iter.Close())
	same("counters", got, map[int]int64{0: 2, 1: 4, 2: -4})
}

func (c *cases) conditions() {
	c.run("CREATE TABLE once (pk int, ck int, v int, PRIMARY KEY (pk, ck))")
	insert := "INSERT INTO once (pk, ck, v) VALUES (?, ?, ?) IF NOT EXISTS"
	cas := func(expect bool, statement string, values ...any) map[string]any {
		row := map[string]any{}
		applied, err := c.session.Query(statement, values...).MapScanCAS(row)
		must(err)
		same(statement, applied, expect)
		return row
	}
	cas(true, insert, 1, 1, 5)
	same("v", cas(false, insert, 1, 1, 6)["v"], 5)
	update := "UPDATE once SET v = 7 WHERE pk = 1 AND ck = 1 IF v = ?"
	same("v", cas(false, update, 4)["v"], 5)
	cas(true, update, 5)
	cas(false, "DELETE FROM once WHERE pk = 2 AND ck = 1 IF EXISTS")
	var v int
	c.read([]any{&v}, "SELECT v FROM once WHERE pk = 1 AND ck = 1")
	same("v", v, 7)
}

func (c *cases) conditionalBatches() {
	c.run("CREATE TABLE together (pk int, ck int, v int, PRIMARY KEY (pk, ck))")
	for times := range 2 {
		batch := c.session.Batch(LoggedBatch)
		batch.Query("INSERT INTO together (pk, ck, v) VALUES (?, ?, ?) IF NOT EXISTS", 1, 1, 5)
		batch.Query("UPDATE together SET v = 8 WHERE pk = 1 AND ck = 2")
		applied, iter, err := c.session.MapExecuteBatchCAS(batch, map[string]any{})
		must(err)
		must(iter.Close())
		same("applied", applied, times == 0)
	}
	var count, sum int
	c.read([]any{&count, &sum}, "SELECT count(*), sum(v) FROM together")
	same("rows", []int{count, sum}, []int{2, 13})
}

func (c *cases) prepared() {
	c.run("CREATE TABLE prepared (a int, b text, c int, d list<int>, PRIMARY KEY ((a, b), c))")
	c.run("INSERT INTO prepared (a, b, c, d) VALUES (?, ?, ?, ?)", 1, "x", 2, []int{3})
	c.run("INSERT INTO prepared (c, d, b, a) VALUES (:c, :d, :b, :a)", NamedValue("c", 3),
		NamedValue("d", []int{4}), NamedValue("b", "x"), NamedValue("a", 1))
	var count, sum int
	c.read([]any{&count, &sum},
		"SELECT count(*), sum(c) FROM prepared WHERE a = :a AND b = :b AND c IN :cs LIMIT :n",
		1, "x", []int{2, 3}, 5)
	same("rows", []int{count, sum}, []int{2, 5})
	// A changed table: the client's columns are out of date, or the node has to say so.
	all := "SELECT * FROM prepared WHERE a = ? AND b = ? AND c = ?"
	row := map[string]any{}
	must(c.session.Query(all, 1, "x", 2).MapScan(row))
	same("columns", len(row), 4)
	c.run("ALTER TABLE prepared ADD e text")
	c.run("UPDATE prepared SET e = 'new' WHERE a = 1 AND b = 'x' AND c = 2")
	row = map[string]any{}
	must(c.session.Query(all, 1, "x", 2).MapScan(row))
	same("d", row["d"], []int{3})
}

func (c *cases) nulls() {
	c.run("CREATE TABLE nulls (id int PRIMARY KEY, a int, b text, c set<int>)")
	insert := "INSERT INTO nulls (id, a, b, c) VALUES (?, ?, ?, ?)"
	read := func() []any {
		var a *int
		var b *string
		var set []int
		c.read([]any{&a, &b, &set}, "SELECT a, b, c FROM nulls WHERE id = ?", 1)
		got := []any{nil, nil, len(set)}
		if a != nil {
			got[0] = *a
		}
		if b != nil {
			got[1] = *b
		}
		return got
	}
	c.run(insert, 1, 1, "b", []int{1})
	c.run(insert, 1, nil, UnsetValue, UnsetValue)
	same("unset", read(), []any{nil, "b", 1})
	c.run(insert, 1, UnsetValue, nil, []int{})
	same("null", read(), []any{nil, nil, 0})
}

func (c *cases) routing() {
	c.run("CREATE TABLE gocql_single.routed (pk text, ck int, v int, PRIMARY KEY (pk, ck))")
	isSharded := knowsShards && c.persona == "scylla"
	if isSharded {
		awaitThat("not each shard has a connection", func() bool {
			for _, node := range c.admin.ask(`{"cmd":"counters"}`).Nodes {
				for _, shard := range node.Shards {
					if shard.Connections == 0 {
						return false
					}
				}
			}
			return holdsAllShards(c.session)
		})
	}
	insert := "INSERT INTO gocql_single.routed (pk, ck, v) VALUES (?, ?, ?)"
	// The first is prepared, and only then the client knows the key.
	c.run(insert, "first", 0, 0)
	c.admin.ask(`{"cmd":"reset"}`)
	for key := range 300 {
		c.run(insert, fmt.Sprintf("key %d", key), key, key)
	}
	sum := c.admin.sum(-1)
	same("sent to a replica", sum.Right+sum.WrongShard, 300)
	same("sent elsewhere", sum.WrongNode+sum.Unrouted, 0)
	if isSharded {
		same("sent to a wrong shard", sum.WrongShard, 0)
	}
}

func (c *cases) restart() {
	c.run("CREATE TABLE restart (id int PRIMARY KEY, v int)")
	work := func() {
		for id := range 100 {
			insert := c.session.Query("INSERT INTO restart (id, v) VALUES (?, ?)", id, id)
			must(insert.Idempotent(true).Exec())
			var v int
			query := c.session.Query("SELECT v FROM restart WHERE id = ?", id)
			must(query.Idempotent(true).Scan(&v))
			same("v", v, id)
		}
	}
	work()
	// The contact point is one of them.
	for _, node := range []int{1, 0} {
		c.admin.ask(`{"cmd":"stop_node","node":%d}`, node)
		work()
		c.admin.ask(`{"cmd":"start_node","node":%d}`, node)
		c.admin.ask(`{"cmd":"reset"}`)
		awaitThat(fmt.Sprintf("node %d gets nothing", node), func() bool {
			work()
			sum := c.admin.sum(node)
			return sum.Right+sum.WrongShard > 0
		})
	}
	c.run("CREATE TABLE afterwards (id int PRIMARY KEY)")
}

// Runs one case, and says how it went.
func attempt(name string, run func()) (passed bool) {
	defer func() {
		if cause := recover(); cause != nil {
			line := strings.Join(strings.Fields(fmt.Sprint(cause)), " ")
			fmt.Printf("failed %s: %s\n", name, line)
		}
	}()
	run()
	fmt.Printf("passed %s\n", name)
	return true
}

func main() {
	connection, err := net.Dial("tcp", os.Args[3])
	must(err)
	c := &cases{os.Args[1], os.Args[2], &admin{connection, bufio.NewReader(connection)}, nil, 0}
	code := 0
	for _, each := range []struct {
		name string
		run  func()
	}{
		{"connect", c.connect}, {"schema", c.schema}, {"scalars", c.scalars},
		{"collections", c.collections}, {"tuples", c.tuples}, {"udts", c.udts},
		{"vectors", c.vectors}, {"pages", c.pages}, {"batches", c.batches},
		{"counters", c.counters}, {"conditions", c.conditions},
		{"conditional_batches", c.conditionalBatches}, {"prepared", c.prepared},
		{"nulls", c.nulls}, {"routing", c.routing}, {"restart", c.restart},
	} {
		if !attempt(each.name, each.run) {
			code = 1
			if each.name == "connect" {
				// The other cases are worth running all the same.
				c.version = 4
				c.connect()
			}
		}
	}
	os.Exit(code)
}
