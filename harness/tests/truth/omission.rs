//! The stall that a closed loop does not see: a broker that answers nothing for 1 s in every 10 s, at 1,000 records/s.
//!
//! ```text
//!   closed loop   while the client's memory is full nothing is sent, so the stall meets the few records that were under way;
//!                 the rest is sent afterwards, in a hurry, and is quick: p99 looks fine (coordinated omission)
//!   open loop     a record counts from when it was due: a tenth of all wait 0..1 s, and p99 is about 0.9 s
//! ```
//!
//! What is due, and when it was answered, is the proxy's record; the same truth holds for all three runs.

use std::cell::{Cell, RefCell};
use std::path::Path;

use crate::cases::{Bench, stall};
use crate::checks::brokers::Maker;
use crate::checks::hlog;
use crate::checks::report::{Fault, Report, Told, failed, need};
use crate::checks::tools::Tool;
use crate::pair::{Check, pair};
use crate::record::quantile;
use crate::said::{said, within};

const RATE: f64 = 1000.0;
const RECORDS: f64 = 20_000.0;
const TOPIC: &str = "omission";
const ARGUMENTS: &str = "--num-records 20000 --throughput 1000 --record-size 1000 --command-property acks=1 \
                         enable.idempotence=false linger.ms=0 buffer.memory=32768";
/// A closed loop's p99 is below this share of the true one.
const HIDDEN: f64 = 0.1;

/// A run of the three.
#[derive(Clone, Debug)]
struct Run {
    name: String,
    maker: Maker,
    is_open: bool,
}

/// What a run said and what is true.
#[derive(Clone, Debug)]
struct Outcome {
    sent: f64,
    line_p99: f64,
    true_p99: f64,
    /// Of an open loop: response and service.
    hlog_p99s: Option<(f64, f64)>,
}

/// All three at once: they mostly wait. `pair` runs them again where the reference was disturbed.
pub(crate) fn run(report: &mut Report<'_>, makers: &[Maker], folder: &Path) -> Result<(), Fault> {
    let title = |name: &str| format!("{name}: nothing is answered for 1 s in every 10 s");
    let mut runs = Vec::new();
    for maker in makers {
        let of = |name: &str, is_open| Run { name: title(name), maker: maker.clone(), is_open };
        match maker {
            Maker::Kafka { .. } => runs.push(of("Kafka's tool", false)),
            Maker::Ringlog { .. } => {
                runs.extend([of("ringlog's tool, closed loop", false), of("ringlog's tool, open loop", true)]);
            }
        }
    }
    runs.retain(|it| report.wants(&it.name));
    let (round, outcomes) = (Cell::new(0), RefCell::new(Vec::new()));
    let check = |at: usize| -> Told {
        // A round begins with the first.
        if at == 0 {
            round.set(round.get() + 1);
            *outcomes.borrow_mut() = all_at_once(&runs, &folder.join(format!("omission-{}", round.get())));
        }
        let of: Result<Outcome, Fault> = outcomes.borrow()[at].clone();
        if runs[at].is_open { seen(&of?) } else { hidden(&of?) }
    };
    let checks = runs.iter().enumerate().map(|(at, one)| Check {
        name: one.name.clone(),
        is_reference: one.maker.is_kafka(),
        run: Box::new(move || check(at)),
    });
    pair(report, checks.collect());
    Ok(())
}

fn all_at_once(runs: &[Run], folder: &Path) -> Vec<Result<Outcome, Fault>> {
    std::thread::scope(|scope| {
        let begun = runs.iter().enumerate().map(|(at, run)| {
            let folder = folder.join(at.to_string());
            scope.spawn(move || outcome(run, &folder))
        });
        let begun: Vec<_> = begun.collect();
        begun.into_iter().map(|it| it.join().unwrap_or_else(|_| Err(Fault::Failed("it panicked".to_owned())))).collect()
    })
}

fn outcome(run: &Run, folder: &Path) -> Result<Outcome, Fault> {
    std::fs::create_dir_all(folder).map_err(|error| failed("a folder")(&error))?;
    let log = folder.join("latency.hlog");
    let extra = if run.is_open { format!(" --open-loop --hdr-log {}", log.display()) } else { String::new() };
    let bench = Bench::start(&run.maker, &folder.join("broker"), &[TOPIC])?;
    let (text, record) = bench.run(stall(1000, 10_000), Tool::Producer, TOPIC, &format!("{ARGUMENTS}{extra}"))?;
    Ok(Outcome {
        sent: said(&text, "sent")?,
        line_p99: said(&text, "p99")?,
        true_p99: quantile(&record.responses_ms(RATE), 0.99)?,
        hlog_p99s: if run.is_open { Some((p99_ms(&log, "response")?, p99_ms(&log, "service")?)) } else { None },
    })
}

fn p99_ms(log: &Path, tag: &str) -> Result<f64, Fault> {
    let text = std::fs::read_to_string(log).map_err(|error| failed("the hdr log")(&error))?;
    let p99_ns = hlog::quantile(&hlog::read(&text, tag)?, 0.99);
    p99_ns.map(|ns| ns as f64 / 1e6).ok_or_else(|| Fault::Failed(format!("the hdr log has no {tag} times")))
}

fn is_whole(of: &Outcome) -> Result<(), Fault> {
    need(of.sent == RECORDS, || format!("{} records sent where {RECORDS} were asked for", of.sent))
}

/// A closed loop's line: every record was sent, and nothing is to be seen of the stall.
fn hidden(of: &Outcome) -> Told {
    is_whole(of)?;
    if of.line_p99 >= HIDDEN * of.true_p99 {
        let words = "this run does not show the effect";
        return Err(Fault::Disturbed(format!("p99 {} ms of {:.0} ms: {words}", of.line_p99, of.true_p99)));
    }
    Ok(format!("its line says p99 {} ms; from when records were due it was {:.0} ms", of.line_p99, of.true_p99))
}

/// The response histogram holds the truth, and a tenth less would be found.
fn seen(of: &Outcome) -> Told {
    is_whole(of)?;
    let (response, service) = of.hlog_p99s.ok_or_else(|| Fault::Failed("no open loop".to_owned()))?;
    let text = format!("response p99 {response:.0} ms (true {:.0}), service p99 {service:.1} ms", of.true_p99);
    if !within("p99", response, of.true_p99) {
        return Err(Fault::Disturbed(format!("beyond 5 %: {text}")));
    }
    need(!within("p99", 0.9 * response, of.true_p99), || format!("a lie would not be found: {text}"))?;
    Ok(format!("{text}; its line says {} ms; a lie found", of.line_p99))
}
