//! The simulation's clients: one driver for all of them, a connection each.
//!
//! A client is told of answers and losses, acts when it is due, and never waits. What all of them share is the [`Scene`].

use std::collections::BTreeMap;

use ringlog_io::sim::{Dice, DriverId, World};
use ringlog_io::{Driver, Event, Nanos, Token};
use ringlog_wire::messages::metadata::{MetadataRequest, MetadataResponse};
use ringlog_wire::{ErrorCode, Uuid};

use super::Violation;
use super::consumer::Said;
use super::consumer_book::ConsumerBook;
use super::group_book::{GroupBook, Life};
use super::ledger::{Key, Ledger};
use super::line::{Flight, Heard, Line, client_of};
use super::offset_book::Spot;
use super::transaction_book::TransactionBook;
use super::transaction_steps::TxnStep;

/// The longest that a broker may take for an answer on a connection that is whole, however bad the weather.
const ANSWER_NS_MAX: u64 = 30_000_000_000;

/// What a client keeps beside a request.
#[derive(Debug)]
pub(super) enum Ask {
    /// Every topic: those that must be in the answer, by name and number of lives.
    Metadata {
        certain: BTreeMap<String, (usize, bool)>,
    },
    InitProducerId,
    Produce {
        batch: u32,
        era: u32,
    },
    Fetch {
        from: BTreeMap<Key, (i64, i64)>,
        era: u32,
    },
    Latest {
        key: Key,
        floor: i64,
        era: u32,
    },
    Earliest {
        key: Key,
    },
    DeleteRecords {
        key: Key,
        offset: i64,
        era: u32,
    },
    CreateTopic {
        name: String,
    },
    DeleteTopic {
        name: String,
    },
    SetFlush {
        name: String,
        on: bool,
    },
    SetBrokers {
        value: String,
    },
    Move,
    Brokers,
    FindCoordinator,
    Commit {
        offset: i64,
        era: u32,
    },
    Committed {
        life: usize,
        era: u32,
    },
    Join {
        /// The coordinator's life that it was asked in.
        life: Life,
    },
    Sync {
        generation: i32,
        era: u32,
    },
    Heartbeat {
        life: Life,
        is_stale: bool,
    },
    MemberCommit {
        spot: Spot,
        offset: i64,
        era: u32,
        life: Life,
        is_stale: bool,
    },
    MemberCommitted {
        spot: Spot,
        floor: i64,
        era: u32,
    },
    Leave,
    ConsumerHeartbeat {
        said: Said,
        era: u32,
    },
    ConsumerCommit {
        spot: Spot,
        offset: i64,
        era: u32,
        /// Why it must be refused.
        is_over: Option<String>,
    },
    Transaction {
        step: TxnStep,
        era: u32,
        /// Another was given the transactional id before this was asked.
        is_superseded: bool,
    },
}

/// What the run is about now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everything may go wrong.
    Storm,
    /// Nothing goes wrong any more: what is under way must end.
    Calm,
    /// Everything is read.
    Audit,
}

/// What clients share.
pub(super) struct Scene {
    pub(super) now: Nanos,
    pub(super) wall_ms: i64,
    pub(super) dice: Dice,
    pub(super) ledger: Ledger,
    /// What the members of the group were told.
    pub(super) group_book: GroupBook,
    /// The same of the group of the consumer protocol.
    pub(super) consumer_book: ConsumerBook,
    /// What transactional clients did.
    pub(super) transactions: TransactionBook,
    pub(super) driver: Box<dyn Driver>,
    pub(super) ports: Vec<u16>,
    pub(super) phase: Phase,
    /// The port of each partition's leader, as somebody last heard.
    pub(super) leaders: BTreeMap<Key, u16>,
    /// Ports by node id.
    pub(super) nodes: BTreeMap<i32, u16>,
    pub(super) streams: u64,
    /// The next deletion is one that the broker is killed in: whoever changes topics deletes one soon.
    pub(super) wants_deletion: bool,
    /// A deletion was asked for and is not answered yet.
    pub(super) is_deleting: bool,
    /// Remarks for who reads the log.
    pub(super) notes: Option<Vec<String>>,
}

impl Scene {
    pub(super) fn any_port(&mut self) -> u16 {
        self.ports[self.dice.below(self.ports.len())]
    }

    pub(super) fn in_ms(&mut self, from: u64, to: u64) -> Nanos {
        Nanos(self.now.0 + self.dice.within(&(from * 1_000_000..to * 1_000_000)))
    }

    /// The book of the group, at this moment.
    pub(super) fn book(&mut self) -> &mut GroupBook {
        self.group_book.turn_to(self.now, self.ledger.era, self.ledger.starts);
        &mut self.group_book
    }

    /// The book of the group of the consumer protocol, at this moment.
    pub(super) fn consumers(&mut self) -> &mut ConsumerBook {
        self.consumer_book.turn_to(self.now, self.ledger.era);
        &mut self.consumer_book
    }

