//! Kafka at both ends: readings from a topic by consumer group, anomalies and dead letters into topics.
//!
//! A partition is a lane. One consumer serves a process ([`group`]); each lane reads its partition's own
//! queue ([`feed`]); lanes come and go with the group's rebalances ([`intake`]); output and positions go out
//! together ([`sink`]): in one transaction, or after one another where that is enough. What a commit says
//! besides the position travels in the offset's metadata ([`metadata`]).
//!
//! What was read is read once more with [`past`]. Tools send with [`publish`], behind what is there by [`latest`], and send dead letters
//! again with [`letters`], which keeps in [`progress`] what it has sent.
//!
//! librdkafka's batch call and offsets' metadata are reached past `rdkafka`, in [`raw`]; no other room here
//! has `unsafe`. What librdkafka tells of itself is kept in [`figures`]; whether the topic is still the same is
//! asked again and again by [`identity`].

mod feed;
mod figures;
mod group;
mod identity;
mod intake;
mod latest;
mod letters;
mod metadata;
mod past;
mod producer;
mod progress;
mod publish;
mod raw;
mod refusal;
mod settings;
mod sink;

pub use figures::ClientFigures;
pub use group::{Group, connect};
pub use intake::KafkaIntake;
pub use latest::latest_ms;
pub use letters::{Letters, LettersSettings, Stored};
pub use past::KafkaPast;
pub use publish::{Outbound, Publisher, ToolError};
pub use settings::{KafkaSettings, OnLost, Start};
pub use sink::KafkaSink;
