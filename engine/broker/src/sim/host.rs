//! The machine that the broker runs on: its files, its boots, and the broker's lives on it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::sim::{DriverId, SimFiles, World};

use super::{Violation, checks};
use crate::bring_up::{self, StartError};
use crate::event_loop::EventLoop;
use crate::limits::Budget;
use crate::settings::Settings;

/// Receive buffers of a shard, and the bytes of one: few and small, so that they run out and frames do not fit.
const RECEIVE_BUFFERS: u16 = 8;
const RECEIVE_BUFFER_BYTES: usize = 4 << 10;

/// See the head of the file.
pub(super) struct Host {
    settings: Arc<Settings>,
    budget: Budget,
    pub(super) files: Rc<SimFiles>,
    /// How often the machine was started: one more than it lost its power.
    pub(super) boots: u32,
    shards: BTreeMap<DriverId, EventLoop>,
    /// Shards that ended in order, and what they closed.
    ended: Vec<bring_up::Closed>,
    desk: Option<crate::controller_desk::Desk>,
    order: Vec<DriverId>,
}

impl Host {
    pub(super) fn new(settings: Arc<Settings>, budget: Budget, files: Rc<SimFiles>) -> Self {
        Self {
            settings,
            budget,
            files,
            boots: 1,
            shards: BTreeMap::new(),
            ended: Vec::new(),
            desk: None,
            order: Vec::new(),
        }
    }

    /// Whether the broker runs.
    pub(super) fn is_up(&self) -> bool {
        !self.shards.is_empty()
    }

    /// Starts the broker: the steps of [`bring_up`], one after the other.
    pub(super) fn start(&mut self, world: &World) -> Result<(), StartError> {
        let result = self.try_start(world);
        if result.is_err() {
            self.kill(world);
        }
        result
    }

    fn try_start(&mut self, world: &World) -> Result<(), StartError> {
        (self.ended, self.desk, self.order) = (Vec::new(), None, Vec::new());
        let mut bound = Vec::new();
        for shard in 0..self.settings.shards() {
            let (id, driver) = world.driver(&self.files, RECEIVE_BUFFERS, RECEIVE_BUFFER_BYTES);
            self.order.push(id);
            bound.push(bring_up::bind(&self.settings, shard, driver, |driver, address| driver.listen(address))?);
        }
        let ports: Vec<u16> = bound.iter().map(|one| one.port).collect();
        let addresses: Vec<_> = bound.iter().map(|one| one.address.clone()).collect();
        let boot_id = format!("boot-{}", self.boots);
        let (desk, loaded) = bring_up::lead(&self.settings, &mut bound[0], &ports, boot_id)?;
        let mut desk = Some(desk);
        for (shard, (one, id)) in bound.into_iter().zip(self.order.clone()).enumerate() {
            let led = (desk.take(), addresses.clone());
            self.shards.insert(id, bring_up::load((&self.settings, self.budget), shard, one, led, &loaded)?);
        }
        Ok(())
    }

    /// A turn of one shard's thread. Its death by an error is one of the broker's.
    pub(super) fn step(&mut self, world: &World, who: DriverId) -> Result<(), Violation> {
        let Some(event_loop) = self.shards.get_mut(&who) else { return Ok(()) };
        let runs = event_loop.step().map_err(|error| Violation(format!("a shard died: {error}")))?;
        if !self.files.is_powered() {
            self.lose_power(world);
        } else if runs {
            checks::after_turn(&event_loop.shard.vitals(), &self.budget)?;
            world.sleep(who, event_loop.next_deadline());
        } else {
            self.end(world, who)?;
        }
        Ok(())
    }

    /// A shard stopped in order. The last one lets shard 0 note how.
    fn end(&mut self, world: &World, who: DriverId) -> Result<(), Violation> {
        let Some(event_loop) = self.shards.remove(&who) else { return Ok(()) };
        let (closed, desk) = bring_up::close(event_loop);
        self.ended.push(closed);
        self.desk = desk.or(self.desk.take());
        world.kill(who);
        if let Some(desk) = self.desk.take_if(|_| self.shards.is_empty()) {
            drop(bring_up::note_stop(desk, std::mem::take(&mut self.ended).into_iter()));
            if !self.files.is_powered() {
                self.lose_power(world);
            }
        }
        Ok(())
    }

    /// Asks the broker to stop.
    pub(super) fn stop(&self, world: &World) {
        if let Some(first) = self.order.first() {
            world.signal(*first, crate::SIGTERM);
        }
    }

    /// kill -9.
    pub(super) fn kill(&mut self, world: &World) {
        self.order.iter().for_each(|id| world.kill(*id));
        self.shards.clear();
        (self.ended, self.desk) = (Vec::new(), None);
    }

    /// The power goes, and comes back.
    pub(super) fn lose_power(&mut self, world: &World) {
        self.order.iter().for_each(|id| world.vanish(*id));
        self.shards.clear();
        (self.ended, self.desk) = (Vec::new(), None);
        self.files.power_on();
        self.boots += 1;
    }

    /// A shard that runs, by number.
    pub(super) fn shard(&self, number: usize) -> Option<DriverId> {
        let running: Vec<DriverId> = self.shards.keys().copied().collect();
        (!running.is_empty()).then(|| running[number % running.len()])
    }

    pub(super) fn has_connections(&self) -> bool {
        self.shards.values().any(|event_loop| event_loop.shard.vitals().connections > 0)
    }

    /// Nothing is left over of what clients asked: they are gone.
    pub(super) fn check_quiet(&self) -> Result<(), Violation> {
        self.shards.values().try_for_each(|event_loop| checks::when_quiet(&event_loop.shard.vitals()))
    }
}
