//! How a run begins, paces itself and ends: what is looked at in every tool, whatever it measures.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::checks::report::{Fault, Told, failed, need};
use crate::checks::tools::{Tool, end};
use crate::ground::Ground;
use crate::said::{Document, Sent, total, windows};

/// How long a run may take that must not begin.
const REFUSED_MAX: Duration = Duration::from_secs(60);

/// The rate is held in a run that a fast client could send at once, and in every window.
pub(crate) fn paced(ground: &mut Ground) -> Told {
    let told = [("200", 200.0), ("2000", 1000.0), ("40", 99.5)].map(|(records, rate)| paced_at(ground, records, rate));
    Ok(told.into_iter().collect::<Result<Vec<_>, Fault>>()?.join("; "))
}

fn paced_at(ground: &Ground, records: &str, rate: f64) -> Told {
    let (out, sent) = paced_run(ground, &format!("paced-{records}"), records, rate, "")?;
    let fastest = windows(&out)?.iter().map(|it| it.rate).fold(0.0, f64::max);
    let words = || format!("a window of {fastest:.0} records/sec where {rate} were asked for: {}", end(&out));
    need(0.0 < fastest && fastest <= 1.3 * rate + 20.0, words)?;
    Ok(format!("{:.0} of {rate}, at most {fastest:.0}", sent.rate))
}

fn paced_run(ground: &Ground, topic: &str, records: &str, rate: f64, extra: &str) -> Result<(String, Sent), Fault> {
    ground.topic(topic, 1)?;
    let paced = format!("--num-records {records} --throughput {rate} --reporting-interval 250");
    let out = ground.produce(topic, &format!("--record-size 100 {paced} {extra}"))?;
    let sent = total(&out)?;
    let words = || format!("{:.0} records/sec where {rate} were asked for: {}", sent.rate, end(&out));
    need(sent.rate <= 1.1 * rate + 5.0, words)?;
    Ok((out, sent))
}

/// The same where transactions begin and end meanwhile: while one ends nothing is sent, and what became due is sent after it, so
/// that no window stands for itself; what was sent until its end does.
pub(crate) fn paced_in_transactions(ground: &mut Ground) -> Told {
    let (out, _) = paced_run(ground, "paced-in-transactions", "200", 200.0, "--transaction-duration-ms 100")?;
    let (mut sent, mut spent_s) = (0, 0.0);
    for window in windows(&out)? {
        (sent, spent_s) = (sent + window.records, spent_s + window.records as f64 / window.rate);
        let words = || format!("{sent} records after {spent_s:.2} s where 200 a second were asked for: {}", end(&out));
        need(sent as f64 <= 200.0 * spent_s * 1.2 + 20.0, words)?;
    }
    need(sent > 0, || format!("no window: {}", end(&out)))?;
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
