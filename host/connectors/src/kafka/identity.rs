//! Whether the topic is still the one that was there at the start: another one of its name has another id, and its
//! offsets count something else. And whether it is there at all.

use std::time::{Duration, Instant};

use gridwatch_core::checkpoint::SourcePart;
use gridwatch_core::record::SourceError;
use rdkafka::error::RDKafkaErrorCode;

use super::group::{Connected, Group, Membership};
use super::raw::TopicQuestion;

/// Between an answer and the next question.
const INTERVAL: Duration = Duration::from_secs(5);
/// A broker that has only just come up may not know of a topic yet; one that is missing for so long was deleted.
const MISSING_MAX: Duration = Duration::from_secs(30);

/// Asks for the topic's id again and again, and never waits for an answer.
#[derive(Default)]
pub struct Identity {
    question: Option<TopicQuestion<Membership>>,
    answered: Option<Instant>,
    /// Since when it was answered each time that there is no such topic.
    missing: Option<Instant>,
}

impl Identity {
    /// An error where the topic was recreated, or deleted. What cannot be answered now is asked again.
    pub fn check(&mut self, group: &Connected) -> Result<(), SourceError> {
        if self.answered.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        let topic = &group.settings.topic;
        let question = self.question.take().map_or_else(|| TopicQuestion::ask(&group.consumer, topic), Ok);
        let id = match question {
            Ok(mut question) => match question.answer(Duration::ZERO) {
                Some(id) => id,
                None => {
                    self.question = Some(question);
                    return Ok(());
                }
            },
            Err(code) => Err(code),
        };
        let now = Instant::now();
        self.answered = Some(now);
        let failed = |what| SourceError::Read { place: group.place(), what };
        self.judge(id, topic, &group.topic_id, now).map_err(failed)
    }

    /// An answer, for a topic that had `before` as its id.
    fn judge(
        &mut self,
        id: Result<String, RDKafkaErrorCode>,
        topic: &str,
        before: &str,
        now: Instant,
    ) -> Result<(), String> {
        if matches!(id, Err(RDKafkaErrorCode::UnknownTopicOrPartition)) {
            let since = *self.missing.get_or_insert(now);
            if now.duration_since(since) < MISSING_MAX {
                return Ok(());
            }
            return Err(format!(
                "topic {topic} was deleted while it was read. Make it again, and remove the group's commits and the lanes' \
                 checkpoints to begin anew in it"
            ));
        }
        self.missing = None;
        match id {
            Ok(id) if id != before => Err(format!(
                "topic {topic} was recreated while it was read: its id is {id} and was {before}. What is committed belongs \
                 to the one before. Remove the group's commits and the lanes' checkpoints to begin anew in this one"
            )),
            Ok(_) => Ok(()),
            Err(code) => {
                tracing::debug!("the id of topic {topic} cannot be had: {code}");
                Ok(())
            }
        }
    }
}

impl Connected {
    /// What positions count in. With more partitions keys go elsewhere, and sensors with them.
    pub(super) fn source_parts(&self) -> Vec<SourcePart> {
        let part = |name: String, beginning: String| SourcePart { name, beginning };
        vec![
            part(format!("topic {}", self.settings.topic), self.topic_id.clone()),
            part("partitions".to_owned(), self.partitions.to_string()),
        ]
    }
}

impl Group {
    /// What the positions of its lanes count in.
    pub fn source_parts(&self) -> Vec<SourcePart> {
        self.current().source_parts()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_topic_that_stays_away_was_deleted() {
        let (mut identity, start) = (Identity::default(), Instant::now());
        let mut says = |answer: Result<&str, RDKafkaErrorCode>, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            identity.judge(answer.map(str::to_owned), "readings", "one", now).err().unwrap_or_default()
        };
        let (missing, silent) =
            (RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::OperationTimedOut);
        for (answer, seconds) in [
            (Ok("one"), 0),
            (Err(missing), 5),
            (Err(missing), 34),
            (Ok("one"), 36),
            (Err(missing), 40),
            (Err(silent), 100),
            (Err(missing), 110),
            (Err(missing), 139),
        ] {
            assert_eq!(says(answer, seconds), "", "{answer:?} after {seconds} s");
        }
        assert!(says(Err(missing), 140).contains("topic readings was deleted while it was read"));
        assert!(says(Ok("two"), 145).contains("its id is two and was one"));
    }
}
