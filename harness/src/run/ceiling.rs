//! Whether a ceiling is one, and a target's share of it.
//!
//! A null broker bounds what any broker could do here only where it was the null broker that was measured:
//!
//! ```text
//!   round of the ceiling      its client had core to spare         else: "limited by the client"
//!                             its own core or device was used up   else: "not driven to its end"
//!                               by itself, not by others           else: "starved: others had its core"
//!   against the target        is not below it                      else: "below what it bounds"
//!   against another ceiling   that does more work is not above it  else: "below one that does more"
//! ```
//!
//! The share is taken between rounds of the same number, so that what the machine does meanwhile meets both. Of the ceilings
//! that count, the lowest is told. Where none counts the cell is empty, and says why.

use super::bottleneck::Bottleneck;

/// What a round says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Its rate.
    pub mb_s: f64,
    /// What it ran into.
    pub bottleneck: Bottleneck,
    /// Whether others had the core of its busiest thread while that wanted to run.
    pub is_starved: bool,
}

/// A ceiling's round: of the number of the round that it bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling<'a> {
    /// The target's name.
    pub name: &'a str,
    /// The round.
    pub mark: Mark,
}

/// A broker thread that ran less of its core than this, and waited for the rest of it, did not show what it can do.
pub const RAN_SHARE_MIN: f64 = 0.70;

/// Why a round of a ceiling does not count.
const CLIENT: &str = "limited by the client";
const STARVED: &str = "starved: others had its core";
const IDLE: &str = "not driven to its end";
const BELOW: &str = "below what it bounds";
const BELOW_MORE: &str = "below a null broker that does more";
/// Where there is none at all.
pub const NOT_MEASURED: &str = "no ceiling was measured";

/// The lowest ceiling that counts and the share of it; or why none does. `ceilings` are ordered by the work that they do.
pub fn share<'a>(own: Mark, ceilings: &[Ceiling<'a>]) -> Result<(&'a str, f64), String> {
    let judged = ceilings.iter().enumerate().map(|(at, it)| (it, judge(own, it.mark, &ceilings[at + 1..])));
    let judged: Vec<_> = judged.collect();
    let counting = judged.iter().filter_map(|(it, judged)| judged.ok().map(|share| (it.name, share)));
    if let Some(found) = counting.reduce(|a, b| if b.1 > a.1 { b } else { a }) {
        return Ok(found);
    }
    let why = |(it, judged): &(&Ceiling<'_>, Result<f64, &str>)| format!("{} {}", it.name, judged.err().unwrap_or(""));
    let whys: Vec<String> = judged.iter().map(why).collect();
    Err(if whys.is_empty() { NOT_MEASURED.to_owned() } else { whys.join(", ") })
}

fn judge(own: Mark, ceiling: Mark, more: &[Ceiling<'_>]) -> Result<f64, &'static str> {
    match ceiling.bottleneck {
        Bottleneck::ClientCore => return Err(CLIENT),
        Bottleneck::None | Bottleneck::BufferMemory | Bottleneck::Schedule => return Err(IDLE),
        Bottleneck::BrokerCore | Bottleneck::Disk | Bottleneck::Network => {}
    }
    if ceiling.is_starved {
        return Err(STARVED);
    }
    if more.iter().any(|it| it.mark.mb_s > ceiling.mb_s) {
        return Err(BELOW_MORE);
    }
    if own.mb_s > ceiling.mb_s { Err(BELOW) } else { Ok(own.mb_s / ceiling.mb_s) }
}

#[cfg(test)]
mod tests {
    use Bottleneck::{BrokerCore, BufferMemory, ClientCore, Disk, None, Schedule};

    use super::*;

    fn ceiling(name: &str, mb_s: f64, bottleneck: Bottleneck) -> Ceiling<'_> {
        Ceiling { name, mark: Mark { mb_s, bottleneck, is_starved: false } }
    }

    fn share_of(mb_s: f64, ceilings: &[Ceiling<'static>]) -> Result<(&'static str, f64), String> {
        share(Mark { mb_s, bottleneck: Disk, is_starved: false }, ceilings)
    }

    #[test]
    fn a_ceiling_whose_client_was_the_limit_is_none_whatever_it_reached() {
        // "Of a null broker 72 %, 48 %": the client's thread was at 98 % of its core, and the one that also appends was faster.
        let why = share_of(505.8, &[ceiling("receive", 643.5, ClientCore), ceiling("append", 1047.4, BufferMemory)]);
        assert_eq!(why.unwrap_err(), "receive limited by the client, append not driven to its end");
    }

    #[test]
    fn a_ceiling_counts_when_it_is_one() {
        let rows = [
            (BrokerCore, 400.0, Ok(0.25)),
            (Disk, 400.0, Ok(0.25)),
            (None, 400.0, Err(IDLE)),
            (BufferMemory, 400.0, Err(IDLE)),
            (Schedule, 400.0, Err(IDLE)),
            (BrokerCore, 90.0, Err(BELOW)),
        ];
        for (bottleneck, mb_s, wanted) in rows {
            let found = share_of(100.0, &[ceiling("c", mb_s, bottleneck)]);
            match wanted {
                Ok(share) => assert_eq!(found, Ok(("c", share))),
                Err(why) => assert_eq!(found, Err(format!("c {why}"))),
            }
        }
        assert_eq!(share_of(100.0, &[]), Err(NOT_MEASURED.to_owned()));
    }

    #[test]
    fn a_ceiling_whose_thread_others_kept_from_its_core_is_none() {
        let mut starved = ceiling("c", 400.0, BrokerCore);
        starved.mark.is_starved = true;
        assert_eq!(share_of(100.0, &[starved]), Err(format!("c {STARVED}")));
    }

    #[test]
    fn one_that_is_below_one_that_does_more_does_not_count_and_the_lowest_is_told() {
        let upside_down = [ceiling("receive", 300.0, BrokerCore), ceiling("append", 400.0, BrokerCore)];
        assert_eq!(share_of(100.0, &upside_down), Ok(("append", 0.25)));
        let upright = [ceiling("receive", 500.0, BrokerCore), ceiling("append", 200.0, Disk)];
        assert_eq!(share_of(100.0, &upright), Ok(("append", 0.5)));
        let one_counts = [ceiling("receive", 500.0, BrokerCore), ceiling("append", 200.0, ClientCore)];
        assert_eq!(share_of(100.0, &one_counts), Ok(("receive", 0.2)));
    }
}
