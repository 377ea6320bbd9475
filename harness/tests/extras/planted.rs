//! Records that are missing, doubled, reordered or changed, each planted in a topic of its own, are each found, with code 1.
//!
//! ```text
//!   a run with a ledger --> its records, read by hand --> one fault --> written by hand to another topic --> the ledger, of
//!                                                                                               that topic, must find it
//! ```

use crate::checks::report::{Fault, Told, need};
use crate::ground::Ground;
use crate::raw::Header;
use crate::said::{Document, Verdict, verdict};

/// Values and headers of a partition, in order.
pub(crate) type Records = Vec<(Vec<u8>, Vec<Header>)>;
/// What a fault makes of records.
pub(crate) type Plant = fn(Records) -> Records;
/// Lost, doubled, out of order, changed; and of others.
type Due = ([u64; 4], u64);

/// The record that it happens to.
const AT: usize = 500;

const FAULTS: [(&str, Plant, Due); 5] = [
    ("lost", lose, ([1, 0, 0, 0], 0)),
    ("doubled", double, ([0, 1, 0, 0], 0)),
    ("out of order", reorder, ([0, 0, 1, 0], 0)),
    ("changed", change, ([1, 0, 0, 1], 0)),
    (NO_HEADER, strip, ([1, 0, 0, 0], 1)),
];
/// The one that payloads with stamps cannot have.
const NO_HEADER: &str = "no header";

pub(crate) fn found(ground: &mut Ground) -> Told {
    let mut told = Vec::new();
    for stamp in ["payload", "header"] {
        let (topic, ledger) = (format!("planted-{stamp}"), format!("planted-{stamp}.ledger"));
        ground.topic(&topic, 1)?;
        let how = format!("--record-size 100 --throughput -1 --ledger {ledger} --ledger-stamp {stamp}");
        ground.produce(&topic, &format!("--num-records 1000 {how}"))?;
        ground.consume(&topic, &format!("--ledger {ledger}"), 0)?;
        told.push(format!("0 honest {stamp}"));
        let honest = honest(ground, &topic)?;
        need(honest.len() == 1000, || format!("{} honest records", honest.len()))?;
        for (name, plant, due) in FAULTS.iter().filter(|(name, ..)| stamp == "header" || *name != NO_HEADER) {
            let planted_in = format!("{topic}-{}", name.replace(' ', "-"));
            let said = planted(ground, &planted_in, &ledger, &plant(honest.clone()))?;
            let is_found = (said.faults, said.others) == *due && said.words == "DOES NOT ADD UP";
            need(is_found, || format!("{name}: {said:?}"))?;
            told.push(format!("1 {name}"));
        }
    }
    Ok(format!("exit codes {}", told.join(", ")))
}

/// A topic's records as they lie there.
pub(crate) fn honest(ground: &Ground, topic: &str) -> Result<Records, Fault> {
    Ok(ground.records(topic)?.into_iter().map(|it| (it.value, it.headers)).collect())
}

/// What a ledger, as that of another topic, says of these records there; the reader ends with 1.
pub(crate) fn planted(ground: &Ground, topic: &str, ledger: &str, records: &Records) -> Result<Verdict, Fault> {
    ground.topic(topic, 1)?;
    ground.raw()?.produce(topic, records)?;
    let mut kept = Document::read(ground, ledger)?;
    need(kept.string("/topic")? != topic, || format!("{ledger} is of {topic}"))?;
    kept.0["topic"] = topic.into();
    ground.write(&format!("{topic}.ledger"), &kept.0.to_string())?;
    verdict(&ground.consume(topic, &format!("--ledger {topic}.ledger --timeout 3000"), 1)?)
}

pub(crate) fn lose(mut honest: Records) -> Records {
    honest.remove(AT);
    honest
}

fn double(mut honest: Records) -> Records {
    honest.insert(AT, honest[AT].clone());
    honest
}

fn reorder(mut honest: Records) -> Records {
    honest.swap(AT, AT + 1);
    honest
}

fn change(mut honest: Records) -> Records {
    honest[AT].0[50] ^= 1;
    honest
}

fn strip(mut honest: Records) -> Records {
    honest[AT].1.clear();
    honest
}
