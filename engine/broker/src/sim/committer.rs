//! A consumer that stores its offsets: a commit and a look at it in one write, so that the look must show the commit.

use std::collections::BTreeMap;

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::offset_commit::OffsetCommitRequest;
use ringlog_wire::messages::offset_fetch::OffsetFetchRequest;

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::line::{Flight, Line};
use super::requests::{self, Named};

/// The topic whose first partition it stores offsets for.
const TOPIC: &str = "t0";
/// How long a commit may still be on its way after its connection is gone.
const GHOST_NS: u64 = 12_000_000_000;

/// What was stored for one life of the topic.
#[derive(Clone, Copy, Debug)]
struct Stored {
    first: i64,
    last: i64,
    acknowledged: i64,
    /// The era of that: commits are not flushed, and what a power cut took was not promised.
    era: u32,
}

/// See the head of the file.
pub(super) struct Committer {
    line: Line<Ask>,
    group: String,
    coordinator: Option<u16>,
    next_offset: i64,
    stored: BTreeMap<usize, Stored>,
    ghosts_until: Nanos,
    due: Nanos,
}

impl Committer {
    pub(super) fn new(client: usize) -> Self {
        Self {
            line: Line::new(client),
            group: format!("group-{client}"),
            coordinator: None,
            next_offset: 1_000,
            stored: BTreeMap::new(),
            ghosts_until: Nanos(0),
            due: Nanos(0),
        }
    }

    /// The life of the topic, where it is there for certain.
    fn life(scene: &Scene) -> Option<usize> {
        let topic = scene.ledger.topics.get(TOPIC)?;
        topic.id().map(|_| topic.lives.len())
    }

    fn commit_and_look(&mut self, scene: &mut Scene, life: usize) -> Result<(), Violation> {
        let offset = self.next_offset;
        self.next_offset += 1;
        let era = scene.ledger.era;
        let fresh = Stored { first: offset, last: offset, acknowledged: -1, era };
        let stored = self.stored.entry(life).or_insert(fresh);
        stored.last = offset;
        let request = requests::commit(&self.group, ("", -1), (Named::Name(TOPIC), 0), offset);
        self.line.ask(scene.now, 9, &request, &[], Some(Ask::Commit { offset, era }))?;
        self.look(scene, life)
    }

    fn look(&mut self, scene: &mut Scene, life: usize) -> Result<(), Violation> {
        let request = requests::committed(&self.group, None, (Named::Name(TOPIC), 0));
        let ask = Ask::Committed { life, era: scene.ledger.era };
        self.line.ask(scene.now, 8, &request, &[], Some(ask))
    }

    /// What a look shows, against what was stored for this life of the topic.
    fn check(&self, scene: &Scene, offset: i64, (life, era): (usize, u32)) -> Result<(), Violation> {
        let may_be_ghosts = self.ghosts_until > scene.now;
        if Self::life(scene) != Some(life) || era != scene.ledger.era {
            return Ok(());
        }
        let wrong = |what: &str| Err(Violation(format!("{}: {offset} is stored, {what}", self.group)));
        match self.stored.get(&life) {
            Some(stored) if stored.era == era && offset < stored.acknowledged => {
                wrong(&format!("{} was acknowledged before", stored.acknowledged))
            }
            Some(stored) if offset > stored.last => wrong("which nobody stored"),
            Some(stored) if offset >= 0 && offset < stored.first && !may_be_ghosts => {
                wrong("which was stored before the topic was deleted")
            }
            None if offset >= 0 && !may_be_ghosts => wrong("which was stored before the topic was deleted"),
            _ => Ok(()),
        }
    }
}

impl Client for Committer {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        if scene.phase != Phase::Storm && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            return Ok(());
        }
        if self.due > scene.now {
            return Ok(());
        }
        self.due = scene.in_ms(100, 500);
        if self.line.is_closed() {
            let port = self.coordinator.unwrap_or_else(|| scene.any_port());
            drop(self.line.connect(scene.driver.as_mut(), port));
            return Ok(());
        }
        if !self.line.is_open() || self.line.in_flight() > 0 {
            return Ok(());
        }
        let Some(life) = Self::life(scene) else { return Ok(()) };
        match self.coordinator {
            None => {
                let request = requests::coordinator_of(&self.group);
                self.line.ask(scene.now, 3, &request, &[], Some(Ask::FindCoordinator))
            }
            Some(port) if port != self.line.port => {
                drop(self.line.connect(scene.driver.as_mut(), port));
                Ok(())
            }
            Some(_) if scene.dice.once_in(4) => self.look(scene, life),
            Some(_) => self.commit_and_look(scene, life),
        }
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        let missing = || Violation("an answer without its partition".to_owned());
        match &flight.ask {
            Ask::FindCoordinator => {
                let response = flight.read::<FindCoordinatorRequest>(frame)?;
                let is_found = response.error_code == 0;
                self.coordinator = is_found.then_some(response.port as u16);
                Ok(())
            }
            Ask::Commit { offset, era } => {
                let response = flight.read::<OffsetCommitRequest>(frame)?;
                let one = response.topics.first().and_then(|topic| topic.partitions.first()).ok_or_else(missing)?;
                if one.error_code != 0 {
                    scene.ledger.note_error("commit", ErrorCode(one.error_code));
                    self.coordinator = None;
                    return Ok(());
                }
                let of_life = self.stored.values_mut().find(|stored| (stored.first..=stored.last).contains(offset));
                if let Some(stored) = of_life {
                    (stored.acknowledged, stored.era) = (*offset, *era);
                }
                Ok(())
            }
            Ask::Committed { life, era } => {
                let response = flight.read::<OffsetFetchRequest>(frame)?;
                let group = response.groups.first().ok_or_else(missing)?;
                let one = group.topics.first().and_then(|topic| topic.partitions.first());
                match (group.error_code, one) {
                    (0, Some(one)) if one.error_code == 0 => self.check(scene, one.committed_offset, (*life, *era)),
                    _ => {
                        self.coordinator = None;
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>) {
        if flights.iter().any(|flight| matches!(flight.ask, Ask::Commit { .. })) {
            self.ghosts_until = Nanos(scene.now.0 + GHOST_NS);
        }
        self.coordinator = None;
        self.due = scene.in_ms(50, 400);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.line.in_flight() == 0
    }

    fn name(&self) -> String {
        format!("committer of {}", self.group)
    }
}
