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
//! - `left`      servers that `make servers` left running
//!
//! Unless it is left running on purpose, no server outlives the process that started it, however that ends: each
//! child asks the kernel for a SIGKILL at its parent's death (`setpriv --pdeathsig`), and one thread that lives
//! as long as the process starts them all, because the kernel takes the thread that forked for the parent.

mod answer;
pub mod console;
pub mod http;
mod kafka;
pub mod kcat;
pub mod left;
mod minio;
mod place;
mod ports;
mod proxy;
mod registry;
mod secured;
mod server;
mod topics;

pub use answer::Answer;
pub use kafka::{Kafka, KafkaSetup};
pub use minio::{Minio, MinioSetup};
pub use place::servers_dir;
pub use ports::{is_free, pick as free_port};
pub use proxy::{Counts, Direction, Mode, Proxy};
pub use registry::{Registry, RegistrySetup};
pub use secured::Secured;
pub use server::{Failure, Server};
pub use topics::Topics;
