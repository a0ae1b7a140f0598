//! The program: its ready line, its admin port, its end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

fn start(options: &[&str]) -> (Child, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardwire-server"));
    command.args(["--address", "auto", "--port", "0"]).args(options);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

struct Admin(BufReader<TcpStream>);

impl Admin {
    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.0.get_mut(), "{request}").unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn announces_itself_obeys_and_quits() {
    let (mut child, ready) =
        start(&["--nodes", "2", "--shards", "3", "--admin", "127.0.0.1:0", "--canned"]);
    assert_eq!(ready.get("event"), Some(&json!("ready")));
    assert_eq!(ready.get("canned"), Some(&json!(true)));
    let points = ready.get("contact_points").and_then(Value::as_array).unwrap();
    assert_eq!(points.len(), 2);
    let second = points.last().and_then(Value::as_str).unwrap();
    let address = ready.get("admin").and_then(Value::as_str).unwrap();
    let mut admin = Admin(BufReader::new(TcpStream::connect(address).unwrap()));
    let ok = json!({ "ok": true });

    let counters = admin.ask(&json!({ "cmd": "counters" }));
    assert_eq!(counters.pointer("/nodes/1/shards/2/right"), Some(&json!(0)));
    assert!(counters.get("cpu_seconds").and_then(Value::as_f64).unwrap() > 0.0);
    let rule = json!({ "opcode": "EXECUTE", "action": { "delay": { "ms": 5 } } });
    assert_eq!(admin.ask(&json!({ "cmd": "fault", "rule": rule })), ok);
    assert_eq!(admin.ask(&json!({ "cmd": "clear_faults" })), ok);
    assert_eq!(admin.ask(&json!({ "cmd": "reset" })), ok);
    assert!(admin.ask(&json!({ "cmd": "nonsense" })).get("error").is_some());
    assert!(admin.ask(&json!({ "cmd": "stop_node", "node": 9 })).get("error").is_some());

    assert_eq!(admin.ask(&json!({ "cmd": "stop_node", "node": 1 })), ok);
    assert!(TcpStream::connect(second).is_err());
    assert_eq!(admin.ask(&json!({ "cmd": "start_node", "node": 1 })), ok);
    assert!(TcpStream::connect(second).is_ok());

    assert_eq!(admin.ask(&json!({ "cmd": "quit" })), ok);
    assert!(child.wait().unwrap().success());
}

#[test]
fn passes_for_cassandra_if_told_to() {
    let (mut child, ready) = start(&["--persona", "cassandra", "--nodes", "1"]);
    assert_eq!(ready.get("persona"), Some(&json!("cassandra")));
    assert_eq!(ready.get("shards"), Some(&json!(1)));
    assert_eq!(ready.get("shard_aware_port"), Some(&json!(null)));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_user_without_a_password_is_refused_and_not_shown() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardwire-server"));
    let output = command.args(["--address", "auto", "--user", "topsecret"]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("NAME:PASSWORD") && !text.contains("topsecret"), "{text}");
}

#[test]
fn ends_with_its_standard_input() {
    let (mut child, ready) = start(&["--exit-with-stdin"]);
    assert_eq!(ready.get("nodes"), Some(&json!(3)));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
