//! Whether the topic is still the one that was there at the start: another one of its name has another id, and its
//! offsets count something else; with more partitions keys go elsewhere. And whether it is there at all.

use std::time::{Duration, Instant};

use gridwatch_core::checkpoint::SourcePart;
use gridwatch_core::record::SourceError;
use rdkafka::error::RDKafkaErrorCode;

use super::group::{Connected, Group, Membership};
use super::raw::{Described, TopicQuestion};

/// Between an answer and the next question.
const INTERVAL: Duration = Duration::from_secs(5);
/// A broker that has only just come up may not know of a topic yet; one that is missing for so long was deleted.
const MISSING_MAX: Duration = Duration::from_secs(30);

/// Asks for the topic again and again, and never waits for an answer.
#[derive(Default)]
pub struct Identity {
    question: Option<TopicQuestion<Membership>>,
    answered: Option<Instant>,
    /// Since when it was answered each time that there is no such topic.
    missing: Option<Instant>,
}

impl Identity {
    /// An error where the topic was recreated or deleted, or has got partitions. What cannot be answered now is asked again.
    pub fn check(&mut self, group: &Connected) -> Result<(), SourceError> {
        if self.answered.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        let topic = &group.settings.topic;
        let question = self.question.take().map_or_else(|| TopicQuestion::ask(&group.consumer, topic), Ok);
        let described = match question {
            Ok(mut question) => match question.answer(Duration::ZERO) {
                Some(described) => described,
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
        self.judge(described, topic, (&group.topic_id, group.partitions), now).map_err(failed)
    }

    /// An answer, for a topic that had `before` as its id, and so many partitions.
    fn judge(
        &mut self,
        described: Result<Described, RDKafkaErrorCode>,
        topic: &str,
        (before, partitions): (&str, i32),
        now: Instant,
    ) -> Result<(), String> {
        if matches!(described, Err(RDKafkaErrorCode::UnknownTopicOrPartition)) {
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
        match described {
            Ok(Described { id, .. }) if id != before => Err(format!(
                "topic {topic} was recreated while it was read: its id is {id} and was {before}. What is committed belongs \
                 to the one before. Remove the group's commits and the lanes' checkpoints to begin anew in this one"
            )),
            Ok(now) if now.partitions > partitions as usize => Err(grown(topic, partitions, now.partitions)),
            Ok(_) => Ok(()),
            Err(code) => {
                tracing::debug!("the id of topic {topic} cannot be had: {code}");
                Ok(())
            }
        }
    }
}

/// What to say where a topic has got partitions.
pub fn grown(topic: &str, before: i32, now: usize) -> String {
    format!(
        "topic {topic} had {before} partitions and now has {now}: keys go to other partitions from here on, and what \
         detectors know of their sensors does not follow. Begin anew with another group and [checkpoints], or go back to \
         {before} partitions in a new topic"
    )
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
            let described = answer.map(|id| Described { id: id.to_owned(), partitions: 4 });
            identity.judge(described, "readings", ("one", 4), now).err().unwrap_or_default()
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
        let more = Ok(Described { id: "one".to_owned(), partitions: 5 });
        let said = identity.judge(more, "readings", ("one", 4), start).unwrap_err();
        assert!(said.contains("topic readings had 4 partitions and now has 5: keys go"), "{said}");
    }
}
