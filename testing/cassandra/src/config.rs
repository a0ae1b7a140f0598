//! What a node is told: `cassandra.yaml`, `logback.xml` and the command line of its JVM.
//!
//! Three ends: a small heap, a quick start, and failures that others notice within seconds. Sizes
//! suit tests of what a driver does, not of how fast a server is.

use std::ffi::OsString;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::certificates::{authority_pem, node_pem};
use crate::version::Version;

/// What the nodes of a cluster have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    /// One per node, in order.
    pub(crate) addresses: Vec<Ipv4Addr>,
    pub(crate) native_port: u16,
    pub(crate) storage_port: u16,
    pub(crate) login: Login,
    pub(crate) tls: Tls,
    pub(crate) schema: Schema,
    /// Names and values of `cassandra.yaml` beyond, or in place of, those of [`yaml`].
    pub(crate) lines: Vec<(String, String)>,
}

/// Whether clients have to log in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Login {
    None,
    Password,
}

/// Where changes of the schema are when they have been answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Schema {
    Flushed,
    InMemory,
}

/// Whether clients have to speak TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tls {
    Off,
    On,
    /// And show a certificate of the cluster's authority.
    ClientCertificates,
}

/// `cassandra.yaml` of the node at `address` with its files in `folder`.
///
/// All nodes are seeds: a seed does not wait for another one and takes no data from it, so all can
/// start at once. Racing elections of tokens do no harm, as they are random 64-bit numbers.
///
/// A request keeps one of the native transport's threads until its replicas have answered or timed
/// out. There are enough for all requests that meet a paused node at once: who has to wait for a
/// thread begins when the node is held for down, and gets another error.
pub(crate) fn yaml(settings: &Settings, address: Ipv4Addr, folder: &Path) -> String {
    let Settings { addresses, native_port, storage_port, .. } = settings;
    let seeds: Vec<_> = addresses.iter().map(Ipv4Addr::to_string).collect();
    let seeds = seeds.join(",");
    let keystore = node_pem(folder);
    let truststore = authority_pem(folder.parent().unwrap_or(folder));
    let folder = quoted(folder);
    let (authenticator, authorizer) = match settings.login {
        Login::None => ("AllowAllAuthenticator", "AllowAllAuthorizer"),
        Login::Password => ("PasswordAuthenticator", "CassandraAuthorizer"),
    };
    let mut yaml = format!(
        "\
cluster_name: shardwire
num_tokens: 16
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
dynamic_snitch: false
auto_bootstrap: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: \"{seeds}\"
listen_address: {address}
rpc_address: {address}
storage_port: {storage_port}
start_native_transport: true
native_transport_port: {native_port}
native_transport_max_threads: 32
data_file_directories: [\"{folder}/data\"]
commitlog_directory: \"{folder}/commitlog\"
saved_caches_directory: \"{folder}/saved_caches\"
hints_directory: \"{folder}/hints\"
cdc_raw_directory: \"{folder}/cdc_raw\"
disk_access_mode: mmap_index_only
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_segment_size: 16MiB
commitlog_total_space: 128MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 32MiB
memtable_flush_writers: 1
file_cache_size: 32MiB
networking_cache_size: 16MiB
key_cache_size: 0MiB
counter_cache_size: 0MiB
prepared_statements_cache_size: 10MiB
concurrent_compactors: 1
concurrent_reads: 8
concurrent_writes: 8
concurrent_counter_writes: 4
concurrent_materialized_view_writes: 4
auto_snapshot: false
incremental_backups: false
hinted_handoff_enabled: true
hints_flush_period: 1000ms
phi_convict_threshold: 5
user_defined_functions_enabled: true
materialized_views_enabled: true
authenticator: {authenticator}
authorizer: {authorizer}
role_manager: CassandraRoleManager
read_request_timeout: 5000ms
range_request_timeout: 10000ms
write_request_timeout: 5000ms
request_timeout: 10000ms
"
    );
    if settings.login == Login::Password {
        // What a test grants or alters holds at once, and with one node left.
        yaml += "\
permissions_validity: 0ms
roles_validity: 0ms
credentials_validity: 0ms
auth_read_consistency_level: ONE
auth_write_consistency_level: ONE
";
    }
    if settings.tls != Tls::Off {
        let (keystore, truststore) = (quoted(&keystore), quoted(&truststore));
        let is_asked = settings.tls == Tls::ClientCertificates;
        yaml += &format!(
            "\
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: {is_asked}
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: \"{keystore}\"
  truststore: \"{truststore}\"
"
        );
    }
    for (name, value) in &settings.lines {
        set(&mut yaml, name, value);
    }
    yaml
}

/// Sets a value: each name may stand there once.
fn set(yaml: &mut String, name: &str, value: &str) {
    let is_other = |line: &&str| line.split_once(':').is_none_or(|(found, _)| found != name);
    let mut lines: Vec<_> = yaml.lines().filter(is_other).collect();
    let line = format!("{name}: {value}");
    lines.push(&line);
    *yaml = lines.join("\n") + "\n";
}

/// `logback.xml`: everything of interest into one file of the folder.
pub(crate) fn logback(folder: &Path) -> String {
    let log = folder.join("system.log").display().to_string();
    let log = log.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "\
<configuration scan=\"false\">
  <appender name=\"FILE\" class=\"ch.qos.logback.core.FileAppender\">
    <file>{log}</file>
    <append>true</append>
    <encoder><pattern>%-5level [%thread] %date{{ISO8601}} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level=\"INFO\"><appender-ref ref=\"FILE\"/></root>
</configuration>
"
    )
}

