//! Real servers for scenarios: Apache Kafka, a Confluent-compatible schema registry, MinIO as S3, and a TCP
//! proxy to disturb the way to them.
//!
//! - `place`     where servers are installed, and folders that a dead test run leaves for the next to remove
//! - `ports`     ports that are free now and stay out of outgoing connections' way
//! - `server`    one process: start, wait until ready, stop, kill, freeze, restart
//! - `kafka`     a KRaft broker; `secured` its SASL over TLS; `topics` what an administrator does
//! - `registry`  the schema registry; `minio` the S3 store; `http` what both are asked in
//! - `proxy`     delays, cuts, swallows, half-closes, and answers with errors, by `answer`
//! - `kcat`      a consumer that is not ours; `console` one that does not even share our client library
//! - `exporter`  Kafka's offsets and groups for Prometheus; `prometheus` with the configuration of `compose/`
//! - `left`      servers that go on after who started them; `standing` those of `make servers` and `make stack`
//!
//! Unless it is left running on purpose, no server outlives the process that started it, however that ends: each
//! child asks the kernel for a SIGKILL at its parent's death (`setpriv --pdeathsig`), and one thread that lives
//! as long as the process starts them all, because the kernel takes the thread that forked for the parent.

mod answer;
pub mod console;
mod exporter;
pub mod http;
mod kafka;
pub mod kcat;
pub mod left;
mod minio;
mod place;
mod ports;
mod prometheus;
mod proxy;
mod registry;
mod secured;
mod server;
pub mod standing;
mod topics;

pub use answer::Answer;
pub use exporter::Exporter;
pub use kafka::{Kafka, KafkaSetup};
pub use minio::{Minio, MinioSetup};
pub use place::{Folder, installed, servers_dir};
pub use ports::{is_free, pick as free_port};
pub use prometheus::{Prometheus, PrometheusClient};
pub use proxy::{Counts, Direction, Mode, Proxy};
pub use registry::{Registry, RegistrySetup};
pub use secured::Secured;
pub use server::{Failure, Recipe, Server};
pub use topics::Topics;
