//! The short form of `make fuzz`: whatever is sent, every message is judged or a dead letter with its reason.

use gridwatch_tests::fuzz;

#[test]
fn twenty_thousand_messages_of_all_kinds_are_accounted_for() {
    let account = fuzz::play(1, 20_000);
    assert!(account.is_good(), "{account}");
}