/// `logback-tools.xml`: what goes wrong in nodetool, on its standard error.
pub(crate) const LOGBACK_TOOLS: &str = "\
<configuration scan=\"false\">
  <appender name=\"ERR\" class=\"ch.qos.logback.core.ConsoleAppender\">
    <target>System.err</target>
    <encoder><pattern>%-5level %msg%n</pattern></encoder>
  </appender>
  <root level=\"WARN\"><appender-ref ref=\"ERR\"/></root>
</configuration>
";

/// The JVM's arguments for nodetool, up to nodetool's own, of the node with its files in `folder`.
pub(crate) fn nodetool_arguments(jmx_port: u16, jars: &[PathBuf], folder: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = JVM_TOOLS.iter().map(OsString::from).collect();
    opened(&mut arguments, "--add-exports", &EXPORTS);
    opened(&mut arguments, "--add-opens", &OPENS);
    let logback = url(&folder.join("logback-tools.xml"));
    arguments.push(format!("-Dlogback.configurationFile={logback}").into());
    // It keeps a history in the user's home.
    arguments.push(joined("-Duser.home=", &folder.join("tmp")));
    arguments.extend(["-cp".into(), class_path(jars)]);
    arguments.push("org.apache.cassandra.tools.NodeTool".into());
    let port = jmx_port.to_string();
    arguments.extend(["-h", "127.0.0.1", "-p", port.as_str()].map(OsString::from));
    arguments
}

fn opened(arguments: &mut Vec<OsString>, kind: &str, packages: &[&str]) {
    for package in packages {
        arguments.push(kind.into());
        arguments.push(format!("{package}=ALL-UNNAMED").into());
    }
}

fn class_path(jars: &[PathBuf]) -> OsString {
    let mut class_path = OsString::new();
    for jar in jars {
        if !class_path.is_empty() {
            class_path.push(":");
        }
        class_path.push(jar);
    }
    class_path
}

