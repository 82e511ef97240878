//! A Kafka broker of one node (KRaft, broker and controller in one process).

use std::fmt::Write;
use std::fs;
use std::net::TcpStream;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::place::{Folder, copy_tree, installed};
use super::secured::{Secured, secured_properties};
use super::server::{Recipe, retry_ports};
use super::{Failure, Proxy, Server, Topics, ports};

/// Small and quick, where the defaults are meant for a cluster. What a client can see of it: groups wait for no
/// further member, sessions may be short, transactions whose time is out are looked for twice a second (by
/// default every ten), and a killed broker may be back before 9 s, the default of its own session, are over; with
/// much less than this one that gets no processor for a while is taken for dead, and partitions lose their leader.
const PROPERTIES: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=2
group.coordinator.threads=1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
";

/// What a broker is to be like.
#[derive(Clone, Debug)]
pub struct KafkaSetup {
    ports: Option<(u16, u16)>,
    proxied: bool,
    secured: bool,
    heap_mib: u32,
    for_load: bool,
    folder: Option<PathBuf>,
    properties: Vec<(String, String)>,
}

impl KafkaSetup {
    /// Its port and its controller's; otherwise free ones.
    pub fn ports(mut self, broker: u16, controller: u16) -> KafkaSetup {
        self.ports = Some((broker, controller));
        self
    }

    /// A second listener whose advertised port is a proxy's: all that clients say, they say through it.
    pub fn proxied(mut self) -> KafkaSetup {
        self.proxied = true;
        self
    }

    /// A further listener with SASL (SCRAM-SHA-256 and PLAIN) over TLS, and a certificate made for it.
    pub fn secured(mut self) -> KafkaSetup {
        self.secured = true;
        self
    }

    /// Java's heap; 512 MiB unless said otherwise.
    pub fn heap_mib(mut self, heap_mib: u32) -> KafkaSetup {
        self.heap_mib = heap_mib;
        self
    }

    /// For benchmarks: 1 GiB of heap and all of Java's compilers, which starts a little slower.
    pub fn for_load(mut self) -> KafkaSetup {
        self.for_load = true;
        self.heap_mib(1024)
    }

