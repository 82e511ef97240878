//! From what an author says to what the contract says.

use crate::contract::{self, Phase, Severity, Subject};
use crate::detector::{Info, Timestamp};
use crate::finding::Finding;

/// Findings of one call.
pub(crate) struct Outbox {
    /// The row under judgement.
    pub row: u32,
    /// What a finding speaks of that names nothing else.
    pub subject: Subject,
    pub findings: Vec<contract::Finding>,
    /// The first mistake of the detector's; the call then answers with it.
    pub mistake: Option<String>,
    /// Position among the chosen quantities by the detector's index; none for those that are not there.
    chosen_of: Vec<Option<u32>>,
    info: &'static Info,
}

impl Outbox {
    pub fn new(info: &'static Info, chosen_of: Vec<Option<u32>>) -> Self {
        Outbox { row: 0, subject: Subject::Reading, findings: Vec::new(), mistake: None, chosen_of, info }
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Result<Vec<contract::Finding>, String> {
        let findings = std::mem::take(&mut self.findings);
        self.mistake.take().map_or(Ok(findings), Err)
    }

    pub fn put(
        &mut self,
        phase: Phase,
        severity: Severity,
        finding: Finding,
        now: Timestamp,
        own_group: Option<&str>,
    ) {
        if finding.kind as usize >= self.info.kinds.len() {
            let (name, kinds) = (self.info.name, self.info.kinds.len());
            self.mistake.get_or_insert(format!(
                "{name} found something of kind {}, but has {kinds} kinds",
                finding.kind
            ));
            return;
        }
        let quantity = match finding.quantity.map(|index| self.chosen_of.get(index as usize)) {
            None => None,
            // One that is not there now: an episode from before may still name it.
            Some(Some(chosen)) => *chosen,
            Some(None) => {
                let (name, count) = (self.info.name, self.chosen_of.len());
                let index = finding.quantity.unwrap_or(0);
                self.mistake.get_or_insert(format!("{name} named quantity {index} of {count}"));
                return;
            }
        };
        let subject = match (finding.group, own_group) {
            (Some(name), _) => Subject::Group(name),
            (None, Some(name)) if finding.own_group => Subject::Group(name.to_owned()),
            (None, _) => self.subject.clone(),
        };
        self.findings.push(contract::Finding {
            row: self.row,
            subject,
            timestamp: finding.timestamp.unwrap_or(now),
            quantity,
            kind: finding.kind,
            phase,
            severity,
            // A score that is no number still comes with a finding, which was certain enough to tell.
            score: if finding.score.is_nan() { 1.0 } else { finding.score.clamp(0.0, 1.0) },
            since: finding.since,
            observed: finite(finding.observed),
            expected: finite(finding.expected),
            lower: finite(finding.lower),
            upper: finite(finding.upper),
            explanation: finding.explanation,
            details: finding.details,
        });
    }
}

/// JSON has no other numbers; an open end of a band is no limit.
fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}
