//! What a trial ran into: from what was measured to one name, and what disturbed it besides.
//!
//! ```text
//!   measured                                      at or above         its name
//!   the rate was asked for and reached            99.5 %              schedule
//!   busiest client thread wanted of its core      90 %                client-core
//!   busiest broker thread wanted of its core, or
//!     its processes used of the cores that an
//!     emulated machine has                        90 %                broker-core
//!   busiest interface, share of its speed         80 %                network
//!   time in which a task waited for a disk (PSI),
//!     where the broker had storage write or read  40 %                disk
//!   time in which sends waited for buffer.memory  40 %                buffer-memory
//!   none of these                                                     none
//! ```
//!
//! The first line that holds is the name: a client at the end of its core hides everything behind it, and a full buffer is
//! what any slower thing behind it looks like, so it comes last. What a thread wanted is what it ran and what it waited for
//! a core that another had: a core that is shared is no less used up. The disk's pressure is the whole machine's: a broker that
//! neither writes nor reads cannot be what it is about.
//!
//! A pure function of [`Evidence`]: nothing is read here.

use crate::host::{CoreShare, Usage};

/// From this share of a core on, the core is the limit.
pub const CORE_SHARE_MIN: f64 = 0.90;
/// From this share of an interface's speed on, the network is the limit.
pub const NETWORK_SHARE_MIN: f64 = 0.80;
/// From this share of the time on, the disk is the limit.
pub const DISK_SHARE_MIN: f64 = 0.40;
/// From this share of the time on, the client's buffer is the limit.
pub const BUFFER_SHARE_MIN: f64 = 0.40;
/// From this share of the rate that was asked for on, the schedule was kept.
pub const RATE_SHARE_MIN: f64 = 0.995;
/// Above this share of a core's time, what the hypervisor took is noted.
pub const STEAL_SHARE_MAX: f64 = 0.02;
/// Above this share of a core's time, what others on the machine used is noted.
pub const OTHERS_SHARE_MAX: f64 = 0.20;
/// Above this share of the time, waiting for a core that another thread had is noted.
pub const WAITED_SHARE_MAX: f64 = 0.10;
/// From this share of the bytes on that storage wrote or read, the disk was used.
pub const DISK_BYTES_MIN: f64 = 0.10;
/// From this share of the time on, waiting for a disk is noted where it is not the limit itself.
pub const DISK_SHARE_NOTED: f64 = 0.20;

/// What a trial ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bottleneck {
    /// The client's busiest thread: the broker may be faster.
    ClientCore,
    /// The broker's busiest thread, or the cores of its emulated machine.
    BrokerCore,
    /// A disk.
    Disk,
    /// `buffer.memory`: sends waited for room, and nothing measured was used up. Answers take as long as they take.
    BufferMemory,
    /// The rate that was asked for: everything could have been faster.
    Schedule,
    /// A network interface.
    Network,
    /// Nothing that was measured was used up.
    None,
}

impl Bottleneck {
    /// Every value, in the order of the documentation.
    pub const ALL: [Self; 7] =
        [Self::ClientCore, Self::BrokerCore, Self::Disk, Self::BufferMemory, Self::Schedule, Self::Network, Self::None];

    /// Its name in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientCore => "client-core",
            Self::BrokerCore => "broker-core",
            Self::Disk => "disk",
            Self::BufferMemory => "buffer-memory",
            Self::Schedule => "schedule",
            Self::Network => "network",
            Self::None => "none",
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The name in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ClientCore => {
                "the client's core was used up (where it waited for it, by others too): the broker may be faster"
            }
            Self::BrokerCore => {
                "the core of a thread of the broker, or the cores of its emulated machine, were used up (where it waited for it, by others too: see waited-for-core)"
            }
            Self::Disk => "the disk: tasks waited for it",
            Self::BufferMemory => "the client's buffer.memory was full while nothing else was used up",
            Self::Schedule => "the rate that was asked for was reached",
            Self::Network => "a network interface was at its speed",
            Self::None => "nothing that was measured was used up",
        }
    }
}