    /// Remarks something, where somebody reads it.
    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            notes.push(text());
        }
    }

    pub(super) fn new_stream(&mut self) -> u64 {
        self.streams += 1;
        self.streams
    }

    /// A partition that is there for certain, by chance.
    pub(super) fn any_partition(&mut self) -> Option<(String, Key)> {
        let mut partitions = self.ledger.partitions();
        if partitions.is_empty() { None } else { Some(partitions.swap_remove(self.dice.below(partitions.len()))) }
    }

    /// Asks for all topics.
    pub(super) fn ask_metadata(&mut self, line: &mut Line<Ask>) -> Result<(), Violation> {
        let state = |topic: &super::ledger::Topic| (topic.lives.len(), topic.is_there);
        let settled = self.ledger.topics.iter().filter(|(_, topic)| !topic.is_changing);
        let certain = settled.map(|(name, topic)| (name.clone(), state(topic))).collect();
        let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        line.ask(self.now, 12, &request, &[], Some(Ask::Metadata { certain }))
    }

    /// Learns from metadata, and checks it: topics that were made are there under their id, and those deleted are not.
    pub(super) fn learn(
        &mut self,
        flight: &Flight<Ask>,
        frame: &[u8],
    ) -> Result<BTreeMap<String, (Uuid, i32)>, Violation> {
        let response: MetadataResponse = flight.read::<MetadataRequest>(frame)?;
        self.nodes = response.brokers.iter().map(|broker| (broker.node_id, broker.port as u16)).collect();
        let mut found = BTreeMap::new();
        for topic in &response.topics {
            for partition in &topic.partitions {
                if let Some(port) = self.nodes.get(&partition.leader_id) {
                    self.leaders.insert((topic.topic_id, partition.partition_index), *port);
                }
            }
            if topic.error_code == ErrorCode::NONE.0 {
                let name = topic.name.clone().unwrap_or_default();
                found.insert(name, (topic.topic_id, topic.partitions.len() as i32));
            }
        }
        let Ask::Metadata { certain } = &flight.ask else { return Ok(found) };
        for (name, (lives, was_there)) in certain {
            let Some(topic) = self.ledger.topics.get(name) else { continue };
            if topic.is_changing || (topic.lives.len(), topic.is_there) != (*lives, *was_there) {
                continue;
            }
            let shown = found.get(name).map(|(id, _)| *id);
            let wanted = topic.id();
            if shown != wanted {
                return Err(Violation(format!("metadata has {name} as {shown:?}, it is {wanted:?}")));
            }
        }
        Ok(found)
    }
}

/// One client.
pub(super) trait Client {
    fn line(&mut self) -> &mut Line<Ask>;
    /// Does what it does when it is due, or when it heard something.
    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation>;
    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation>;
    fn lost(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>);
    /// When it acts by itself.
    fn due(&self) -> Nanos;
    /// Whether everything that it began has ended.
    fn is_done(&self) -> bool;
    fn name(&self) -> String;
    /// The audit begins.
    fn begin_audit(&mut self, _scene: &mut Scene) {}
}

/// See the head of the file.
pub(super) struct Clients {
    pub(super) id: DriverId,
    pub(super) scene: Scene,
    pub(super) all: Vec<Box<dyn Client>>,
}

fn token_of(event: &Event) -> Token {
    match event {
        Event::Connected { token, .. } | Event::Received { token, .. } | Event::Sent { token, .. } => *token,
        _ => u64::MAX,
    }
}

impl Clients {
    /// A turn of the clients' thread.
    pub(super) fn step(&mut self, world: &World) -> Result<(), Violation> {
        let mut events = Vec::new();
        let Self { scene, all, .. } = self;
        drop(scene.driver.wait(None, &mut events));
        (scene.now, scene.wall_ms) = (world.now(), world.wall_ms());
        let mut heard_something = vec![false; all.len()];
        for event in events {
            let place = client_of(token_of(&event));
            let Some(client) = all.get_mut(place) else { continue };
            heard_something[place] = true;
            for heard in client.line().handle(scene.driver.as_mut(), event)? {
                match heard {
                    Heard::Reply(flight, frame) => {
                        scene.note(|| format!("client {place} is answered: {flight:?}"));
                        client.reply(scene, flight, &frame).map_err(|violation| violation.of(&client.name()))?;
                    }
                    Heard::Lost(flights) => {
                        scene.note(|| format!("client {place} lost its connection, and {flights:?}"));
                        client.lost(scene, flights);
                    }
                }
            }
        }
        for (client, heard) in all.iter_mut().zip(heard_something) {
            if heard || client.due() <= scene.now {
                client.act(scene).map_err(|violation| violation.of(&client.name()))?;
                client.line().flush(scene.driver.as_mut());
            }
            overdue(client.as_mut(), scene, world)?;
        }
        for note in scene.notes.iter_mut().flat_map(|notes| notes.drain(..)) {
            world.say(format_args!("{note}"));
        }
        let next = all.iter().map(|client| client.due()).min();
        world.sleep(self.id, next.map(|at| at.max(Nanos(scene.now.0 + 1_000))));
        Ok(())
    }

    pub(super) fn are_done(&self) -> bool {
        self.all.iter().all(|client| client.is_done())
    }

    /// Who is not done.
    pub(super) fn busy(&self) -> String {
        let busy: Vec<String> =
            self.all.iter().filter(|client| !client.is_done()).map(|client| client.name()).collect();
        busy.join(", ")
    }
}

/// A connection without an answer for too long: on one that is whole, the broker has forgotten it.
fn overdue(client: &mut dyn Client, scene: &mut Scene, world: &World) -> Result<(), Violation> {
    let Some((socket, since)) = client.line().oldest() else { return Ok(()) };
    if scene.now.0 - since.0 < ANSWER_NS_MAX {
        return Ok(());
    }
    if world.is_whole(socket) {
        return Err(Violation(format!("{}: no answer for {} s", client.name(), ANSWER_NS_MAX / 1_000_000_000)));
    }
    let lost = client.line().close(scene.driver.as_mut());
    client.lost(scene, lost);
    Ok(())
}
