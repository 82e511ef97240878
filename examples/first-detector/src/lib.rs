use gridwatch_sdk::prelude::*;

gridwatch_sdk::parameters!(pub Step { jump_max_v: f64 = 10.0 });

impl Rule for Step {
    const INFO: Info = gridwatch_sdk::info!(["voltage"], step: "voltage jumps between two readings");
    type State = Option<f64>;
    fn judge(&self, reading: &Reading, last: &mut Option<f64>, out: &mut Findings) {
        let volts = reading.value(0);
        if let Some(before) = last.replace(volts).filter(|v| (volts - v).abs() > self.jump_max_v) {
            out.single(Severity::Warning, || Finding::new(0).quantity(0).observed(volts).expected(before));
        }
    }
}
gridwatch_sdk::export!(Step);