/// What is known of a trial. Shares are of the measured time, 0 to 1; `None` is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The client's busiest thread.
    pub client: CoreShare,
    /// The broker's busiest thread.
    pub broker: Option<CoreShare>,
    /// What the broker's processes used of the cores that an emulated machine has.
    pub emulated_cores: Option<f64>,
    /// Records a second: asked for, and reached. `None` where it was as fast as possible.
    pub rate: Option<(f64, f64)>,
    /// Time in which some task waited for a disk.
    pub disk: Option<f64>,
    /// Whether the broker had storage write or read a good part of the bytes. Where that is not known it may have.
    pub is_disk_used: Option<bool>,
    /// Time in which sends waited for buffer.memory.
    pub buffer: Option<f64>,
    /// The busiest interface's share of its speed.
    pub network: Option<f64>,
    /// Time the hypervisor gave to others, of one core.
    pub steal: f64,
    /// What others on the machine used, of one core.
    pub others: Option<f64>,
    /// Whether client and broker were given the same core.
    pub is_core_shared: bool,
}

/// A bottleneck, and what else has to be known before the figures are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What limited.
    pub bottleneck: Bottleneck,
    /// Disturbances, by the names of [`DISTURBANCES`].
    pub disturbances: Vec<&'static str>,
}

/// Every disturbance, with its words.
pub const DISTURBANCES: [(&str, &str); 7] = [
    ("shared-core", "client and broker were given the same core"),
    ("waited-for-core", "a thread of client or broker waited for a core that another thread had"),
    ("busy-machine", "other processes or the kernel's own threads used more than a fifth of a core"),
    ("steal", "the hypervisor gave more than 2 % of a core's time to others"),
    ("disk-pressure", "tasks waited for a disk in more than a fifth of the time"),
    (
        "disk-guessed",
        "that the disk was the limit is a guess: its pressure is the whole machine's, and what the broker had it write is unknown",
    ),
    ("rate-not-reached", "less was done than the schedule asked for"),
];

impl Evidence {
    /// What a usage says in which so many bytes were moved; the rest is the caller's.
    #[must_use]
    pub fn of(usage: &Usage, bytes: u64) -> Self {
        let stored = usage.target.as_ref().and_then(|it| it.written_bytes.zip(it.read_bytes)).map(|(a, b)| a + b);
        let others = usage.others_cpu_ns().filter(|_| usage.wall_s > 0.0);
        Self {
            client: usage.client.busiest.clone(),
            broker: usage.target.as_ref().map(|it| it.busiest.clone()),
            disk: usage.pressure_share(usage.pressure_io_us),
            is_disk_used: stored.map(|it| it as f64 >= DISK_BYTES_MIN * bytes as f64),
            network: usage.network_share,
            steal: usage.steal_share(),
            others: others.map(|ns| ns as f64 / 1e9 / usage.wall_s),
            ..Self::default()
        }
    }

