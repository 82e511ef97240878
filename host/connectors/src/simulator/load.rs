//! What customers draw: a base that follows the day, appliances that switch, heating that follows the
//! weather. Power and current of a meter vary by multiples within minutes, as real ones do.

use super::area::{Area, Calendar, Swing};
use super::random::Stream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Customer {
    Household,
    Commercial,
}

/// Three classes of appliance: small and always cycling (a fridge), medium, large (an oven, a kettle).
/// Shares are of the load's `scale`, duty is the share of time on at full activity, `on_s` the mean time on,
/// `tan` reactive per active power.
struct Appliance {
    share: f64,
    duty: f64,
    follows_activity: bool,
    on_s: f64,
    tan: f64,
}

const HOUSEHOLD: [Appliance; 3] = [
    Appliance { share: 0.03, duty: 0.35, follows_activity: false, on_s: 900.0, tan: 0.7 },
    Appliance { share: 0.20, duty: 0.35, follows_activity: true, on_s: 2_400.0, tan: 0.25 },
    Appliance { share: 0.45, duty: 0.14, follows_activity: true, on_s: 700.0, tan: 0.03 },
];

const COMMERCIAL: [Appliance; 3] = [
    Appliance { share: 0.08, duty: 0.40, follows_activity: false, on_s: 1_200.0, tan: 0.7 },
    Appliance { share: 0.15, duty: 0.50, follows_activity: true, on_s: 3_600.0, tan: 0.5 },
    Appliance { share: 0.20, duty: 0.25, follows_activity: true, on_s: 900.0, tan: 0.3 },
];

const HEATING_FROM_C: f64 = 16.0;
const HEATING_TAN: f64 = 0.2;

/// Mean activity of a week, of both profiles, near enough for ratings.
const ACTIVITY_MEAN: f64 = 0.35;

/// One load on one phase at one place of a feeder.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub meter: usize,
    pub phase: usize,
    customer: Customer,
    /// W; what the load might draw with all switched on.
    scale: f64,
    standby: f64,
    filter_vars: f64,
    base_tan: f64,
    /// W per K below `HEATING_FROM_C`.
    heating: f64,
    drift: Swing,
    on: [bool; 3],
    off_chance: [f64; 3],
}

impl Load {
    pub fn new(
        meter: usize,
        phase: usize,
        customer: Customer,
        scale: f64,
        step_s: f64,
        stream: &mut Stream,
    ) -> Self {
        let heats = customer == Customer::Household && stream.chance(0.35);
        let off_chance = appliances(customer).each_ref().map(|a| 1.0 - libm::exp(-step_s / a.on_s));
        Self {
            meter,
            phase,
            customer,
            scale,
            standby: stream.between(25.0, 90.0),
            filter_vars: stream.between(8.0, 35.0),
            base_tan: stream.between(0.22, 0.55),
            heating: if heats { stream.between(20.0, 70.0) } else { 0.0 },
            drift: Swing::new(0.2, 7_200.0, step_s, stream),
            on: [false; 3],
            off_chance,
        }
    }

    /// Active and reactive power now, W and var. Draws three numbers.
    pub fn step(&mut self, area: &Area, calendar: Calendar, stream: &mut Stream) -> (f64, f64) {
        let activity = match self.customer {
            Customer::Household => calendar.household,
            Customer::Commercial => calendar.commercial,
        };
        let wander = (1.0 + self.drift.step(stream)).clamp(0.3, 2.0);
        let flutter = (1.0 + 0.04 * stream.normal()).max(0.5);
        let base = (self.standby + self.scale * base_share(self.customer, activity) * wander) * flutter;
        let warmth = self.heating * (HEATING_FROM_C - area.outdoor).max(0.0) * flutter;
        let mut watts = base + warmth;
        let mut vars = self.filter_vars + base * self.base_tan + warmth * HEATING_TAN;
        let mut bits = stream.bits();
        for (n, appliance) in appliances(self.customer).iter().enumerate() {
            // 21 bits are enough to say whether something is switched.
            let draw = ((bits & 0x1f_ffff) as f64 + 0.5) / 2_097_152.0;
            bits >>= 21;
            let duty = appliance.duty * if appliance.follows_activity { activity } else { 1.0 };
            let off = self.off_chance[n];
            self.on[n] = if self.on[n] { draw >= off } else { draw < off * duty / (1.0 - duty) };
            if self.on[n] {
                watts += self.scale * appliance.share;
                vars += self.scale * appliance.share * appliance.tan;
            }
        }
        (watts, vars)
    }

    /// Active power averaged over a week at 5 °C, roughly, W.
    pub fn mean_watts(&self) -> f64 {
        let switched: f64 = appliances(self.customer)
            .iter()
            .map(|a| a.share * a.duty * if a.follows_activity { ACTIVITY_MEAN } else { 1.0 })
            .sum();
        let shares = base_share(self.customer, ACTIVITY_MEAN) + switched;
        self.standby + self.scale * shares + self.heating * 11.0
    }

    /// What it will hardly ever exceed, W: everything on, in frost.
    pub fn most_watts(&self) -> f64 {
        let switched: f64 = appliances(self.customer).iter().map(|a| a.share).sum();
        let shares = base_share(self.customer, 1.0) * 1.6 + switched;
        self.standby + self.scale * shares + self.heating * 24.0
    }
}

fn appliances(customer: Customer) -> &'static [Appliance; 3] {
    match customer {
        Customer::Household => &HOUSEHOLD,
        Customer::Commercial => &COMMERCIAL,
    }
}

fn base_share(customer: Customer, activity: f64) -> f64 {
    match customer {
        Customer::Household => 0.08 * (0.25 + activity),
        Customer::Commercial => 0.30 * (0.10 + activity),
    }
}
