//! What brokers refuse, as against what they cannot do just now; and who is refused as another has its name.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

/// Twice within this time: somebody else works under our name.
const FENCED_TWICE: Duration = Duration::from_secs(60);

/// How often another has come in our place. Once may be ourselves: an earlier life, or what we have asked for
/// long ago and was only now delivered.
#[derive(Default)]
pub struct Fencing {
    last: Option<Instant>,
}

impl Fencing {
    /// It has happened now; the word to end with where it is the second time.
    pub fn note(&mut self, instance: &str) -> Option<String> {
        let last = self.last.replace(Instant::now())?;
        (last.elapsed() < FENCED_TWICE)
            .then(|| format!("another process uses the instance name `{instance}`: give each its own"))
    }
}

/// This login, or what it asks for: nobody is let in by trying again.
pub fn is_no_entry(code: RDKafkaErrorCode) -> bool {
    is_forbidden(code)
        || matches!(
            code,
            RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::SSL
        )
}

/// The user may not do it.
pub fn is_forbidden(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
    )
}
