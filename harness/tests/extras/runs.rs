//! How a run begins, paces itself and ends: what is looked at in every tool, whatever it measures.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::checks::report::{Fault, Told, failed, need};
use crate::checks::tools::{Tool, end};
use crate::ground::Ground;
use crate::said::{Document, Sent, total, windows};

/// How long a run may take that must not begin.
const REFUSED_MAX: Duration = Duration::from_secs(60);
/// How often a run is looked at that the machine disturbed.
const ATTEMPTS: u32 = 3;
/// A window of the runs whose pace is looked at, and the same in seconds.
const WINDOW_MS: u32 = 250;
const WINDOW_S: f64 = WINDOW_MS as f64 / 1e3;

/// The rate is held in a run that a fast client could send at once, and in every window.
pub(crate) fn paced(ground: &mut Ground) -> Told {
    let told = [("200", 200.0), ("2000", 1000.0), ("40", 99.5)].map(|(records, rate)| {
        undisturbed(|attempt| paced_at(ground, &format!("paced-{records}-{attempt}"), records, rate))
    });
    Ok(told.into_iter().collect::<Result<Vec<_>, Fault>>()?.join("; "))
}

fn paced_at(ground: &Ground, topic: &str, records: &str, rate: f64) -> Told {
    held(&paced_run(ground, topic, records, rate, "")?, rate)
}

/// No window of a run went much faster than it was asked to.
fn held(run: &Paced, rate: f64) -> Told {
    let fastest = windows(&run.out)?.iter().map(|it| it.rate).fold(0.0, f64::max);
    need(fastest > 0.0, || format!("no window: {}", end(&run.out)))?;
    let words = || format!("a window of {fastest:.0} records/sec where {rate} were asked for: {}", end(&run.out));
    run.need(fastest <= 1.3 * rate + 20.0, (fastest / rate - 1.0) * WINDOW_S, words)?;
    Ok(format!("{:.0} of {rate}, at most {fastest:.0}", run.sent.rate))
}

/// A run at a rate, and for how long the machine held it up.
struct Paced {
    out: String,
    sent: Sent,
    held_up_s: f64,
}

impl Paced {
    /// Fails unless a limit holds. What was due in a pause comes after it: where the machine made at least half of the pause
    /// that would explain it, it is not the tool that was seen.
    fn need(&self, holds: bool, pause_s: f64, words: impl FnOnce() -> String) -> Result<(), Fault> {
        let held_up_s = self.held_up_s;
        match holds {
            true => Ok(()),
            false if held_up_s >= pause_s / 2.0 => {
                let pause =
                    format!("a pause of {pause_s:.2} s explains it, and for {held_up_s:.2} s there was no core");
                Err(Fault::Disturbed(format!("{pause}: {}", words())))
            }
            false => Err(Fault::Failed(format!("{} (without a core for {held_up_s:.2} s)", words()))),
        }
    }
}

/// Runs until the machine disturbed none; at the third time it is undecided.
fn undisturbed(run: impl Fn(u32) -> Told) -> Told {
    let mut told = run(1);
    for attempt in 2..=ATTEMPTS {
        if matches!(told, Err(Fault::Disturbed(_))) {
            told = run(attempt);
        }
    }
    told
}

fn paced_run(ground: &Ground, topic: &str, records: &str, rate: f64, extra: &str) -> Result<Paced, Fault> {
    ground.topic(topic, 1)?;
    // A broker that compiles the way of its first records, and opens their log, is late with them: that is no pace of ours.
    ground.produce(topic, "--record-size 100 --num-records 100 --throughput -1")?;
    let paced = format!("--num-records {records} --throughput {rate} --reporting-interval {WINDOW_MS}");
    let (out, held_up_s) = ground.produce_watched(topic, &format!("--record-size 100 {paced} {extra}"))?;
    let sent = total(&out)?;
    let words = || format!("{:.0} records/sec where {rate} were asked for: {}", sent.rate, end(&out));
    need(sent.rate <= 1.1 * rate + 5.0, words)?;
    Ok(Paced { out, sent, held_up_s })
}

