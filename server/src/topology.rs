//! What a cluster can be asked to do with its nodes and tablets beyond stopping and starting.
//!
//! `cluster.rs` does it, on the thread that owns the nodes.

use std::io;

use serde::Deserialize;

use crate::cluster::{Cluster, Command};
use crate::tablets::Home;

/// A node that is added to a cluster at run time. Unless set, its datacenter and rack are those
/// that it would have had at the start.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "this only describes a node"]
pub struct NewNode {
    pub(crate) datacenter: Option<String>,
    pub(crate) rack: Option<String>,
}

impl NewNode {
    /// The datacenter that it stands in.
    pub fn datacenter(mut self, name: impl Into<String>) -> Self {
        self.datacenter = Some(name.into());
        self
    }

    /// The rack that it stands in.
    pub fn rack(mut self, name: impl Into<String>) -> Self {
        self.rack = Some(name.into());
        self
    }
}

/// A shard that has a tablet.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TabletHome {
    /// Index of the node, from 0.
    pub node: usize,
    /// Its shard.
    pub shard: u16,
}

impl From<TabletHome> for Home {
    fn from(TabletHome { node, shard }: TabletHome) -> Self {
        Self { node, shard }
    }
}

/// What is done to a table's tablets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TabletsChange {
    Split,
    Merge,
    Move { token: i64, from: TabletHome, to: TabletHome },
}

impl Cluster {
    /// Adds a node that there was not before, on the next address: it has tokens, ranges and
    /// tablets of its own when this returns, and the clients of the other nodes are told that it
    /// is new and up. Gives its index.
    ///
    /// # Errors
    ///
    /// If there are 254 nodes, or the address can't be listened on.
    ///
    /// # Cancel safety
    ///
    /// The node is added even if the future is dropped after its first poll.
    pub async fn add_new_node(&self, node: NewNode) -> io::Result<usize> {
        self.command(|done| Command::AddNewNode(node, done)).await
    }

    /// Lets a node leave the cluster, as `nodetool decommission` does: what it has goes to the
    /// others, then it closes its ports and connections, for which clients have half a second, and
    /// is gone. Does nothing if it was removed before.
    ///
    /// # Errors
    ///
    /// If there is no such node or no other, it is stopped or paused, or too few would be left for
    /// a keyspace's tablets.
    ///
    /// # Cancel safety
    ///
    /// The node leaves even if the future is dropped after its first poll.
    pub async fn decommission_node(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::DecommissionNode(node, done)).await
    }

    /// Cuts each tablet of a table in two, which stay where it was.
    ///
    /// # Errors
    ///
    /// If there is no such table, it has no tablets, or there are 8,192 of them.
    ///
    /// # Cancel safety
    ///
    /// They are cut even if the future is dropped after its first poll.
    pub async fn split_tablets(&self, keyspace: &str, table: &str) -> io::Result<()> {
        self.change_tablets(keyspace, table, TabletsChange::Split).await
    }

    /// Puts each two tablets of a table together, where the first of them is.
    ///
    /// # Errors
    ///
    /// If there is no such table, it has no tablets, or there is one alone.
    ///
    /// # Cancel safety
    ///
    /// They are put together even if the future is dropped after its first poll.
    pub async fn merge_tablets(&self, keyspace: &str, table: &str) -> io::Result<()> {
        self.change_tablets(keyspace, table, TabletsChange::Merge).await
    }

    /// Moves the tablet that has a token from one shard to another of the same datacenter.
    ///
    /// # Errors
    ///
    /// If there is no such table, it has no tablets, the tablet is not there, or it can't go there.
    ///
    /// # Cancel safety
    ///
    /// It is moved even if the future is dropped after its first poll.
    pub async fn move_tablet(
        &self,
        keyspace: &str,
        table: &str,
        token: i64,
        from: TabletHome,
        to: TabletHome,
    ) -> io::Result<()> {
        self.change_tablets(keyspace, table, TabletsChange::Move { token, from, to }).await
    }

    async fn change_tablets(
        &self,
        keyspace: &str,
        table: &str,
        change: TabletsChange,
    ) -> io::Result<()> {
        let names = [keyspace, table].map(str::to_owned);
        self.command(|done| Command::ChangeTablets(names, change, done)).await
    }
}
