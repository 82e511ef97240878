//! How a lane begins: cold, or as a checkpoint and a commit left it; and how it is saved.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gridwatch_core::account::Account;
use gridwatch_core::anomaly::Origin;
use gridwatch_core::assets::Assets;
use gridwatch_core::checkpoint::{Checkpoint, DetectorState, Place, Role, SourcePart, difference};
use gridwatch_core::clock::LaneClock;
use gridwatch_core::decision::{Chronicle, Decision, What};
use gridwatch_core::judge::Fault;
use gridwatch_core::reading::{Quantity, Reading};
use gridwatch_core::record::Position;
use gridwatch_core::sensors::SensorTable;
use gridwatch_core::sink::Delivery;
use gridwatch_core::unfound::Sought;

use super::builder::Builder;
use super::fallen::Fell;
use super::recent::Recent;
use super::schemas::{SchemaSource, Schooling};
use super::seat::Seat;
use super::succession::{Hidden, HiddenRole};
use super::{Lane, LaneError, Output, Replay, merged};
use crate::deployment::{Deployment, Deployments, GoneDeployment};
use crate::history::History;
use crate::settings::LaneSettings;

/// What a lane is made of.
#[derive(Clone)]
pub struct LaneParts {
    pub name: String,
    pub origin: Origin,
    pub settings: LaneSettings,
    pub assets: Arc<Assets>,
    /// What positions count in.
    pub source: Vec<SourcePart>,
    pub delivery: Delivery,
    /// Detectors that are there but may not run now (refused, disabled): their states are kept.
    pub dormant: Vec<String>,
    pub deployments: Vec<Arc<Deployment>>,
    pub batch_rows_max: usize,
    /// Where schemas of records are. Set where `settings.checks_schemas` is.
    pub schemas: Option<SchemaSource>,
    /// What ran once. None without a roster: then what runs today takes over what it finds.
    pub past: Option<Arc<dyn Deployments>>,
    /// Where the lane's own past is, where it can be had.
    pub history: Option<History>,
}

/// Where an earlier life stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    pub checkpoint: Checkpoint,
    /// Everything before it was published.
    pub committed: Position,
    /// Taken between the checkpoint and the commit.
    pub decisions: Vec<Decision>,
}

impl Lane {
    /// A lane that knows nothing and begins at `position`.
    pub fn cold(parts: LaneParts, position: Position) -> Result<Lane, LaneError> {
        let sensors = SensorTable::new(parts.settings.sensors_max);
        let (mut lane, deployments) = Lane::empty(parts, position, Vec::new(), sensors)?;
        for deployment in deployments {
            let seat =
                Seat::cold(deployment.clone(), &[]).map_err(|fault| lane.start_error(&deployment, fault))?;
            lane.seats.push(seat);
        }
        Ok(lane)
    }

