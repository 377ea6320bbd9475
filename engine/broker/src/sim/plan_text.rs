//! A plan as text, so that what a seed found can be kept whatever becomes of the dice: `ringlog sim --plan FILE` runs it.
//!
//! ```text
//!   # what it found
//!   broker shards=2 segment-bytes=2048 tight=false storm-ns=4000000000
//!   set log.index.interval.bytes=64
//!   weather network-ns=10000..50000 disk-ns=.. segment-bytes=1..1460 window-bytes=2000 stall-once-in=0 ..
//!   topics count=1 partitions-max=3 admin-pause-ms=50
//!   producer acks=-1 idempotent=true by-id=false value-len-max=500 pause-ms=20      as many as there are
//!   fetcher session=true polls=1 max-wait-ms=100 min-bytes=1 max-bytes=500
//!   committer
//!   member session-ms=1000 pause-ms=50
//!   consumer pause-ms=50 static=false
//!   upserter value-len-max=300 pause-ms=20
//!   transactor timeout-ms=3000 pause-ms=30 tv2=true
//!   trouble kill at-ns=1200000000 lasts-ns=300000000 number=7
//! ```
//! What a plan does not say is the seed's: who runs first, how long a read takes, what a client does next.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ringlog_io::sim::Weather;

use super::consumer::Bent;
use super::fetcher::Habit;
use super::member::Nature;
use super::plan::{Event, Plan, Trouble};
use super::producer::Manner;
use super::transactor::Pace;
use super::upserter::Hand;

/// The first words of lines.
const BROKER: &str = "broker";
const SET: &str = "set";
const WEATHER: &str = "weather";
const TOPICS: &str = "topics";
const PRODUCER: &str = "producer";
const FETCHER: &str = "fetcher";
const COMMITTER: &str = "committer";
const MEMBER: &str = "member";
const CONSUMER: &str = "consumer";
const UPSERTER: &str = "upserter";
const TRANSACTOR: &str = "transactor";
const TROUBLE: &str = "trouble";

struct Span<'a>(&'a Range<u64>);

impl fmt::Display for Span<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start, self.0.end)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, segment_bytes, is_tight, storm_ns, .. } = self;
        writeln!(f, "{BROKER} shards={shards} segment-bytes={segment_bytes} tight={is_tight} storm-ns={storm_ns}")?;
        for (key, value) in &self.settings {
            writeln!(f, "{SET} {key}={value}")?;
        }
        let Weather { network_ns, disk_ns, segment_bytes, stall_ns, turn_ns, .. } = &self.weather;
        let Weather { window_bytes, stall_once_in, give_up_ns, .. } = &self.weather;
        writeln!(
            f,
            "{WEATHER} network-ns={} disk-ns={} segment-bytes={} window-bytes={window_bytes} stall-once-in={stall_once_in} \
             stall-ns={} turn-ns={} give-up-ns={give_up_ns}",
            Span(network_ns),
            Span(disk_ns),
            Span(segment_bytes),
            Span(stall_ns),
            Span(turn_ns)
        )?;
        let Self { topics, partitions_max, admin_pause_ms, .. } = self;
        writeln!(f, "{TOPICS} count={topics} partitions-max={partitions_max} admin-pause-ms={admin_pause_ms}")?;
        for Manner { acks, is_idempotent, by_id, value_len_max, pause_ms } in &self.producers {
            writeln!(
                f,
                "{PRODUCER} acks={acks} idempotent={is_idempotent} by-id={by_id} value-len-max={value_len_max} \
                 pause-ms={pause_ms}"
            )?;
        }
        for Habit { in_session, polls, max_wait_ms, min_bytes, max_bytes } in &self.fetchers {
            writeln!(
                f,
                "{FETCHER} session={in_session} polls={polls} max-wait-ms={max_wait_ms} min-bytes={min_bytes} \
                 max-bytes={max_bytes}"
            )?;
        }
        for _ in 0..self.committers {
            writeln!(f, "{COMMITTER}")?;
        }
        for Nature { session_ms, pause_ms } in &self.members {
            writeln!(f, "{MEMBER} session-ms={session_ms} pause-ms={pause_ms}")?;
        }
        for Bent { pause_ms, is_static } in &self.consumers {
            writeln!(f, "{CONSUMER} pause-ms={pause_ms} static={is_static}")?;
        }
        for Hand { value_len_max, pause_ms } in &self.upserters {
            writeln!(f, "{UPSERTER} value-len-max={value_len_max} pause-ms={pause_ms}")?;
        }
        for Pace { timeout_ms, pause_ms, is_tv2 } in &self.transactors {
            writeln!(f, "{TRANSACTOR} timeout-ms={timeout_ms} pause-ms={pause_ms} tv2={is_tv2}")?;
        }
        for Event { at_ns, trouble, lasts_ns, number } in &self.events {
            let name = Trouble::ALL.iter().find(|(_, one, _)| one == trouble).map_or("", |(name, _, _)| name);
            writeln!(f, "{TROUBLE} {name} at-ns={at_ns} lasts-ns={lasts_ns} number={number}")?;
        }
        Ok(())
    }
}

