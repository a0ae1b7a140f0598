//! The admin port: one JSON object per line in, one per line out. `README.md` lists the commands.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::cluster::Command;
use crate::connection::{CLOSE_WAIT, drain};
use crate::faults::FaultRule;
use crate::node::accept;
use crate::state::Shared;
use crate::topology::{NewNode, TabletHome, TabletsChange};

/// Longest line, in bytes.
const LINE_LEN_MAX: u64 = 64 * 1024;
/// Admin clients at a time.
const CLIENTS_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Counters,
    Reset,
    Fault {
        rule: Value,
    },
    ClearFaults,
    StopNode {
        node: usize,
    },
    StartNode {
        node: usize,
    },
    PauseNode {
        node: usize,
    },
    ResumeNode {
        node: usize,
    },
    DisableBinary {
        node: usize,
    },
    EnableBinary {
        node: usize,
    },
    /// A removed one, or a new one if there is no `node`.
    AddNode {
        node: Option<usize>,
        datacenter: Option<String>,
        rack: Option<String>,
    },
    RemoveNode {
        node: usize,
    },
    DecommissionNode {
        node: usize,
    },
    SplitTablets {
        keyspace: String,
        table: String,
    },
    MergeTablets {
        keyspace: String,
        table: String,
    },
    MoveTablet {
        keyspace: String,
        table: String,
        token: i64,
        from: TabletHome,
        to: TabletHome,
    },
    Repair {
        keyspace: String,
    },
    Quit,
}

/// Admin clients, by the order in which they last asked for something.
#[derive(Debug, Default)]
struct Clients {
    tasks: RefCell<BTreeMap<u64, AbortHandle>>,
    count: Cell<u64>,
}

impl Clients {
    fn next_number(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// At one too many the one that has been idle for longest is closed: whoever is at work stays,
    /// and whoever comes gets in.
    fn make_room(&self) {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= CLIENTS_MAX
            && let Some((_, idlest)) = tasks.pop_first()
        {
            idlest.abort();
        }
    }

    fn asked(&self, number: &Cell<u64>) {
        let mut tasks = self.tasks.borrow_mut();
        if let Some(task) = tasks.remove(&number.get()) {
            number.set(self.next_number());
            tasks.insert(number.get(), task);
        }
    }
}

/// Serves admin clients until the cluster stops.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Rc<Shared>,
    commands: mpsc::WeakSender<Command>,
) {
    let clients = Rc::new(Clients::default());
    loop {
        let (stream, _) = accept(&listener, &shared.complaints, || {}).await;
        clients.make_room();
        let first = clients.next_number();
        let (shared, commands, of_task) =
            (Rc::clone(&shared), commands.clone(), Rc::clone(&clients));
        let task = tokio::task::spawn_local(async move {
            let number = Cell::new(first);
            let asked = || of_task.asked(&number);
            let _ = serve_client(stream, &shared, &commands, asked).await;
            of_task.tasks.borrow_mut().remove(&number.get());
        });
        // The task has not begun yet.
        clients.tasks.borrow_mut().insert(first, task.abort_handle());
    }
}

async fn serve_client(
    mut stream: TcpStream,
    shared: &Shared,
    commands: &mpsc::WeakSender<Command>,
    asked: impl Fn(),
) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut reader = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let len = (&mut reader).take(LINE_LEN_MAX).read_until(b'\n', &mut line).await?;
        if len == 0 {
            return Ok(());
        }
        let is_whole = u64::try_from(len).is_ok_and(|len| len < LINE_LEN_MAX);
        if !is_whole && !line.ends_with(b"\n") {
            let error = format!("a command has at most {LINE_LEN_MAX} bytes, with its line's end");
            write.write_all(format!("{}\n", json!({ "error": error })).as_bytes()).await?;
            write.shutdown().await?;
            let _ = timeout(CLOSE_WAIT, drain(&mut reader)).await;
            return Ok(());
        }
        let answer = match serde_json::from_slice(&line) {
            Ok(request) => answer(request, shared, commands).await,
            Err(error) => json!({ "error": error.to_string() }),
        };
        write.write_all(format!("{answer}\n").as_bytes()).await?;
        asked();
    }
}

