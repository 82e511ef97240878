//! Whether the topic is still the one that was there at the start: another one of its name has another id, and its
//! offsets count something else.

use std::time::{Duration, Instant};

use gridwatch_core::record::SourceError;

use super::group::{Connected, Membership};
use super::raw::TopicQuestion;

/// Between an answer and the next question.
const INTERVAL: Duration = Duration::from_secs(5);

/// Asks for the topic's id again and again, and never waits for an answer.
#[derive(Default)]
pub struct Identity {
    question: Option<TopicQuestion<Membership>>,
    answered: Option<Instant>,
}

impl Identity {
    /// An error where the topic was recreated. What cannot be answered now is asked again.
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
        self.answered = Some(Instant::now());
        match id {
            Ok(id) if id != group.topic_id => Err(SourceError::Read {
                place: group.place(),
                what: format!(
                    "topic {topic} was recreated while it was read: its id is {id} and was {}. What is committed belongs \
                     to the one before. Remove the group's commits and the lanes' checkpoints to begin anew in this one",
                    group.topic_id
                ),
            }),
            Ok(_) => Ok(()),
            Err(code) => {
                tracing::debug!("the id of topic {topic} cannot be had: {code}");
                Ok(())
            }
        }
    }
}
