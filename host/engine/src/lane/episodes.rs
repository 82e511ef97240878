//! The episodes that a seat holds open, and how two seats differ in them.
//!
//! A candidate begins with what the one in the seat holds open. Since then, an episode is open with just one of them
//! where the two together have opened or closed it an odd number of times. Each keeps such a set of its own turns, and
//! the lane's goes to the candidate as it catches up: who takes the seat is told apart from who leaves it without a
//! walk over all that is open or that has come and gone, for which the lane would stand still.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gridwatch_core::anomaly::EpisodeKey;
use gridwatch_core::checkpoint::OpenEpisode;

pub type Open = BTreeMap<EpisodeKey, OpenEpisode>;

/// What is opened and closed by turns is here after an odd number of them.
pub type Turned = BTreeSet<EpisodeKey>;

/// Beyond that, a walk over all is no dearer.
const TURNED_MAX: usize = 1 << 14;

#[derive(Default)]
pub struct Episodes {
    open: Open,
    /// None: nobody is known to have had the same open, or too much has turned since.
    turned: Option<(Moment, Turned)>,
}

/// When two had the same open.
#[derive(Clone)]
pub struct Moment(Arc<()>);

impl Episodes {
    pub fn open(&self) -> &Open {
        &self.open
    }

    /// For a checkpoint.
    pub fn listed(&self) -> Vec<(EpisodeKey, OpenEpisode)> {
        self.open.iter().map(|(key, episode)| (key.clone(), *episode)).collect()
    }

    /// Raised, or other than it was.
    pub fn set(&mut self, key: &EpisodeKey, episode: OpenEpisode) {
        if self.open.insert(key.clone(), episode).is_none() {
            self.turn(key.clone());
        }
    }

    pub fn remove(&mut self, key: &EpisodeKey) {
        if self.open.remove(key).is_some() {
            self.turn(key.clone());
        }
    }

    /// None is open any more.
    pub fn take(&mut self) -> Open {
        std::mem::take(self).open
    }

    /// Somebody begins with just these.
    pub fn shared_now(&mut self) -> Moment {
        let now = Moment(Arc::new(()));
        self.same_since(now.clone());
        now
    }

    /// They are those that somebody else had open then.
    pub fn same_since(&mut self, since: Moment) {
        self.turned = Some((since, Turned::new()));
    }

    /// What has turned here is somebody else's to know from now on.
    pub fn take_turned(&mut self) -> Turned {
        self.turned.as_mut().map(|(_, keys)| std::mem::take(keys)).unwrap_or_default()
    }

    /// What has turned elsewhere.
    pub fn learn(&mut self, turned: Turned) {
        turned.into_iter().for_each(|key| self.turn(key));
    }

    fn turn(&mut self, key: EpisodeKey) {
        if let Some((_, keys)) = &mut self.turned
            && !keys.remove(&key)
        {
            keys.insert(key);
        }
        self.turned.take_if(|(_, keys)| keys.len() > TURNED_MAX);
    }
}

impl From<Open> for Episodes {
    fn from(open: Open) -> Self {
        Episodes { open, turned: None }
    }
}

/// What only the one has open, and only the other.
pub fn apart(one: &Episodes, other: &Episodes) -> (Open, Open) {
    match (&one.turned, &other.turned) {
        (Some((since, ones)), Some((others_since, others))) if Arc::ptr_eq(&since.0, &others_since.0) => {
            let mut only = (Open::new(), Open::new());
            for key in ones.symmetric_difference(others) {
                match (one.open.get(key), other.open.get(key)) {
                    (Some(episode), None) => only.0.insert(key.clone(), *episode),
                    (None, Some(episode)) => only.1.insert(key.clone(), *episode),
                    _ => None,
                };
            }
            only
        }
        _ => walked(&one.open, &other.open),
    }
}

/// The same where nothing is known of them: both are walked once, side by side.
fn walked(one: &Open, other: &Open) -> (Open, Open) {
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    let (mut only_one, mut only_other) = (Vec::new(), Vec::new());
    let copied = |(key, episode): (&EpisodeKey, &OpenEpisode)| (key.clone(), *episode);
    loop {
        let order = match (ones.peek(), others.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return (only_one.into_iter().collect(), only_other.into_iter().collect()),
        };
        match order {
            Ordering::Less => only_one.extend(ones.next().map(copied)),
            Ordering::Greater => only_other.extend(others.next().map(copied)),
            Ordering::Equal => {
                ones.next();
                others.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gridwatch_core::anomaly::PublicSubject;
    use gridwatch_core::finding::Severity;
    use proptest::prelude::*;

    use super::*;

    const EPISODE: OpenEpisode = OpenEpisode { since: 0, severity: Severity::Warning };

    fn key(name: impl ToString) -> EpisodeKey {
        let subject = PublicSubject::Sensor(name.to_string());
        EpisodeKey { subject, quantity: None, kind: "sag".to_owned() }
    }

    fn of(names: &str) -> Episodes {
        names.chars().map(|name| (key(name), EPISODE)).collect::<Open>().into()
    }

    #[test]
    fn what_only_one_has_is_found_wherever_it_stands() {
        for (one, other, only_one, only_other) in [
            ("", "", "", ""),
            ("ab", "", "ab", ""),
            ("", "ab", "", "ab"),
            ("abd", "bce", "ad", "ce"),
            ("bc", "abcd", "", "ad"),
        ] {
            let found = apart(&of(one), &of(other));
            assert_eq!(found, (of(only_one).open, of(only_other).open), "{one} and {other}");
        }
    }

    #[test]
    fn who_has_turned_too_much_or_is_taken_out_is_walked() {
        let mut one = of("ab");
        let mut other = of("ab");
        other.same_since(one.shared_now());
        for name in 0..=TURNED_MAX {
            other.set(&key(name), EPISODE);
        }
        assert!(other.turned.is_none());
        assert_eq!(apart(&one, &other).1.len(), TURNED_MAX + 1);
        assert_eq!(one.take().len(), 2);
        assert!(one.turned.is_none(), "nothing is known of what is empty");
    }

    proptest! {
        #[test]
        fn what_was_noted_since_tells_the_same_as_a_walk(
            begun in "[a-h]{0,8}",
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), "[a-l]", prop::bool::weighted(0.2)), 0..40),
            is_other_moment: bool,
        ) {
            let (mut one, mut other) = (of(&begun), of(&begun));
            other.same_since(one.shared_now());
            if is_other_moment {
                // Another candidate has begun meanwhile.
                one.set(&key("z"), EPISODE);
                one.shared_now();
            }
            for (is_one, is_raised, name, is_told) in steps {
                let whose = if is_one { &mut one } else { &mut other };
                match is_raised {
                    true => whose.set(&key(name), EPISODE),
                    false => whose.remove(&key(name)),
                }
                if is_told {
                    other.learn(one.take_turned());
                }
            }
            prop_assert_eq!(apart(&one, &other), walked(&one.open, &other.open));
        }
    }
}
