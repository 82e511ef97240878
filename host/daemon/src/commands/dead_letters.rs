//! `gridwatch dead-letters replay`.

use std::collections::BTreeMap;

use gridwatch_connectors::kafka::{Letters, LettersSettings, Outbound, Stored, ToolError};
use gridwatch_core::reading::Reason;
use gridwatch_core::record::Header;
use serde_json::{Value, json};

use crate::account::grouped;
use crate::cli::{Edge, Failure, Out, ReplayLettersArgs};
use crate::config::{self, Config, KafkaSource, Source};
use crate::wiring::Signals;

/// Our own headers of a dead letter begin so; the record's own do not.
const OURS: &str = "gridwatch-";
/// How often a record was sent again: the only one of ours that goes with it, and comes back with it.
const REPLAYS: &str = "gridwatch-replays";
/// Who came back so often is not sent again unless somebody insists.
const REPLAYS_MAX: u32 = 3;
/// Sent and settled together.
const CHUNK_RECORDS: usize = 500;
const CHUNK_BYTES: usize = 4 << 20;

/// Each once, however often this is run: what was sent is remembered by a consumer group of its own.
pub fn replay_dead_letters(args: &ReplayLettersArgs) -> Result<(), Failure> {
    check_reasons(&args.reasons)?;
    let config = config::load(&args.config)?;
    let Some(Source::Kafka(kafka)) = &config.source else {
        let file = config.file.display();
        return Err(Failure::Arguments(format!("{file}: dead letters of a [source] of kind \"kafka\" only")));
    };
    let runtime = crate::service::http_runtime()?;
    let signals =
        Signals::watch(runtime.handle()).map_err(|error| Failure::Start(format!("signals: {error}")))?;
    let settings = settings(args, &config, kafka)?;
    let from = settings.from.clone();
    let mut letters = Letters::open(settings).map_err(super::connecting)?;
    let mut counts = Counts::default();
    let ended = resend(args, &kafka.topic, &mut letters, &mut counts, &signals);
    counts.report(args, &from, &kafka.topic)?;
    ended.map_err(|error| Failure::Ended(error.to_string()))
}

fn check_reasons(reasons: &[String]) -> Result<(), Failure> {
    let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    match reasons.iter().find(|reason| !known.contains(&reason.as_str())) {
        None => Ok(()),
        Some(reason) => {
            Err(Failure::Arguments(format!("--reason {reason}: is not known; known: {}", known.join(", "))))
        }
    }
}

fn settings(
    args: &ReplayLettersArgs,
    config: &Config,
    kafka: &KafkaSource,
) -> Result<LettersSettings, Failure> {
    Ok(LettersSettings {
        from: config.letters_topic(kafka),
        to: kafka.topic.clone(),
        group: format!("{}-dead-letters", kafka.group),
        properties: kafka.all_properties().map_err(Failure::Start)?,
        dry_run: args.dry_run,
    })
}

fn resend(
    args: &ReplayLettersArgs,
    topic: &str,
    letters: &mut Letters,
    counts: &mut Counts,
    signals: &Signals,
) -> Result<(), ToolError> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 && !signals.asked() {
        let Some(record) = letters.read()? else { break };
        let letter = Letter::of(&record);
        let verdict = if letters.is_done(&record) { Verdict::Before } else { letter.verdict(args, topic) };
        if verdict != Verdict::Send {
            counts.count(&letter, verdict);
            continue;
        }
        let partition = letter.partition.filter(|partition| (0..letters.partitions_to()).contains(partition));
        let headers = letter.headers();
        let key = record.key.as_deref();
        // Where it was before, so that its sensor finds its state: other producers may place keys differently.
        let outbound =
            Outbound { key, payload: &record.payload, partition, time_ms: None, headers: &headers };
        letters.send(&record, &outbound)?;
        left -= 1;
        bytes += record.payload.len();
        chunk.push(letter.reason.clone());
        if chunk.len() >= CHUNK_RECORDS || bytes >= CHUNK_BYTES {
            letters.settle()?;
            counts.sent(std::mem::take(&mut chunk));
            bytes = 0;
        }
    }
    letters.settle()?;
    counts.sent(chunk);
    Ok(())
}

/// What is to become of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Send,
    /// By this run's filters.
    LeftOut,
    /// Sent by an earlier run.
    Before,
    Truncated,
    TooOften,
    /// Of another topic, or not written by gridwatch.
    Foreign,
}