async fn answer(request: Request, shared: &Shared, commands: &mpsc::WeakSender<Command>) -> Value {
    let result = match request {
        Request::Counters => return counters(shared),
        Request::Reset => {
            shared.counters.reset();
            Ok(())
        }
        Request::Fault { rule } => FaultRule::from_json(rule).map(|rule| shared.faults.add(rule)),
        Request::ClearFaults => {
            shared.faults.clear();
            Ok(())
        }
        Request::StopNode { node } => command(commands, |done| Command::StopNode(node, done)).await,
        Request::StartNode { node } => {
            command(commands, |done| Command::StartNode(node, done)).await
        }
        Request::PauseNode { node } => {
            command(commands, |done| Command::PauseNode(node, done)).await
        }
        Request::ResumeNode { node } => {
            command(commands, |done| Command::ResumeNode(node, done)).await
        }
        Request::DisableBinary { node } => {
            command(commands, |done| Command::DisableBinary(node, done)).await
        }
        Request::EnableBinary { node } => {
            command(commands, |done| Command::EnableBinary(node, done)).await
        }
        Request::AddNode { node: Some(node), datacenter: None, rack: None } => {
            command(commands, |done| Command::AddNode(node, done)).await
        }
        Request::AddNode { node: Some(_), .. } => {
            Err("datacenter, rack: they are those that the node had".to_owned())
        }
        Request::AddNode { node: None, datacenter, rack } => {
            match command(commands, |done| Command::AddNewNode(NewNode { datacenter, rack }, done))
                .await
            {
                Ok(node) => {
                    return json!({ "ok": true, "node": node, "address": address(shared, node) });
                }
                Err(error) => Err(error),
            }
        }
        Request::DecommissionNode { node } => {
            command(commands, |done| Command::DecommissionNode(node, done)).await
        }
        Request::SplitTablets { keyspace, table } => {
            change_tablets(commands, [keyspace, table], TabletsChange::Split).await
        }
        Request::MergeTablets { keyspace, table } => {
            change_tablets(commands, [keyspace, table], TabletsChange::Merge).await
        }
        Request::MoveTablet { keyspace, table, token, from, to } => {
            let change = TabletsChange::Move { token, from, to };
            change_tablets(commands, [keyspace, table], change).await
        }
        Request::RemoveNode { node } => {
            command(commands, |done| Command::RemoveNode(node, done)).await
        }
        Request::Repair { keyspace } => {
            command(commands, |done| Command::Repair(keyspace, done)).await
        }
        Request::Quit => match commands.upgrade() {
            Some(commands) => commands.send(Command::Quit).await.map_err(|e| e.to_string()),
            None => Ok(()),
        },
    };
    match result {
        Ok(()) => json!({ "ok": true }),
        Err(error) => json!({ "error": error }),
    }
}

fn address(shared: &Shared, node: usize) -> Option<String> {
    shared.nodes.get(node).map(|node| node.address.to_string())
}

async fn change_tablets(
    commands: &mpsc::WeakSender<Command>,
    table: [String; 2],
    change: TabletsChange,
) -> Result<(), String> {
    command(commands, |done| Command::ChangeTablets(table, change, done)).await
}

async fn command<T>(
    commands: &mpsc::WeakSender<Command>,
    command: impl FnOnce(oneshot::Sender<std::io::Result<T>>) -> Command,
) -> Result<T, String> {
    let commands = commands.upgrade().ok_or("the cluster is stopping")?;
    let (done, is_done) = oneshot::channel();
    commands.send(command(done)).await.map_err(|error| error.to_string())?;
    match is_done.await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn counters(shared: &Shared) -> Value {
    let mut counters = json!(shared.counters.read());
    if let Some(object) = counters.as_object_mut() {
        object.insert("cpu_seconds".to_owned(), json!(cpu_seconds()));
    }
    counters
}

/// CPU time that the process has used, user and system, in seconds.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::try_from(time).unwrap_or_default().as_secs_f64()
}
