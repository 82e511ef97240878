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
    /// It has happened now; the word to end with where it is the second time. It does not count where brokers were
    /// out of reach a moment ago, at `cut_off`: what was asked of them then was heard, its answer was not, and who asked
    /// again was another to them. Brokers that come and go may bring that twice a minute; another process
    /// goes on fencing when they have settled.
    pub fn note(&mut self, instance: &str, cut_off: Option<Instant>) -> Option<String> {
        if cut_off.is_some_and(|at| at.elapsed() < FENCED_TWICE) {
            return None;
        }
        let last = self.last.replace(Instant::now())?;
        (last.elapsed() < FENCED_TWICE)
            .then(|| format!("another process uses the instance name `{instance}`: give each its own"))
    }
}

/// Brokers are out of reach, or were when they should have answered.
pub fn is_cut_off(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
    )
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{FENCED_TWICE, Fencing};

    #[test]
    fn twice_within_a_minute_is_another_process() {
        let mut fencing = Fencing::default();
        assert_eq!(fencing.note("a", None), None);
        let end = fencing.note("a", None);
        assert!(end.is_some_and(|end| end.contains("another process uses the instance name `a`")));
    }

    #[test]
    fn what_follows_from_brokers_out_of_reach_does_not_count() {
        let mut fencing = Fencing::default();
        for _ in 0..20 {
            assert_eq!(fencing.note("a", Some(Instant::now())), None);
        }
        assert_eq!(fencing.note("a", None), None, "the first one that counts");
        let long_ago = Instant::now().checked_sub(FENCED_TWICE);
        assert!(long_ago.is_none() || fencing.note("a", long_ago).is_some());
    }
}
