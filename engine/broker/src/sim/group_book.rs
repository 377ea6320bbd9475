//! What the members of a group were told, held against each other.
//!
//! - A generation has one leader, and every member of it is given its share of one leader's word: no partition is two members'.
//! - A generation whose shares were given out does not come back, whoever is killed and wherever the coordinator goes: they were
//!   stored before. One that was announced only is forgotten with the coordinator's life.
//! - What names a generation that is over is refused.
//! - Offsets that were stored do not go back (`offset_book.rs`).
//!
//! A power cut and a failed sync may take all of it: then the book begins anew.

use std::collections::BTreeMap;

use ringlog_io::Nanos;

use super::Violation;
use super::offset_book::OffsetBook;

/// Bytes of a share before its member's name and partitions: generation, word, length of the name.
const SHARE_HEAD_LEN: usize = 4 + 8 + 4;

/// What a leader gives to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) generation: i32,
    /// Of all shares that a leader brought at once.
    pub(super) word: u64,
    pub(super) member: String,
    pub(super) partitions: Vec<i32>,
}

impl Share {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.generation.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.word.to_be_bytes());
        bytes.extend_from_slice(&(self.member.len() as u32).to_be_bytes());
        bytes.extend_from_slice(self.member.as_bytes());
        self.partitions.iter().for_each(|partition| bytes.extend_from_slice(&partition.to_be_bytes()));
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let wrong = || Violation(format!("a share of bytes that no leader brought: {bytes:?}"));
        let (head, rest) = bytes.split_at_checked(SHARE_HEAD_LEN).ok_or_else(wrong)?;
        let (words, _) = head.as_chunks::<4>();
        let number = |place: usize| u32::from_be_bytes(words[place]);
        let (name, partitions) = rest.split_at_checked(number(3) as usize).ok_or_else(wrong)?;
        let (partitions, []) = partitions.as_chunks::<4>() else { return Err(wrong()) };
        Ok(Self {
            generation: number(0).cast_signed(),
            word: u64::from(number(1)) << 32 | u64::from(number(2)),
            member: String::from_utf8(name.to_vec()).map_err(|_| wrong())?,
            partitions: partitions.iter().map(|word| i32::from_be_bytes(*word)).collect(),
        })
    }
}

/// A coordinator from one load of its groups to the next, as far as clients can tell: the broker's start, the moves of coordinators
/// that were asked for by then, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    start: u32,
    moves: u32,
    port: u16,
}

impl Life {
    pub(super) fn port(self) -> u16 {
        self.port
    }
}

/// The last generation that a coordinator told anybody of, and its leader.
#[derive(Debug)]
struct Announced {
    life: Life,
    generation: i32,
    leader: String,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct GroupBook {
    /// The era and the broker's start that it is about.
    era: u32,
    start: u32,
    moves: u32,
    announced: Option<Announced>,
    /// The last one whose shares were given out, in this era.
    shared: i32,
    words: BTreeMap<i32, u64>,
    owners: BTreeMap<(i32, i32), String>,
    /// The offsets that they stored.
    pub(super) offsets: OffsetBook,
}

impl GroupBook {
    /// It is this moment, in this era, after this start of the broker.
    pub(super) fn turn_to(&mut self, now: Nanos, era: u32, start: u32) {
        if self.era != era {
            self.offsets.forget();
            *self = Self { era, moves: self.moves, offsets: std::mem::take(&mut self.offsets), ..Self::default() };
        }
        self.offsets.turn_to(now);
        self.start = start;
    }

    /// A coordinator is asked to go to another shard, and may do so from now on.
    pub(super) fn coordinator_moves(&mut self) {
        self.moves += 1;
    }

    /// The life of the coordinator that is there now.
    pub(super) fn life(&self, port: u16) -> Life {
        Life { start: self.start, moves: self.moves, port }
    }

    /// A member was told of its generation.
    pub(super) fn announced(&mut self, life: Life, generation: i32, leader: &str) -> Result<(), Violation> {
        if generation < self.shared {
            return Err(Violation(format!("generation {generation} begins after {} was shared out", self.shared)));
        }
        let before = self.announced.as_ref().filter(|before| before.life == life && before.generation >= generation);
        match before {
            None => self.announced = Some(Announced { life, generation, leader: leader.to_owned() }),
            Some(same) if same.generation == generation && same.leader != leader => {
                let other = &same.leader;
                return Err(Violation(format!("generation {generation} has two leaders: {other} and {leader}")));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether a coordinator is known to have loaded the group: it told somebody of a generation.
    pub(super) fn is_loaded(&self, life: Life) -> bool {
        self.announced.as_ref().is_some_and(|announced| announced.life == life)
    }

    /// Whether a request of this generation, sent now to this coordinator, must be refused.
    pub(super) fn is_stale(&self, life: Life, generation: i32) -> bool {
        let announced = self.announced.as_ref().filter(|announced| announced.life == life);
        generation < announced.map_or(self.shared, |announced| announced.generation.max(self.shared))
    }

    /// A member was given its share. Gives the partitions.
    pub(super) fn given(&mut self, member: &str, generation: i32, share: Share) -> Result<Vec<i32>, Violation> {
        if share.member != member || share.generation != generation {
            return Err(Violation(format!("{member} of generation {generation} was given {share:?}")));
        }
        let word = *self.words.entry(generation).or_insert(share.word);
        if word != share.word {
            return Err(Violation(format!("generation {generation} was shared out twice: {word} and {}", share.word)));
        }
        for partition in &share.partitions {
            let owner = self.owners.entry((generation, *partition)).or_insert_with(|| member.to_owned());
            if owner != member {
                return Err(Violation(format!("partition {partition} of generation {generation}: {owner}, {member}")));
            }
        }
        self.shared = generation.max(self.shared);
        Ok(share.partitions)
    }
}