    /// A line of `server.properties`, after ours.
    pub fn property(mut self, key: &str, value: &str) -> KafkaSetup {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Data and log go there and stay, and the broker may be left running.
    pub fn folder(mut self, folder: &Path) -> KafkaSetup {
        self.folder = Some(folder.to_owned());
        self
    }

    pub fn start(self) -> Kafka {
        self.try_start().unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub fn try_start(self) -> Result<Kafka, Failure> {
        retry_ports(self.ports.is_none(), || self.start_once())
    }

    fn start_once(&self) -> Result<Kafka, Failure> {
        let libs = installed("kafka-4.1.0/libs")?;
        let formatted = installed("kafka-4.1.0/formatted")?;
        let io = |error: std::io::Error| Failure(format!("kafka's folder: {error}"));
        let folder = Folder::at(self.folder.as_deref())?;
        let data = folder.path().join("data");
        if !data.exists() {
            copy_tree(&formatted, &data).map_err(io)?;
        }
        let (port, controller) = match self.ports {
            Some(ports) => ports,
            None => (ports::pick()?, ports::pick()?),
        };
        let mut listeners = Listeners::of(port, controller);
        let mut proxy = None;
        if self.proxied {
            let behind = ports::pick()?;
            let front = Proxy::try_to(behind)?;
            listeners.add("PROXIED", "PLAINTEXT", behind, front.port());
            proxy = Some(front);
        }
        let mut text = format!("{PROPERTIES}controller.quorum.voters=1@127.0.0.1:{controller}\n");
        let mut secured = None;
        if self.secured {
            let port = ports::pick()?;
            listeners.add("SECURED", "SASL_SSL", port, port);
            let made = Secured::make(folder.path(), port)?;
            text.push_str(&secured_properties(&made));
            secured = Some(made);
        }
        let _ = writeln!(text, "{}log.dirs={}", listeners.properties(), data.display());
        for (key, value) in &self.properties {
            let _ = writeln!(text, "{key}={value}");
        }
        fs::write(folder.path().join("server.properties"), text).map_err(io)?;
        let server = Server::start("kafka", self.recipe(&libs), folder, move || is_ready(port))?;
        Ok(Kafka { port, proxy, secured, server })
    }

    fn recipe(&self, libs: &Path) -> Recipe {
        let mut arguments = vec![
            format!("-Xmx{}m", self.heap_mib),
            "-XX:+UseSerialGC".to_owned(),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".to_owned(),
            // Each rebalance of a group is in the log.
            "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.coordinator.group.GroupMetadataManager=info"
                .to_owned(),
            "-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned(),
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS".to_owned(),
        ];
        if !self.for_load {
            arguments.push("-XX:TieredStopAtLevel=1".to_owned());
        }
        let archive = libs.with_file_name("classes.jsa");
        if archive.exists() {
            arguments.push(format!("-XX:SharedArchiveFile={}", archive.display()));
            arguments.push("-Xlog:cds=off".to_owned());
            arguments.push("-Xlog:cds+dynamic=off".to_owned());
        }
        arguments.extend(["-cp".to_owned(), format!("{}/*", libs.display())]);
        arguments.extend(["kafka.Kafka".to_owned(), "server.properties".to_owned()]);
        Recipe { program: "java".into(), arguments, environment: Vec::new() }
    }
}

/// A running broker. `stop`, `kill`, `restart`, `freeze`, `thaw`, `pid` and `log` are [`Server`]'s, topics and
/// offsets are in [`Kafka::topics`].
pub struct Kafka {
    port: u16,
    proxy: Option<Proxy>,
    secured: Option<Secured>,
    server: Server,
}

impl Kafka {
    /// One on free ports, in a temporary folder.
    pub fn start() -> Kafka {
        Kafka::setup().start()
    }

    pub fn setup() -> KafkaSetup {
        KafkaSetup {
            ports: None,
            proxied: false,
            secured: false,
            heap_mib: 512,
            for_load: false,
            folder: None,
            properties: Vec::new(),
        }
    }

    /// `127.0.0.1:PORT`: straight to the broker, whatever the proxy does.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `127.0.0.1:PORT` of the proxy; the broker was set up with [`KafkaSetup::proxied`].
    pub fn proxied_bootstrap(&self) -> String {
        self.proxy().address()
    }

    /// The proxy on the way of [`Kafka::proxied_bootstrap`].
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("a broker that was set up with `proxied`")
    }

    /// The way in with SASL over TLS; the broker was set up with [`KafkaSetup::secured`].
    pub fn secured(&self) -> &Secured {
        self.secured.as_ref().expect("a broker that was set up with `secured`")
    }

    pub fn topics(&self) -> Topics {
        Topics::of(&self.bootstrap())
    }

    /// Of a consumer group: rebalances begun, and those that have ended with members.
    pub fn rebalances(&self, group: &str) -> (usize, usize) {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let (begun, ended) =
            (format!("to rebalance group {group} in"), format!("Stabilized group {group} gen"));
        let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
        (lines(&begun), lines(&ended))
    }

    /// For a broker in a kept folder: it goes on after this process. Its process id.
    pub fn leave_running(self) -> u32 {
        self.server.leave_running()
    }
}

impl Deref for Kafka {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// A broker is ready once it is in its own metadata: then it takes requests to create topics, too.
fn is_ready(port: u16) -> Result<(), String> {
    // Not by binding: that could take the port from the broker in the moment when it wants it.
    TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", format!("127.0.0.1:{port}"))
        .create()
        .map_err(|error| error.to_string())?;
    let metadata =
        consumer.fetch_metadata(None, Duration::from_secs(5)).map_err(|error| error.to_string())?;
    if metadata.brokers().is_empty() { Err("no broker in the metadata".to_owned()) } else { Ok(()) }
}

/// `listeners` and what has to agree with it.
struct Listeners {
    bound: String,
    advertised: String,
    protocols: String,
}

impl Listeners {
    fn of(port: u16, controller: u16) -> Listeners {
        Listeners {
            bound: format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
            advertised: format!("PLAINTEXT://127.0.0.1:{port}"),
            protocols: "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        }
    }

    fn add(&mut self, name: &str, protocol: &str, port: u16, advertised: u16) {
        let _ = write!(self.bound, ",{name}://127.0.0.1:{port}");
        let _ = write!(self.advertised, ",{name}://127.0.0.1:{advertised}");
        let _ = write!(self.protocols, ",{name}:{protocol}");
    }

    fn properties(&self) -> String {
        format!(
            "listeners={}\nadvertised.listeners={}\nlistener.security.protocol.map={}\n",
            self.bound, self.advertised, self.protocols,
        )
    }
}
