use gridwatch_sdk::prelude::*;

gridwatch_sdk::parameters!(pub Step { jump_max_v: f64 = 10.0 });

impl Rule for Step {
    const INFO: Info = gridwatch_sdk::info!(["voltage"], step: "voltage jumped");
    type State = Option<f64>;
    fn judge(&self, reading: &Reading, last: &mut Option<f64>, out: &mut Findings) {
        let now = reading.value(0);
        let before = last.replace(now).unwrap_or(now);
        if (now - before).abs() > self.jump_max_v {
            let step = || Finding::new(0).quantity(0).observed(now).expected(before);
            out.single(Severity::Warning, step);
        }
    }
}
gridwatch_sdk::export!(Step);