/// The JVM's arguments for the node with its files in `folder`.
pub(crate) fn java_arguments(
    settings: &Settings,
    jmx_port: Option<u16>,
    jars: &[PathBuf],
    folder: &Path,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = JVM.iter().map(OsString::from).collect();
    opened(&mut arguments, "--add-exports", &EXPORTS);
    opened(&mut arguments, "--add-opens", &OPENS);
    if settings.version == Version::V4_1 {
        opened(&mut arguments, "--add-opens", &OPENS_4_1);
        // Its way to measure objects, which 5.0 does without an agent.
        let is_agent = |jar: &&PathBuf| {
            jar.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with("jamm-"))
        };
        arguments.extend(jars.iter().find(is_agent).map(|jar| joined("-javaagent:", jar)));
    }
    arguments.extend(PROPERTIES.iter().map(OsString::from));
    if settings.schema == Schema::InMemory {
        arguments.push("-Dcassandra.test.flush_local_schema_changes=false".into());
    }
    if settings.login == Login::Password {
        arguments.extend(PROPERTIES_LOGIN.iter().map(OsString::from));
        // With the default of 1, nobody logs in while the one node is down that has the roles.
        let count = settings.addresses.len();
        arguments.push(format!("-Dcassandra.system_auth.default_rf={count}").into());
    }
    if let Some(port) = jmx_port {
        arguments.push(format!("-Dcassandra.jmx.local.port={port}").into());
        arguments.push("-Dcom.sun.management.jmxremote.authenticate=false".into());
    }
    let (yaml, logback) = (url(&folder.join("cassandra.yaml")), url(&folder.join("logback.xml")));
    arguments.push(format!("-Dcassandra.config={yaml}").into());
    arguments.push(format!("-Dlogback.configurationFile={logback}").into());
    for (property, path) in [
        ("-Dcassandra.storagedir=", folder.to_owned()),
        ("-Dcassandra.logdir=", folder.to_owned()),
        ("-Dcassandra.triggers_dir=", folder.join("triggers")),
        ("-Djava.io.tmpdir=", folder.join("tmp")),
    ] {
        arguments.push(joined(property, &path));
    }
    arguments.extend(["-cp".into(), class_path(jars)]);
    arguments.push("org.apache.cassandra.service.CassandraDaemon".into());
    arguments
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut joined = OsString::from(prefix);
    joined.push(path);
    joined
}

/// An absolute path as a URL, which is how both programs want the paths of their configuration.
fn url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// A path as it stands within double quotes in YAML.
fn quoted(path: &Path) -> String {
    let mut quoted = String::new();
    for char in path.display().to_string().chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted
}

/// The smallest collector, only the first compiler, and a heap that grows as far as needed: an
/// initial heap as large as the largest doubles what a node holds.
const JVM: [&str; 17] = [
    "-Xms64M",
    "-Xmx512M",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1", // three fifths of the time to start with both compilers
    "-XX:+PerfDisableSharedMem",
    "-XX:ReservedCodeCacheSize=64m",
    "-XX:MaxDirectMemorySize=256m",
    "-XX:ActiveProcessorCount=2",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.useCacheForAllThreads=true",
    "-Dio.netty.allocator.maxOrder=11",
    "-Dio.netty.eventLoopThreads=2",
];

const JVM_TOOLS: [&str; 4] =
    ["-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"];

/// What Cassandra uses of Java 17 that is not for everyone: its own `jvm17-server.options`.
const EXPORTS: [&str; 9] = [
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "java.base/java.lang.ref",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.attach/sun.tools.attach",
];

const OPENS: [&str; 14] = [
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang.reflect",
    "jdk.compiler/com.sun.tools.javac",
    "java.base/java.lang",
    "java.base/java.util",
];

/// 4.1 was made for Java 11, and its agent looks into objects of all these packages.
const OPENS_4_1: [&str; 16] = [
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
    "java.base/java.nio",
    "java.base/java.lang.invoke",
    "java.base/java.lang.ref",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util.regex",
    "java.base/java.security",
    "java.base/sun.nio.fs",
    "java.base/sun.security.provider",
    "java.base/jdk.internal.perf",
    "java.base/jdk.internal.misc",
];

