//! What a case gets: the cluster, ways to connect to it, a keyspace of its own.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use shardwire::{ProtocolVersion, QueryResult, QueryRowsResult, Session, SessionBuilder};

use crate::configuration::{Access, Variant};
use crate::target::Target;

const TRACE_ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(499);
const TRACE_INTERVAL: Duration = Duration::from_millis(20);

/// What a case gets.
#[derive(Debug)]
pub struct Context {
    target: Arc<Target>,
    variants: &'static [Variant],
    keyspace: String,
    /// Who created the keyspace, to drop it.
    creator: Mutex<Option<Session>>,
}

impl Context {
    pub(crate) fn new(target: Arc<Target>, variants: &'static [Variant], keyspace: String) -> Self {
        Self { target, variants, keyspace, creator: Mutex::new(None) }
    }

    /// The cluster.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Name of the keyspace of the case; [`session`](Self::session) creates it.
    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// Whether the (first) variant is of version 5.
    pub fn is_v5(&self) -> bool {
        self.variants.first().is_some_and(|variant| variant.version == ProtocolVersion::V5)
    }

    /// A builder with contact points and credentials, which speaks the (first) variant.
    pub fn builder(&self) -> SessionBuilder {
        self.builders().next().map_or_else(SessionBuilder::new, |(_, builder)| builder)
    }

    /// A builder per variant: one, but for cases that run alone.
    pub fn builders(&self) -> impl Iterator<Item = (&'static str, SessionBuilder)> {
        self.variants.iter().map(|variant| {
            let mut builder = SessionBuilder::new()
                .known_nodes(self.target.contact_points().iter().map(ToString::to_string));
            // Of a hundred others every session would read all, at each change.
            builder = builder.keyspaces_to_fetch([self.keyspace.as_str()]);
            // Traces are written after the reply, and on a busy machine long after it.
            builder = builder
                .tracing_info_fetch_attempts(TRACE_ATTEMPTS)
                .tracing_info_fetch_interval(TRACE_INTERVAL);
            if let Some((user, password)) = self.target.credentials() {
                builder = builder.user(user, password);
            }
            if let Some(pem) = self.target.client_pem() {
                let context = match self.target.configuration().access {
                    Access::ClientCertificates => pem.show(),
                    _ => pem.trust(),
                };
                // What it is made of was made for it, and was looked at when the cluster started.
                builder = builder.tls_context(context.build().ok());
            }
            (variant.name, variant.apply(builder))
        })
    }

    /// A session of the (first) variant, with the keyspace of the case, replicated to as many
    /// nodes as can be, up to three.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub async fn session(&self) -> Result<Session> {
        self.session_with_replicas(self.target.node_count().min(3)).await
    }

    /// As [`session`](Self::session), with so many replicas.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub async fn session_with_replicas(&self, count: usize) -> Result<Session> {
        let session = self.builder().build().await.context("connecting")?;
        let text = format!(
            "CREATE KEYSPACE {} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', 'replication_factor': {count}}}",
            self.keyspace
        );
        self.alter(&session, &text).await?;
        *self.creator.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Ok(session)
    }

    /// Drops the keyspace if it was created: with hundreds of them each change takes longer.
    pub(crate) async fn clear(&self) -> Result<()> {
        let creator = self.creator.lock().unwrap_or_else(PoisonError::into_inner).take();
        match creator {
            Some(session) => self.alter(&session, "DROP KEYSPACE IF EXISTS {ks}").await,
            None => Ok(()),
        }
    }

    /// A session for each variant, the first as [`session`](Self::session)'s.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub async fn sessions(&self) -> Result<Vec<(&'static str, Session)>> {
        let first = self.session().await?;
        let mut sessions = Vec::new();
        for (name, builder) in self.builders() {
            if sessions.is_empty() {
                sessions.push((name, first.clone()));
            } else {
                let session = builder.build().await.with_context(|| format!("{name}: connecting"));
                sessions.push((name, session?));
            }
        }
        Ok(sessions)
    }

    /// Changes the schema; `{ks}` stands for the keyspace. The driver waits until all nodes agree.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub async fn alter(&self, session: &Session, text: &str) -> Result<()> {
        self.query(session, text).await.map(drop)
    }

    /// Runs a statement as text; `{ks}` stands for the keyspace.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub async fn query(&self, session: &Session, text: &str) -> Result<QueryResult> {
        let text = self.text(text);
        session.query_unpaged(text.as_str(), ()).await.with_context(|| text.clone())
    }

    /// Rows of a statement as text; `{ks}` stands for the keyspace.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub async fn rows(&self, session: &Session, text: &str) -> Result<QueryRowsResult> {
        let result = self.query(session, text).await?;
        result.into_rows_result().with_context(|| text.to_owned())
    }

    /// The text with the name of the keyspace for `{ks}`.
    pub fn text(&self, text: &str) -> String {
        text.replace("{ks}", &self.keyspace)
    }
}