/// The words of a line after its first, as names and values.
struct Words<'a> {
    line: usize,
    what: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn of(line: usize, what: &'a str, rest: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let pair = |word: &'a str| {
            word.split_once('=').ok_or_else(|| format!("line {line}: {word} is not of the form name=value"))
        };
        Ok(Self { line, what, pairs: rest.map(pair).collect::<Result<_, _>>()? })
    }

    fn text(&mut self, name: &str) -> Result<&'a str, String> {
        let place = self.pairs.iter().position(|(known, _)| *known == name);
        let place = place.ok_or_else(|| format!("line {}: {} wants {name}=", self.line, self.what))?;
        Ok(self.pairs.remove(place).1)
    }

    fn take<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.parse().map_err(|_| format!("line {}: {name}={text}: not a value of {name}", self.line))
    }

    fn span(&mut self, name: &str) -> Result<Range<u64>, String> {
        let text = self.text(name)?;
        let wrong = || format!("line {}: {name}={text} is not of the form A..B", self.line);
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        Ok(from.parse().map_err(|_| wrong())?..to.parse().map_err(|_| wrong())?)
    }

    /// Nothing is left over.
    fn end(self) -> Result<(), String> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("line {}: {} has no {name}", self.line, self.what)),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut plan = Self {
            shards: 0,
            settings: Vec::new(),
            is_tight: false,
            segment_bytes: 0,
            weather: Weather::default(),
            topics: 0,
            partitions_max: 0,
            admin_pause_ms: 0,
            producers: Vec::new(),
            fetchers: Vec::new(),
            committers: 0,
            members: Vec::new(),
            consumers: Vec::new(),
            upserters: Vec::new(),
            transactors: Vec::new(),
            storm_ns: 0,
            events: Vec::new(),
        };
        for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            plan.read_line(place + 1, line)?;
        }
        match plan {
            Self { shards: 1..=8, topics: 1.., partitions_max: 1.., .. } => Ok(plan),
            _ => Err(format!(
                "a plan wants a line \"{BROKER} shards=1..8 ..\" and a line \"{TOPICS} ..\" with at least one each"
            )),
        }
    }
}

impl Plan {
    fn read_line(&mut self, line: usize, text: &str) -> Result<(), String> {
        let mut rest = text.split_whitespace();
        let what = rest.next().unwrap_or_default();
        let trouble = if what == TROUBLE { rest.next() } else { None };
        let mut words = Words::of(line, what, rest)?;
        match what {
            BROKER => {
                self.shards = words.take("shards")?;
                self.segment_bytes = words.take("segment-bytes")?;
                self.is_tight = words.take("tight")?;
                self.storm_ns = words.take("storm-ns")?;
            }
            SET => self.settings.extend(words.pairs.drain(..).map(|(key, value)| (key.to_owned(), value.to_owned()))),
            WEATHER => {
                self.weather = Weather {
                    network_ns: words.span("network-ns")?,
                    disk_ns: words.span("disk-ns")?,
                    segment_bytes: words.span("segment-bytes")?,
                    window_bytes: words.take("window-bytes")?,
                    stall_once_in: words.take("stall-once-in")?,
                    stall_ns: words.span("stall-ns")?,
                    turn_ns: words.span("turn-ns")?,
                    give_up_ns: words.take("give-up-ns")?,
                    out_of_descriptors: false,
                };
            }
            TOPICS => {
                self.topics = words.take("count")?;
                self.partitions_max = words.take("partitions-max")?;
                self.admin_pause_ms = words.take("admin-pause-ms")?;
            }
            PRODUCER => self.producers.push(Manner {
                acks: words.take("acks")?,
                is_idempotent: words.take("idempotent")?,
                by_id: words.take("by-id")?,
                value_len_max: words.take("value-len-max")?,
                pause_ms: words.take("pause-ms")?,
            }),
            FETCHER => self.fetchers.push(Habit {
                in_session: words.take("session")?,
                polls: words.take("polls")?,
                max_wait_ms: words.take("max-wait-ms")?,
                min_bytes: words.take("min-bytes")?,
                max_bytes: words.take("max-bytes")?,
            }),
            COMMITTER => self.committers += 1,
            MEMBER => {
                self.members.push(Nature { session_ms: words.take("session-ms")?, pause_ms: words.take("pause-ms")? })
            }
            CONSUMER => {
                self.consumers.push(Bent { pause_ms: words.take("pause-ms")?, is_static: words.take("static")? });
            }
            UPSERTER => {
                self.upserters
                    .push(Hand { value_len_max: words.take("value-len-max")?, pause_ms: words.take("pause-ms")? });
            }
            TRANSACTOR => self.transactors.push(Pace {
                timeout_ms: words.take("timeout-ms")?,
                pause_ms: words.take("pause-ms")?,
                is_tv2: words.take("tv2")?,
            }),
            TROUBLE => {
                let name = trouble.unwrap_or_default();
                let found = Trouble::ALL.iter().find(|(known, _, _)| *known == name);
                let (_, trouble, _) = found.ok_or_else(|| format!("line {line}: {name:?} is no trouble"))?;
                self.events.push(Event {
                    at_ns: words.take("at-ns")?,
                    trouble: *trouble,
                    lasts_ns: words.take("lasts-ns")?,
                    number: words.take("number")?,
                });
            }
            other => return Err(format!("line {line}: a line does not begin with {other}")),
        }
        words.end()
    }
}