impl Verdict {
    fn refusal(self) -> Option<&'static str> {
        match self {
            Verdict::Send | Verdict::LeftOut | Verdict::Before => None,
            Verdict::Truncated => Some("truncated: not all of the record was kept (it was too large)"),
            Verdict::TooOften => Some("came back three times or more; --force sends it all the same"),
            Verdict::Foreign => Some("not a dead letter of this topic"),
        }
    }
}

/// What a dead letter's headers say.
struct Letter<'a> {
    record: &'a Stored,
    reason: String,
    topic: Option<String>,
    partition: Option<i32>,
    replays: u32,
    is_truncated: bool,
}

impl<'a> Letter<'a> {
    fn of(record: &'a Stored) -> Letter<'a> {
        // Ours come after the record's own.
        let header = |name: &str| {
            let found = record.headers.iter().rfind(|(key, _)| key.strip_prefix(OURS) == Some(name));
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        Letter {
            record,
            reason: header("reason").unwrap_or_default(),
            topic: header("topic"),
            partition: header("partition").and_then(|text| text.parse().ok()),
            replays: header("replays").and_then(|text| text.parse().ok()).unwrap_or(0),
            is_truncated: header("truncated").is_some(),
        }
    }

    fn verdict(&self, args: &ReplayLettersArgs, topic: &str) -> Verdict {
        // All detectors but one have judged a poison reading.
        let is_wanted = match args.reasons.as_slice() {
            [] => self.reason != Reason::Poison.name(),
            reasons => reasons.contains(&self.reason),
        };
        if !is_wanted || !self.is_between(args.from, args.to) {
            return Verdict::LeftOut;
        }
        if self.topic.as_deref() != Some(topic) {
            return Verdict::Foreign;
        }
        if self.is_truncated {
            return Verdict::Truncated;
        }
        if self.replays >= REPLAYS_MAX && !args.force {
            return Verdict::TooOften;
        }
        Verdict::Send
    }

    fn is_between(&self, from: Option<Edge>, to: Option<Edge>) -> bool {
        let is_before = |edge| match edge {
            Edge::Offset(offset) => self.record.offset < offset,
            Edge::TimeMs(time_ms) => self.record.time_ms.unwrap_or(0) < time_ms,
        };
        !from.is_some_and(is_before) && to.is_none_or(is_before)
    }

    /// The record's own headers, and how often it has been sent again.
    fn headers(&self) -> Vec<Header> {
        let own = self.record.headers.iter().filter(|(name, _)| !name.starts_with(OURS)).cloned();
        let replays = self.replays.saturating_add(1).to_string().into_bytes();
        own.chain([(REPLAYS.to_owned(), replays)]).collect()
    }
}

/// How many of each reason became what.
#[derive(Default)]
struct Counts {
    sent: BTreeMap<String, u64>,
    others: BTreeMap<(Verdict, String), u64>,
}

impl Counts {
    fn sent(&mut self, reasons: Vec<String>) {
        for reason in reasons {
            *self.sent.entry(reason).or_default() += 1;
        }
    }

    fn count(&mut self, letter: &Letter<'_>, verdict: Verdict) {
        let Letter { record, reason, .. } = letter;
        if let Some(why) = verdict.refusal() {
            tracing::warn!(partition = record.partition, offset = record.offset, reason, "not sent: {why}");
        }
        *self.others.entry((verdict, reason.clone())).or_default() += 1;
    }

    fn of(&self, wanted: impl Fn(Verdict) -> bool) -> BTreeMap<String, u64> {
        let mut by_reason = BTreeMap::new();
        for ((_, reason), count) in self.others.iter().filter(|((verdict, _), _)| wanted(*verdict)) {
            *by_reason.entry(reason.clone()).or_default() += count;
        }
        by_reason
    }

    fn report(&self, args: &ReplayLettersArgs, from: &str, to: &str) -> Result<(), Failure> {
        let refused = self.of(|verdict| verdict.refusal().is_some());
        let before = self.of(|verdict| verdict == Verdict::Before);
        let left_out = self.of(|verdict| verdict == Verdict::LeftOut);
        let columns = [&self.sent, &refused, &before, &left_out];
        let mut out = Out::new();
        if args.json {
            let [sent, refused, before, left_out] = columns.map(|column| json!(column));
            let report: Value = json!({
                "from": from, "to": to, "dry_run": args.dry_run,
                "sent": sent, "refused": refused, "sent_before": before, "left_out": left_out,
            });
            out.line(report.to_string())?;
            out.flush()?;
            return Ok(());
        }
        let row = |name: &str, cells: [String; 4]| {
            let [sent, refused, before, left_out] = cells;
            format!("{name:<20} {sent:>12} {refused:>12} {before:>12} {left_out:>12}")
        };
        let sent = if args.dry_run { "would send" } else { "sent" };
        out.line(row("reason", [sent, "refused", "sent before", "left out"].map(str::to_owned)))?;
        let mut reasons: Vec<&String> = columns.iter().flat_map(|column| column.keys()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let name = if reason.is_empty() { "(none)" } else { reason };
            out.line(row(name, columns.map(|column| grouped(column.get(reason).copied().unwrap_or(0)))))?;
        }
        let all = columns.map(|column| grouped(column.values().sum()));
        out.line(row("all", all))?;
        out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command, DeadLettersCommand};

    fn args(line: &str) -> ReplayLettersArgs {
        let words = format!("gridwatch dead-letters replay -c a {line}");
        match Arguments::try_parse_from(words.split_whitespace()).unwrap().command {
            Command::DeadLetters { command: DeadLettersCommand::Replay(args) } => args,
            _ => panic!(),
        }
    }

    fn stored(headers: &[(&str, &str)]) -> Stored {
        let usual = [("gridwatch-reason", "not_json"), ("gridwatch-topic", "readings")];
        let headers = [&usual, headers].concat();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        Stored {
            partition: 0,
            offset: 7,
            time_ms: Some(1_767_571_200_000),
            key: None,
            payload: vec![],
            headers: headers.collect(),
        }
    }

    fn verdict(line: &str, headers: &[(&str, &str)]) -> Verdict {
        Letter::of(&stored(headers)).verdict(&args(line), "readings")
    }

    #[test]
    fn each_letter_has_one_verdict() {
        assert_eq!(verdict("", &[]), Verdict::Send);
        assert_eq!(verdict("--reason not_json --reason poison", &[]), Verdict::Send);
        assert_eq!(verdict("--reason poison", &[]), Verdict::LeftOut);
        assert_eq!(verdict("", &[("gridwatch-reason", "poison")]), Verdict::LeftOut);
        assert_eq!(verdict("--reason poison", &[("gridwatch-reason", "poison")]), Verdict::Send);
        assert_eq!(verdict("--from 7 --to 8", &[]), Verdict::Send);
        assert_eq!(verdict("--from 8", &[]), Verdict::LeftOut);
        assert_eq!(verdict("--to 7", &[]), Verdict::LeftOut);
        assert_eq!(verdict("--from 2026-01-05T00:00:00Z --to 2026-01-05T00:00:01Z", &[]), Verdict::Send);
        assert_eq!(verdict("--to 2026-01-05T00:00:00Z", &[]), Verdict::LeftOut);
        assert_eq!(verdict("", &[("gridwatch-truncated", "true")]), Verdict::Truncated);
        assert_eq!(verdict("", &[("gridwatch-replays", "2")]), Verdict::Send);
        assert_eq!(verdict("", &[("gridwatch-replays", "3")]), Verdict::TooOften);
        assert_eq!(verdict("--force", &[("gridwatch-replays", "3")]), Verdict::Send);
        let elsewhere = stored(&[]);
        assert_eq!(Letter::of(&elsewhere).verdict(&args(""), "other"), Verdict::Foreign);
        let nobodys = Stored { headers: vec![], ..elsewhere };
        assert_eq!(Letter::of(&nobodys).verdict(&args(""), "readings"), Verdict::Foreign);
    }

    #[test]
    fn own_headers_stay_and_ours_become_a_count() {
        let record = stored(&[("trace", "a"), ("gridwatch-replays", "1"), ("trace", "b")]);
        let headers = Letter::of(&record).headers();
        let text: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (&**name, std::str::from_utf8(value).unwrap())).collect();
        assert_eq!(text, [("trace", "a"), ("trace", "b"), ("gridwatch-replays", "2")]);
    }

    #[test]
    fn reasons_that_there_are_not_are_refused() {
        assert!(check_reasons(&["not_json".into(), "no_timestamp".into()]).is_ok());
        let error = check_reasons(&["poisonous".into()]).unwrap_err();
        assert!(error.status() == 2 && error.to_string().contains("known: not_json, "), "{error}");
    }
}
