//! Answers that break the contract: each is named, none gets past the sandbox.

use std::sync::Arc;

use gridwatch_core::finding::{Phase, Severity, Subject};
use gridwatch_core::judge::{Call, Fault, Module, Saved, States};

use crate::guest::{FREE, Heard, Wat, alive, data, limits, load, observe};

/// The bytes of one finding as the canonical ABI lays it out.
struct Bytes([u8; 152]);

impl Bytes {
    fn good() -> Bytes {
        Bytes([0; 152]).put(16, &1000_i64.to_le_bytes()).put(40, &0.5_f64.to_le_bytes())
    }

    fn put(mut self, at: usize, bytes: &[u8]) -> Bytes {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// A guest that answers with this finding.
    fn answered_by(&self, function: &str) -> Wat {
        let list = [0, FREE + 16, 1].map(u32::to_le_bytes).concat();
        Wat::new()
            .field(&data(FREE, &list))
            .field(&data(FREE + 16, &self.0))
            .body(function, &format!("(i32.const {FREE})"))
    }
}

#[test]
fn a_finding_arrives_as_it_was_said() {
    let text = data(FREE + 512, b"feeder-07");
    let group = [2, FREE + 512, 9].map(u32::to_le_bytes).concat();
    let finding = Bytes::good()
        .put(0, &1_u32.to_le_bytes())
        .put(4, &group)
        .put(24, &[1])
        .put(36, &[2, 1])
        .put(48, &[1])
        .put(56, &5_i64.to_le_bytes())
        .put(64, &[1])
        .put(72, &203.1_f64.to_le_bytes());
    let wat = finding.answered_by("observe").field(&text);
    let found = observe(&mut *alive(&wat)).unwrap();
    assert_eq!(found.len(), 1);
    let finding = &found[0];
    assert_eq!((finding.row, finding.timestamp, finding.quantity, finding.kind), (1, 1000, Some(0), 0));
    assert_eq!(finding.subject, Subject::Group("feeder-07".to_owned()));
    assert_eq!((finding.phase, finding.severity), (Phase::Cleared, Severity::Warning));
    assert_eq!(
        (finding.score, finding.since, finding.observed, finding.upper),
        (0.5, Some(5), Some(203.1), None)
    );
    assert_eq!((&finding.explanation, finding.details.len()), (&None, 0));
}

#[test]
fn findings_that_make_no_sense() {
    let sensor = |n: u32| [1, n].map(u32::to_le_bytes).concat();
    for (finding, word) in [
        (Bytes::good().put(0, &2_u32.to_le_bytes()), "row 2 of 2"),
        (Bytes::good().put(32, &1_u32.to_le_bytes()), "kind 1 of 1"),
        (Bytes::good().put(24, &[1]).put(28, &1_u32.to_le_bytes()), "quantity 1 of 1"),
        (Bytes::good().put(40, &f64::NAN.to_le_bytes()), "the score NaN"),
        (Bytes::good().put(40, &1.5_f64.to_le_bytes()), "the score 1.5"),
        (Bytes::good().put(40, &(-0.5_f64).to_le_bytes()), "the score -0.5"),
        (Bytes::good().put(4, &sensor(3)), "sensor 3"),
        (Bytes::good().put(4, &sensor(u32::MAX)), "sensor 4294967295"),
        (Bytes::good().put(48, &[1]).put(56, &(-5_i64).to_le_bytes()), "the time -5 ms"),
        (Bytes::good().put(4, &[3]), "discriminant"),
        (Bytes::good().put(36, &[4]), "discriminant"),
        (Bytes::good().put(128, &[1]).put(132, &u32::MAX.to_le_bytes()), "out of bounds"),
    ] {
        let mut judge = alive(&finding.answered_by("observe"));
        let fault = observe(&mut *judge).unwrap_err();
        assert!(
            matches!(&fault, Fault::Contract { call: Call::Observe, what } if what.contains(word)),
            "{word}: {fault}"
        );
        assert!(matches!(observe(&mut *judge), Err(Fault::Host { .. })));
    }
}

#[test]
fn advance_has_no_reading_to_speak_of() {
    let mut judge = alive(&Bytes::good().answered_by("advance"));
    let fault = judge.advance(0).unwrap_err();
    assert!(
        matches!(&fault, Fault::Contract { call: Call::Advance, what } if what.contains("reading")),
        "{fault}"
    );

    let sensor = [1, 2].map(u32::to_le_bytes).concat();
    let wat = Bytes::good().put(0, &77_u32.to_le_bytes()).put(4, &sensor).answered_by("advance");
    let mut judge = alive(&wat);
    let found = judge.advance(0).unwrap();
    assert_eq!((found[0].row, &found[0].subject), (0, &Subject::Sensor(2)));
    judge.remove_sensors(&[2]).unwrap();
    assert!(matches!(judge.advance(0), Err(Fault::Contract { .. })));
}

#[test]
fn states_that_do_not_fit_their_sensors() {
    for (ends, bytes, word) in [
        (&[1_u32][..], 1_u32, "1 states for 2"),
        (&[2, 1], 1, "ascend"),
        (&[1, 2], 3, "end at byte 2 of 3"),
        (&[1, 2], 1, "end at byte 2 of 1"),
    ] {
        let answer = [0, FREE + 64, ends.len() as u32, FREE + 64, bytes].map(u32::to_le_bytes).concat();
        let ends: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let wat = Wat::new()
            .field(&data(FREE, &answer))
            .field(&data(FREE + 64, &ends))
            .body("save", &format!("(i32.const {FREE})"));
        let fault = alive(&wat).save(&[0, 1]).unwrap_err();
        assert!(
            matches!(&fault, Fault::Contract { call: Call::Save, what } if what.contains(word)),
            "{word}: {fault}"
        );
    }
}

#[test]
fn chosen_quantities_that_are_not_there() {
    for (indices, word) in [(&[1_u32][..], "quantity 1, of 1"), (&[0, 0], "twice")] {
        let answer = [0, FREE + 64, indices.len() as u32].map(u32::to_le_bytes).concat();
        let bytes: Vec<u8> = indices.iter().flat_map(|index| index.to_le_bytes()).collect();
        let wat = Wat::new()
            .field(&data(FREE, &answer))
            .field(&data(FREE + 64, &bytes))
            .body("configure", &format!("(i32.const {FREE})"));
        let mut judge = load(&wat).instantiate(limits(), Arc::new(Heard::default())).unwrap();
        let available = [gridwatch_core::reading::Quantity { name: "power".to_owned(), unit: None }];
        let fault = judge.configure("{}", &available).unwrap_err();
        assert!(
            matches!(&fault, Fault::Contract { call: Call::Configure, what } if what.contains(word)),
            "{fault}"
        );
    }
}

#[test]
fn traces_of_another_length() {
    let answer = [0, 1536, 1, FREE + 64, 3].map(u32::to_le_bytes).concat();
    let wat = Wat::new().field(&data(FREE, &answer)).body("trace", &format!("(i32.const {FREE})"));
    let batch = gridwatch_core::batch::BatchView {
        sensors: &[0],
        timestamps: &[0],
        values: &[1.0],
        marks: &[],
        malformed: &[],
    };
    let fault = alive(&wat).trace(batch).unwrap_err();
    assert!(matches!(&fault, Fault::Contract { what, .. } if what.contains("not 4")), "{fault}");
}

#[test]
fn a_refusal_is_the_guests_word_and_ends_only_what_it_must() {
    let answer = [1, FREE + 64, 7].map(u32::to_le_bytes).concat();
    let refusing = |function: &str| {
        Wat::new()
            .field(&data(FREE, &answer))
            .field(&data(FREE + 64, b"not so!"))
            .body(function, &format!("(i32.const {FREE})"))
    };
    let mut judge = alive(&refusing("restore"));
    let fault = judge.restore(&[0], &States { ends: vec![1], bytes: vec![7] }).unwrap_err();
    assert_eq!(fault, Fault::Refused { call: Call::Restore, message: "not so!".to_owned() });
    assert_eq!(observe(&mut *judge).unwrap(), []);
    judge.begin_restore(&Saved { quantities: vec!["voltage".to_owned()], ..Saved::default() }).unwrap();
    assert_eq!(judge.save_shared().unwrap(), [0_u8; 0]);

    let mut judge = alive(&refusing("observe"));
    assert!(matches!(observe(&mut *judge), Err(Fault::Refused { call: Call::Observe, .. })));
    assert!(matches!(observe(&mut *judge), Err(Fault::Host { .. })));
}

#[test]
fn the_hosts_own_mistake_is_not_blamed_on_the_guest() {
    let mut judge = alive(&Wat::new().body("observe", "(unreachable)"));
    let batch = gridwatch_core::batch::BatchView {
        sensors: &[0],
        timestamps: &[0],
        values: &[1.0, 2.0],
        marks: &[],
        malformed: &[],
    };
    assert!(matches!(judge.observe(batch), Err(Fault::Host { .. })));
}