    /// A lane as a checkpoint has it; what follows up to the committed position is to be read again, and
    /// is lived in silence.
    pub fn resume(mut parts: LaneParts, resume: Resume) -> Result<Lane, LaneError> {
        let Resume { checkpoint, committed, mut decisions } = resume;
        let inconsistent =
            |what: &str| LaneError::Inconsistent { lane: checkpoint.lane.clone(), what: what.into() };
        let settings: LaneSettings = serde_json::from_str(&checkpoint.settings)
            .map_err(|error| inconsistent(&format!("its settings cannot be read: {error}")))?;
        if let Some(what) = difference(&checkpoint.source, &parts.source) {
            return Err(LaneError::OtherSource { lane: checkpoint.lane.clone(), position: committed, what });
        }
        let wanted = std::mem::replace(&mut parts.settings, settings);
        let (dormant, past) = (parts.dormant.clone(), parts.past.clone());
        let sensors = SensorTable::restore(checkpoint.sensors.clone().into_inner(), wanted.sensors_max)
            .ok_or_else(|| inconsistent("its tables of sensors disagree"))?;
        let (mut lane, deployments) =
            Lane::empty(parts, checkpoint.position, checkpoint.quantities.clone(), sensors)?;
        lane.clock = checkpoint.clock.clone();
        (lane.tick, lane.told) = (checkpoint.tick, checkpoint.tick);
        lane.chronicle = checkpoint.chronicle.clone();
        lane.settled = committed;
        // What an earlier life had decided for later may stand before what the life after it decided.
        decisions.sort_by_key(|decision| decision.position);
        lane.schooling.restore(checkpoint.schemas_unknown.clone(), &mut decisions);
        let named = decisions.iter().filter_map(|decision| match &decision.what {
            What::Prepare { detector, generation }
            | What::Back { detector, generation }
            | What::Promote { detector, generation }
            | What::Rename { detector, generation } => Some((detector.clone(), *generation)),
            _ => None,
        });
        let mut deployments_named = BTreeMap::new();
        for (detector, generation) in named {
            if let Some(deployment) = lane.recall(past.as_deref(), &detector, generation)? {
                deployments_named.insert((detector, generation), deployment);
            }
        }
        lane.replay = Replay {
            active: true,
            silent_until: committed,
            decisions: VecDeque::from(decisions),
            assets_changed: wanted.assets_digest != lane.settings.assets_digest,
            settings: Some(wanted),
            gone: Vec::new(),
            closed: Vec::new(),
            deployments: deployments_named,
            has_roster: past.is_some(),
        };
        lane.seat_all(checkpoint.detectors, &checkpoint.quantities, deployments, past.as_deref(), &dormant)?;
        lane.relive(checkpoint.position)?;
        Ok(lane)
    }

    /// Everybody takes the seat that a checkpoint has for them: as the one they were then, where that is still to
    /// be had; what else is to run comes later, as a decision. Without a roster, what is there today takes over.
    fn seat_all(
        &mut self,
        states: Vec<DetectorState>,
        quantities: &[Quantity],
        today: Vec<Arc<Deployment>>,
        past: Option<&dyn Deployments>,
        dormant: &[String],
    ) -> Result<(), LaneError> {
        let mut left = Vec::new();
        for state in states {
            let Place { generation, role } = state.place;
            if role == Role::Dormant && past.is_some() {
                self.dormant.push(state);
                continue;
            }
            let deployment = if generation == 0 { None } else { self.recall(past, &state.name, generation)? };
            match (deployment, role) {
                (None, Role::Live | Role::Dormant) => left.push(state),
                (None, Role::Warm | Role::Shadow) => {}
                (Some(deployment), Role::Live | Role::Dormant) => {
                    let seat = self.seat(deployment, quantities, Some(state))?;
                    self.seats.push(seat);
                }
                (Some(deployment), Role::Warm | Role::Shadow) => {
                    let (warm, shadow) = (HiddenRole::Warm, HiddenRole::Shadow(Box::default()));
                    let role = if role == Role::Warm { warm } else { shadow };
                    match Seat::restored(deployment.clone(), quantities, &self.sensors, state, self.tick) {
                        Ok(seat) => self.hidden.push(Hidden { seat, role }),
                        Err(fault) => self.note_fell(vec![Fell { role, deployment, fault }])?,
                    }
                }
            }
        }
        for deployment in today {
            let is_it = |name: &str| name == deployment.name;
            if self.seats.iter().any(|seat| is_it(&seat.deployment.name)) {
                continue;
            }
            let state = left.iter().position(|state| is_it(&state.name)).map(|at| left.swap_remove(at));
            if state.is_some() || past.is_none() {
                let seat = self.seat(deployment, quantities, state)?;
                self.seats.push(seat);
            }
        }
        self.seats.sort_by(|a, b| a.deployment.name.cmp(&b.deployment.name));
        // What they hold open was cleared when they were quarantined.
        left.iter_mut().filter(|state| state.quarantine.is_some()).for_each(|state| state.episodes.clear());
        let (dormant, gone): (Vec<_>, _) = left.into_iter().partition(|state| dormant.contains(&state.name));
        self.dormant.extend(dormant);
        self.replay.gone = gone;
        Ok(())
    }