/// The same where transactions begin and end meanwhile: while one ends nothing is sent, and what became due is sent after it, so
/// that no window stands for itself; what was sent until its end does.
pub(crate) fn paced_in_transactions(ground: &mut Ground) -> Told {
    undisturbed(|attempt| paced_in_transactions_at(ground, &format!("paced-in-transactions-{attempt}")))
}

fn paced_in_transactions_at(ground: &Ground, topic: &str) -> Told {
    held_in_sum(&paced_run(ground, topic, "200", 200.0, "--transaction-duration-ms 100")?)
}

/// What was sent until the end of each window, of 200 a second.
fn held_in_sum(run: &Paced) -> Told {
    let (mut sent, mut spent_s) = (0, 0.0);
    for window in windows(&run.out)? {
        (sent, spent_s) = (sent + window.records, spent_s + window.records as f64 / window.rate);
        let words =
            || format!("{sent} records after {spent_s:.2} s where 200 a second were asked for: {}", end(&run.out));
        run.need(sent as f64 <= 200.0 * spent_s * 1.2 + 20.0, sent as f64 / 200.0 - spent_s, words)?;
    }
    need(sent > 0, || format!("no window: {}", end(&run.out)))?;
    Ok(format!("{sent} in {spent_s:.2} s"))
}

/// A pipe that nobody reads and a device without room end no tool: exit code 0, its files are written.
pub(crate) fn unread(ground: &mut Ground) -> Told {
    ground.topic("unread", 1)?;
    let producer = "--record-size 100 --num-records 2000 --throughput 2000 --reporting-interval 100 --print-metrics";
    let tools = [
        (Tool::Producer, format!("{producer} --json unread.json")),
        (Tool::Consumer, "--num-records 2000 --show-detailed-stats --reporting-interval 1".to_owned()),
        (Tool::EndToEnd, "--num-records 5 --producer-acks 1 --record-size 10".to_owned()),
    ];
    for (tool, arguments) in &tools {
        let ways = [("a pipe that is closed", closed_pipe()), ("/dev/full", full())];
        for (name, out) in ways {
            let out = out.map_err(|error| failed(name)(&error))?;
            let done = ground.run_into(*tool, &format!("--topic unread {arguments}"), out)?;
            let is_well = done.status.code() == Some(0) && !done.err.contains("panicked");
            need(is_well, || format!("{tool:?} into {name}: {:?}: {}", done.status, end(&done.err)))?;
            if *tool == Tool::Producer {
                let count = Document::read(ground, "unread.json")?.count("/totals/acknowledged")?;
                need(count == 2000, || format!("into {name}: the document counts {count} of 2000 records"))?;
                std::fs::remove_file(ground.path("unread.json")).map_err(|error| failed("unread.json")(&error))?;
            }
        }
    }
    Ok("three tools, two ways".to_owned())
}

/// The writing end of a pipe whose reading end is gone.
fn closed_pipe() -> std::io::Result<Stdio> {
    std::io::pipe().map(|(_, write_end)| write_end.into())
}

fn full() -> std::io::Result<Stdio> {
    std::fs::File::options().write(true).open("/dev/full").map(Stdio::from)
}