    /// What limited, and what disturbed.
    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding { bottleneck: self.bottleneck(), disturbances: self.disturbances() }
    }

    fn bottleneck(&self) -> Bottleneck {
        let from = |share: Option<f64>, least: f64| share.is_some_and(|it| it >= least);
        let lines = [
            (self.is_rate_reached() == Some(true), Bottleneck::Schedule),
            (self.client.wanted() >= CORE_SHARE_MIN, Bottleneck::ClientCore),
            (from(self.broker.as_ref().map(CoreShare::wanted), CORE_SHARE_MIN), Bottleneck::BrokerCore),
            (from(self.emulated_cores, CORE_SHARE_MIN), Bottleneck::BrokerCore),
            (from(self.network, NETWORK_SHARE_MIN), Bottleneck::Network),
            (from(self.disk, DISK_SHARE_MIN) && self.is_disk_used != Some(false), Bottleneck::Disk),
            (from(self.buffer, BUFFER_SHARE_MIN), Bottleneck::BufferMemory),
        ];
        lines.into_iter().find(|(holds, _)| *holds).map_or(Bottleneck::None, |(_, bottleneck)| bottleneck)
    }

    fn disturbances(&self) -> Vec<&'static str> {
        let waited = self.client.waited.max(self.broker.as_ref().map_or(0.0, |it| it.waited));
        let is_disk_noted = self.disk.is_some_and(|it| it >= DISK_SHARE_NOTED);
        let noted = [
            self.is_core_shared,
            waited > WAITED_SHARE_MAX,
            self.others.is_some_and(|it| it > OTHERS_SHARE_MAX),
            self.steal > STEAL_SHARE_MAX,
            is_disk_noted && self.bottleneck() != Bottleneck::Disk,
            self.bottleneck() == Bottleneck::Disk && self.is_disk_used.is_none(),
            self.is_rate_reached() == Some(false),
        ];
        DISTURBANCES.iter().zip(noted).filter(|(_, noted)| *noted).map(|((name, _), _)| *name).collect()
    }

    fn is_rate_reached(&self) -> Option<bool> {
        self.rate.map(|(wanted, reached)| reached >= RATE_SHARE_MIN * wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes of a calm trial one that is not.
    type Change = fn(&mut Evidence);

    fn core(ran: f64, waited: f64) -> CoreShare {
        CoreShare { thread: "t".to_owned(), ran, waited }
    }

    /// Everything below its threshold.
    fn calm() -> Evidence {
        Evidence {
            client: core(0.5, 0.0),
            broker: Some(core(0.5, 0.0)),
            disk: Some(0.1),
            buffer: Some(0.1),
            network: Some(0.1),
            others: Some(0.1),
            ..Evidence::default()
        }
    }

    #[test]
    fn each_limit_has_its_name() {
        let rows: [(&str, Change, Bottleneck); 13] = [
            ("nothing", |_| (), Bottleneck::None),
            ("client at 98 %", |it| it.client = core(0.98, 0.0), Bottleneck::ClientCore),
            ("client ran 70 % and waited 25 %", |it| it.client = core(0.70, 0.25), Bottleneck::ClientCore),
            ("broker at 95 %", |it| it.broker = Some(core(0.95, 0.0)), Bottleneck::BrokerCore),
            (
                "both: the client hides the broker",
                |it| (it.client, it.broker) = (core(0.95, 0.0), Some(core(0.99, 0.0))),
                Bottleneck::ClientCore,
            ),
            ("disk 63 %", |it| it.disk = Some(0.63), Bottleneck::Disk),
            ("disk 88 % and a full buffer", |it| (it.disk, it.buffer) = (Some(0.88), Some(0.9)), Bottleneck::Disk),
            ("disk 88 % by others", |it| (it.disk, it.is_disk_used) = (Some(0.88), Some(false)), Bottleneck::None),
            ("a full buffer alone", |it| it.buffer = Some(0.7), Bottleneck::BufferMemory),
            ("interface at 90 %", |it| it.network = Some(0.9), Bottleneck::Network),
            (
                "rate reached, whatever else",
                |it| (it.rate, it.disk) = (Some((1000.0, 996.0)), Some(0.9)),
                Bottleneck::Schedule,
            ),
            (
                "rate missed because of the client",
                |it| (it.rate, it.client) = (Some((1000.0, 900.0)), core(1.0, 0.0)),
                Bottleneck::ClientCore,
            ),
            (
                "nothing is known of the broker",
                |it| (it.broker, it.disk, it.network) = (None, None, None),
                Bottleneck::None,
            ),
        ];
        for (what, change, wanted) in rows {
            let mut evidence = calm();
            change(&mut evidence);
            assert_eq!(evidence.finding().bottleneck, wanted, "{what}");
        }
    }

    #[test]
    fn each_disturbance_is_noted_beside_the_limit() {
        let rows: [(Change, &[&str]); 8] = [
            (|_| (), &[]),
            (|it| it.is_core_shared = true, &["shared-core"]),
            (|it| it.client = core(0.5, 0.2), &["waited-for-core"]),
            (|it| it.broker = Some(core(0.5, 0.2)), &["waited-for-core"]),
            (|it| it.others = Some(0.3), &["busy-machine"]),
            (|it| it.steal = 0.03, &["steal"]),
            (|it| (it.disk, it.client) = (Some(0.5), core(0.95, 0.0)), &["disk-pressure"]),
            (|it| it.rate = Some((1000.0, 990.0)), &["rate-not-reached"]),
        ];
        for (change, wanted) in rows {
            let mut evidence = calm();
            change(&mut evidence);
            assert_eq!(evidence.finding().disturbances, wanted);
        }
        let half_a_core = Evidence { emulated_cores: Some(0.97), buffer: Some(0.9), ..calm() };
        assert_eq!(half_a_core.finding().bottleneck, Bottleneck::BrokerCore);
        let by_others = Evidence { disk: Some(0.9), is_disk_used: Some(false), ..calm() };
        assert_eq!(by_others.finding().disturbances, ["disk-pressure"]);
        let guessed = Evidence { disk: Some(0.9), ..calm() };
        assert_eq!(guessed.finding().disturbances, ["disk-guessed"], "what the broker wrote is unknown");
        let disk = Evidence { disk: Some(0.9), is_disk_used: Some(true), ..calm() };
        assert_eq!(disk.finding().disturbances, Vec::<&str>::new(), "the limit itself is no disturbance");
    }

    #[test]
    fn names_are_read_back() {
        for bottleneck in Bottleneck::ALL {
            assert_eq!(Bottleneck::of_name(bottleneck.name()), Some(bottleneck));
        }
        assert_eq!(Bottleneck::of_name("client"), None);
    }
}