    /// What ran once, if it is still to be had.
    fn recall(
        &self,
        past: Option<&dyn Deployments>,
        detector: &str,
        generation: u64,
    ) -> Result<Option<Arc<Deployment>>, LaneError> {
        match past.map(|past| past.deployment(detector, generation)) {
            None => Ok(None),
            Some(Ok(deployment)) => Ok(Some(deployment)),
            Some(Err(what @ GoneDeployment::Store { .. })) => {
                let (lane, detector) = (self.name.clone(), detector.to_owned());
                Err(LaneError::Past { lane, detector, generation, what })
            }
            Some(Err(what)) => {
                tracing::warn!(
                    lane = self.name,
                    detector,
                    generation,
                    "what ran cannot be had any more: {what}"
                );
                Ok(None)
            }
        }
    }

    /// Everything that the next life needs, as of `next`.
    pub fn checkpoint(&mut self) -> Result<Checkpoint, LaneError> {
        self.flush()?;
        self.relive_schemas(self.next);
        let quantities = self.decoder.quantities().to_vec();
        let mut detectors = Vec::with_capacity(self.seats.len());
        for at in 0..self.seats.len() {
            let state = loop {
                match self.seats[at].save(&quantities) {
                    Ok(state) => break state,
                    Err(fault) => self.leave(at, &fault)?,
                }
            };
            detectors.push(state);
        }
        self.for_each_hidden(|hidden, lane| {
            let Some(role) = hidden.public_role() else { return Ok(()) };
            let mut state = hidden.seat.save(lane.quantities)?;
            state.place.role = role;
            detectors.push(state);
            Ok(())
        })?;
        detectors.extend(self.dormant.iter().cloned().map(|mut state| {
            state.place.role = Role::Dormant;
            state
        }));
        self.tape = None;
        let settings = serde_json::to_string(&self.settings)
            .map_err(|error| LaneError::Inconsistent { lane: self.name.clone(), what: error.to_string() })?;
        Ok(Checkpoint {
            lane: self.name.clone(),
            position: self.next,
            source: self.source.clone(),
            settings,
            quantities,
            sensors: self.sensors.save().into(),
            clock: self.clock.clone(),
            tick: self.tick,
            detectors,
            schemas_unknown: self.schooling.unknown(),
            chronicle: self.chronicle.clone(),
        })
    }

    fn seat(
        &self,
        deployment: Arc<Deployment>,
        quantities: &[Quantity],
        state: Option<DetectorState>,
    ) -> Result<Seat, LaneError> {
        let Some(state) = state else {
            return Seat::cold(deployment.clone(), quantities)
                .map_err(|fault| self.start_error(&deployment, fault));
        };
        let from_version = state.saved.state_version;
        Seat::restored(deployment.clone(), quantities, &self.sensors, state, self.tick).map_err(|fault| {
            LaneError::State {
                lane: self.name.clone(),
                detector: deployment.name.clone(),
                from_version,
                fault,
            }
        })
    }

    fn start_error(&self, deployment: &Deployment, fault: Fault) -> LaneError {
        LaneError::Start { lane: self.name.clone(), detector: deployment.name.clone(), fault }
    }