/// Waits of a real cluster that are cut short, and how soon a dead node is noticed.
const PROPERTIES: [&str; 12] = [
    "-Dcassandra-foreground=yes",
    "-Dcassandra.libjemalloc=-",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.ring_delay_ms=100",
    "-Dcassandra.consistent.rangemovement=false",
    "-Dcassandra.shutdown_announce_in_ms=100",
    // Half of it is how long a node may be known without tokens, as all are while they start. After
    // that it is forgotten, also as a seed; two nodes that forget each other never meet. So it is
    // longer than any start, and does not follow from `ring_delay_ms` as it would by default.
    "-Dcassandra.gossip_quarantine_delay_ms=1200000",
    // The longest wait for another node's schema, after which a start fails. None waits so long.
    "-Dcassandra.schema_delay_ms=120000",
    // 5.0 otherwise measures it at each start, which takes 1.7 s.
    "-Dcassandra.memtable.row_overhead_size=180",
    // DOWN within 3 to 5 s of a kill; a node that stalls for 4 s is reported down as well.
    "-Dcassandra.fd_initial_value_ms=400",
    "-Dcassandra.fd_max_interval_ms=400",
    // The default is 10 s to the first log-in. It is also the time between two attempts, each of
    // which fails until nodes have met: with 0 a core does nothing else, and logs 100 kB a second.
    "-Dcassandra.superuser_setup_delay_ms=200",
];