/// What can be known before a run is told before it, with exit code 1.
pub(crate) fn begun(ground: &mut Ground) -> Told {
    use Tool::{Consumer, Producer};
    const CASES: [(&str, Tool, &str, &str); 5] = [
        ("a folder that is not there", Producer, "--json /nonexistent/a.json", "--json /nonexistent/a.json: No such"),
        ("its ledger's", Producer, "--ledger /nonexistent/a", "--ledger /nonexistent/a: No such"),
        ("a consumer's", Consumer, "--json /nonexistent/a.json", "--json /nonexistent/a.json: No such"),
        ("a name that does not resolve", Producer, "--bootstrap-server a.invalid:9092", "No resolvable bootstrap urls"),
        ("providers that are not there", Producer, "--command-property config.providers=file", "config.providers=file"),
    ];
    let mut told = Vec::new();
    for (name, tool, extra, words) in CASES {
        let started = Instant::now();
        let own = if tool == Producer { "--record-size 100 --throughput -1" } else { "" };
        let run = ground.start(tool, &format!("{own} --topic t --num-records 9 {extra}"))?;
        let done = run.finish(REFUSED_MAX)?.ended_with(1)?;
        need(done.err.contains(words), || format!("{name}: no `{words}` in {}", end(&done.err)))?;
        let has_run = ["records sent", "records/sec"].iter().any(|it| done.out.contains(it));
        need(!has_run, || format!("{name}: it was told after the run: {}", end(&done.out)))?;
        told.push(format!("{name} after {:.1} s", started.elapsed().as_secs_f64()));
    }
    Ok(told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(held_up_s: f64) -> Paced {
        Paced { out: String::new(), sent: Sent { records: 1, rate: 1.0 }, held_up_s }
    }

    #[test]
    fn a_pause_that_the_machine_made_is_no_fault_of_the_tool_and_a_rate_that_no_pause_explains_is() {
        let of = |held_up_s: f64, pause_s| paced(held_up_s).need(false, pause_s, || "fast".to_owned());
        assert!(matches!(of(0.05, 0.1), Err(Fault::Disturbed(_))));
        assert!(matches!(of(0.04, 0.1), Err(Fault::Failed(_))));
        // A million records a second where 200 were asked for, on the busiest of machines.
        assert!(matches!(of(0.5, (1e6 / 200.0 - 1.0) * WINDOW_S), Err(Fault::Failed(_))));
        assert_eq!(paced(9.0).need(true, 0.0, String::new), Ok(()));
    }

    /// What a run of two windows prints: records and rate of each.
    fn printed(windows: [(u64, f64); 2]) -> String {
        let rest = "records/sec (0.02 MB/sec), 1.5 ms avg latency, 9.0 ms max latency.\n";
        windows.iter().map(|(records, rate)| format!("{records} records sent, {rate:.1} {rest}")).collect()
    }

    #[test]
    fn a_window_that_a_pause_of_the_machine_made_fast_is_looked_at_again_and_then_held() {
        let (fast, quiet) = (printed([(50, 200.0), (100, 400.0)]), printed([(50, 200.0), (50, 199.0)]));
        // A quarter of a second's records too many: half of that pause is enough to explain it.
        let attempts = |held_up_s: f64| {
            let seen = std::cell::Cell::new(0);
            let told = undisturbed(|attempt| {
                seen.set(attempt);
                let out = if attempt == 1 { fast.clone() } else { quiet.clone() };
                held(&Paced { out, ..paced(held_up_s) }, 200.0)
            });
            (told, seen.get())
        };
        assert_eq!(attempts(0.2), (Ok("1 of 200, at most 200".to_owned()), 2));
        let (told, seen) = attempts(0.1);
        let why = told.unwrap_err();
        assert!(matches!(why, Fault::Failed(_)) && seen == 1, "{why}");
        assert!(why.to_string().contains("a window of 400 records/sec where 200 were asked for"), "{why}");
        let none = held(&Paced { out: String::new(), ..paced(9.0) }, 200.0).unwrap_err();
        assert!(none.to_string().contains("no window"), "{none}");
    }

    #[test]
    fn in_transactions_it_is_the_sum_that_is_held_against_the_rate() {
        let of = |out: String, held_up_s: f64| held_in_sum(&Paced { out, ..paced(held_up_s) });
        // Nothing while a transaction ends, then what became due: 150 records in three quarters of a second.
        assert!(of(printed([(50, 100.0), (100, 400.0)]), 0.0).is_ok());
        let early = printed([(100, 400.0), (50, 200.0)]);
        assert!(matches!(of(early.clone(), 0.1), Err(Fault::Failed(_))));
        assert!(matches!(of(early, 0.13), Err(Fault::Disturbed(_))));
    }

    #[test]
    fn what_was_disturbed_is_run_again_and_what_failed_is_not() {
        let runs = std::cell::Cell::new(0);
        let until = |disturbed: u32, then: Told| {
            runs.set(0);
            let told = undisturbed(|attempt| {
                runs.set(attempt);
                if attempt <= disturbed { Err(Fault::Disturbed("busy".to_owned())) } else { then.clone() }
            });
            (told, runs.get())
        };
        assert_eq!(until(2, Ok("held".to_owned())), (Ok("held".to_owned()), 3));
        assert_eq!(until(0, Err(Fault::Failed("fast".to_owned()))).1, 1);
        assert!(matches!(until(3, Ok(String::new())), (Err(Fault::Disturbed(_)), 3)));
    }
}
