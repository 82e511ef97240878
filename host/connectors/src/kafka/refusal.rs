//! What brokers refuse, as against what they cannot do just now.

use rdkafka::error::RDKafkaErrorCode;

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