/// The fewest rounds that bcrypt has: 2^4.
const PROPERTIES_LOGIN: [&str; 1] = ["-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4"];

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(version: Version, login: Login) -> Settings {
        let addresses = (1..=3).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect();
        let (native_port, storage_port, tls) = (11_000, 12_000, Tls::Off);
        let (schema, lines) = (Schema::Flushed, Vec::new());
        Settings { version, addresses, native_port, storage_port, login, tls, schema, lines }
    }

    fn arguments(settings: &Settings) -> Vec<String> {
        let jars = ["/c/a.jar", "/c/jamm-0.3.2.jar"].map(PathBuf::from);
        let arguments = java_arguments(settings, None, &jars, Path::new("/t/a b"));
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn a_node_listens_on_its_own_address_only() {
        let settings = settings(Version::V5_0, Login::None);
        let yaml = yaml(&settings, settings.addresses[1], Path::new("/t/node2"));
        for line in [
            "listen_address: 127.0.0.2",
            "rpc_address: 127.0.0.2",
            "native_transport_port: 11000",
            "storage_port: 12000",
            "      - seeds: \"127.0.0.1,127.0.0.2,127.0.0.3\"",
            "data_file_directories: [\"/t/node2/data\"]",
            "authenticator: AllowAllAuthenticator",
        ] {
            assert!(yaml.lines().any(|found| found == line), "no `{line}` in\n{yaml}");
        }
    }

    #[test]
    fn every_key_stands_once() {
        let settings = settings(Version::V5_0, Login::Password);
        let yaml = yaml(&settings, settings.addresses[0], Path::new("/t"));
        let keys = yaml.lines().filter(|line| !line.starts_with(' '));
        let mut keys: Vec<_> = keys.filter_map(|line| line.split_once(':')).collect();
        let count = keys.len();
        keys.sort_by_key(|(key, _)| *key);
        keys.dedup_by_key(|(key, _)| *key);
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn passwords_switch_on_what_they_need() {
        let settings = settings(Version::V5_0, Login::Password);
        let yaml = yaml(&settings, settings.addresses[0], Path::new("/t"));
        assert!(yaml.contains("\nauthenticator: PasswordAuthenticator\n"));
        assert!(yaml.contains("\nauthorizer: CassandraAuthorizer\n"));
        assert!(yaml.contains("\npermissions_validity: 0ms\n"));
        let arguments = arguments(&settings);
        assert!(arguments.contains(&"-Dcassandra.system_auth.default_rf=3".to_owned()));
    }

    /// Nodes that forget each other while they start never meet.
    #[test]
    fn no_limit_is_shorter_than_a_start() {
        let arguments = arguments(&settings(Version::V5_0, Login::Password));
        let millis = |property: &str| -> u128 {
            let value = arguments.iter().find_map(|argument| argument.strip_prefix(property));
            value.unwrap().parse().unwrap()
        };
        let start_max = crate::cluster::DEADLINE.as_millis();
        assert!(millis("-Dcassandra.gossip_quarantine_delay_ms=") / 2 > start_max);
        assert!(millis("-Dcassandra.schema_delay_ms=") >= 30_000, "Cassandra's own");
        assert!(millis("-Dcassandra.superuser_setup_delay_ms=") >= 100);
    }

    #[test]
    fn tls_names_its_files() {
        let mut settings = settings(Version::V5_0, Login::None);
        let of = |settings: &Settings| yaml(settings, settings.addresses[0], Path::new("/t/n"));
        assert!(!of(&settings).contains("client_encryption_options"));
        settings.tls = Tls::On;
        let on = of(&settings);
        assert!(on.contains("  keystore: \"/t/n/node.pem\"\n"), "{on}");
        assert!(on.contains("  require_client_auth: false\n"), "{on}");
        settings.tls = Tls::ClientCertificates;
        assert!(of(&settings).contains("  require_client_auth: true\n"));
    }

    #[test]
    fn a_setting_takes_the_place_of_another() {
        let mut settings = settings(Version::V5_0, Login::None);
        settings.lines = [("read_request_timeout", "1ms"), ("cdc_enabled", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let yaml = yaml(&settings, Ipv4Addr::LOCALHOST, Path::new("/t"));
        let lines: Vec<_> = yaml.lines().filter(|line| line.contains("read_request")).collect();
        assert_eq!(lines, ["read_request_timeout: 1ms"]);
        assert!(yaml.ends_with("cdc_enabled: true\n"));
    }

    #[test]
    fn only_4_1_has_an_agent() {
        let agent = "-javaagent:/c/jamm-0.3.2.jar".to_owned();
        assert!(arguments(&settings(Version::V4_1, Login::None)).contains(&agent));
        assert!(!arguments(&settings(Version::V5_0, Login::None)).contains(&agent));
    }

    #[test]
    fn the_class_is_last_and_paths_are_urls() {
        let arguments = arguments(&settings(Version::V5_0, Login::None));
        let last = &arguments[arguments.len() - 3..];
        let daemon = "org.apache.cassandra.service.CassandraDaemon";
        assert_eq!(last, ["-cp", "/c/a.jar:/c/jamm-0.3.2.jar", daemon]);
        let config = "-Dcassandra.config=file:///t/a%20b/cassandra.yaml".to_owned();
        assert!(arguments.contains(&config));
    }

    #[test]
    fn nodetool_finds_its_node() {
        let jars = ["/c/a.jar", "/c/b.jar"].map(PathBuf::from);
        let arguments = nodetool_arguments(13_000, &jars, Path::new("/t"));
        let last = &arguments[arguments.len() - 5..];
        let tool = "org.apache.cassandra.tools.NodeTool";
        assert_eq!(last, [tool, "-h", "127.0.0.1", "-p", "13000"]);

        let settings = settings(Version::V5_0, Login::None);
        let arguments = java_arguments(&settings, Some(13_000), &jars, Path::new("/t"));
        assert!(arguments.contains(&"-Dcassandra.jmx.local.port=13000".into()));
    }

    #[test]
    fn paths_are_quoted() {
        let folder = Path::new("/t/\"a\\b\n<&");
        assert_eq!(quoted(folder), r#"/t/\"a\\b\u000a<&"#);
        assert!(logback(folder).contains("&lt;&amp;/system.log</file>"));
    }
}