    /// The lane without seats, and who is to sit in it, in the order of their names.
    fn empty(
        parts: LaneParts,
        position: Position,
        quantities: Vec<Quantity>,
        sensors: SensorTable,
    ) -> Result<(Lane, Vec<Arc<Deployment>>), LaneError> {
        let recipe = parts.history.is_some().then(|| Box::new(parts.clone()));
        let LaneParts {
            name,
            origin,
            settings,
            assets,
            source,
            delivery,
            mut deployments,
            batch_rows_max,
            schemas,
            ..
        } = parts;
        deployments.sort_by(|a, b| a.name.cmp(&b.name));
        let mut batch = Builder::new(batch_rows_max);
        batch.set_quantities(quantities.len());
        let decoder = settings.decoder(&name, quantities)?;
        let lane = Lane {
            name,
            origin,
            settings,
            assets,
            source,
            delivery,
            schooling: Schooling::new(schemas),
            decoder,
            sought: Sought::default(),
            sensors,
            clock: LaneClock::default(),
            tick: None,
            batch,
            rejected: Vec::new(),
            seats: Vec::new(),
            hidden: Vec::new(),
            fallen: Vec::new(),
            graveyard: None,
            tape: None,
            recent: Recent::default(),
            dormant: Vec::new(),
            next: position,
            replay: Replay::default(),
            output: Output { position, ..Output::default() },
            chronicle: Chronicle::default(),
            durable: None,
            recipe,
            patience: Cell::default(),
            skips: Vec::new(),
            told: None,
            watched: None,
            capsules: Vec::new(),
            withheld: None,
            settled: position,
            account: Account::default(),
            reading: Reading::default(),
            witness: None,
        };
        Ok((lane, deployments))
    }

    /// The lane is where the earlier life stopped: from here on it speaks, under today's settings.
    pub(super) fn end_replay(&mut self) -> Result<(), LaneError> {
        if !std::mem::take(&mut self.replay.active) {
            return Ok(());
        }
        self.flush()?;
        self.bury();
        let Some(settings) = self.replay.settings.take() else { return Ok(()) };
        if settings.decode != self.settings.decode || settings.format != self.settings.format {
            self.decoder = settings.decoder(&self.name, self.decoder.quantities().to_vec())?;
        }
        self.settings = settings;
        self.sought = Sought::default();
        if std::mem::take(&mut self.replay.assets_changed) {
            self.reattribute()?;
        }
        Ok(())
    }

    /// Clears the episodes of detectors that run no more, and of those that began anew: a decision, since
    /// the checkpoint still has them open.
    fn bury(&mut self) {
        let mut dead: Vec<([String; 3], BTreeMap<_, _>, &str)> = Vec::new();
        for gone in std::mem::take(&mut self.replay.gone) {
            tracing::warn!(lane = self.name, detector = gone.name, "runs no more; its state is dropped");
            let episodes = gone.episodes.into_iter().collect();
            dead.push(([gone.name, gone.version, gone.digest], episodes, "runs no more"));
        }
        for seat in &mut self.seats {
            let (deployment, orphans) = (&seat.deployment, std::mem::take(&mut seat.orphans));
            let version = deployment.module.descriptor().version.clone();
            let who = [deployment.name.clone(), version, deployment.module.digest().to_owned()];
            if !orphans.is_empty() {
                dead.push((who, orphans, "began anew, without the state that was left"));
            }
        }
        let position = self.replay.silent_until;
        for ([name, version, digest], episodes, why) in dead {
            if self.replay.closed.contains(&name) {
                continue;
            }
            let explanation = format!("closed by the host: detector {name} {why}");
            self.clear([&name, &version, &digest], &episodes, &explanation, position);
            self.decide_at(position, What::Closed { detector: name });
        }
    }

    /// The assets have changed: known sensors keep what their readings said and get the rest anew.
    fn reattribute(&mut self) -> Result<(), LaneError> {
        let names = self.settings.decode.attributes.clone();
        for sensor in 0..self.sensors.len() as u32 {
            let said: Vec<(u16, String)> = names
                .iter()
                .enumerate()
                .filter(|(at, _)| self.sensors.is_given(sensor, *at as u16))
                .filter_map(|(at, path)| {
                    let value = super::lookup(self.sensors.attributes(sensor), &path.name)?;
                    Some((at as u16, value.clone()))
                })
                .collect();
            let attributes = merged(&names, &said, self.assets.get(self.sensors.id(sensor)));
            if attributes != *self.sensors.attributes(sensor) {
                self.change_attributes(sensor, attributes)?;
            }
        }
        Ok(())
    }
}
