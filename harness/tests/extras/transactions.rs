//! Ledgers of transactions: what was committed is there, what was aborted is read by nobody.

use std::time::Duration;

use rustix::process::Signal;

use crate::checks::report::{Told, need};
use crate::checks::tools::end;
use crate::ground::{Ground, PARTITIONS, wait_s};
use crate::planted::{honest, lose, planted};
use crate::said::{first, last_line, number, verdict};

const ABORTED_MAX: Duration = Duration::from_secs(90);

/// Records of committed transactions are the acknowledged ones.
pub(crate) fn committed(ground: &mut Ground) -> Told {
    ground.topic("committed", PARTITIONS)?;
    let how = "--num-records 20000 --record-size 100 --throughput 10000 --clients 2";
    let in_transactions = "--transactional-id committed --transaction-duration-ms 100";
    let out = ground.produce("committed", &format!("{how} {in_transactions} --verify"))?;
    let said = verdict(&out)?;
    let is_whole = [said.acknowledged, said.read] == [20_000; 2] && said.unknown == 0;
    need(is_whole && said.words == "adds up; 0 were aborted, 0 of them read", || format!("{said:?}"))?;
    let ends = ground.ends("committed", PARTITIONS)?;
    let markers = ends.saturating_sub(20_000);
    need(markers > 20, || format!("{markers} markers"))?;
    Ok(format!("{}; {markers} markers", last_line(&out)))
}

/// A transaction that an error stopped is aborted; of what it had written nothing is read. A reader that sees it, and a committed
/// record that is missing, are each found.
pub(crate) fn aborted(ground: &mut Ground) -> Told {
    ground.topic("aborted", 1)?;
    let shape = "--duration 20 --throughput 2000 --record-size 100 --ledger aborted.ledger";
    let in_transactions = "--transactional-id aborted --transaction-duration-ms 2500";
    let settings = "--producer-props delivery.timeout.ms=1500 request.timeout.ms=1000 linger.ms=0";
    let producer = ground.start_producing("aborted", &format!("{shape} {in_transactions} {settings}"))?;
    // In the middle of the second transaction: one is committed, and there is something to abort.
    wait_s(4.2);
    ground.broker.signal(Signal::STOP)?;
    wait_s(4.0);
    ground.broker.signal(Signal::CONT)?;
    let done = producer.finish(ABORTED_MAX)?.ended_with(1)?;
    need(done.err.contains("Expiring"), || format!("it does not say what expired: {}", end(&done.err)))?;
    let said = verdict(&ground.consume("aborted", "--ledger aborted.ledger", 0)?)?;
    let words = first(r"^adds up; (\d+) were aborted, (\d+) of them read$", &said.words)?;
    let (of_it, read): (usize, u64) = (number(&words, 0)?, number(&words, 1)?);
    let is_well = said.acknowledged == said.read && said.acknowledged > 1000 && of_it > 10 && read == 0;
    need(is_well, || format!("{said:?}"))?;
    let written = honest(ground, "aborted")?;
    let committed = said.acknowledged as usize;
    let seen = written.len().saturating_sub(committed);
    let words = || format!("{} records in the log, {committed} of them committed: nothing to hide", written.len());
    need(0 < seen && seen <= of_it, words)?;
    let faults = [
        ("seen", written.clone(), 0, format!("{of_it} were aborted, {seen} of them read")),
        ("lost", lose(written[..committed].to_vec()), 1, format!("{of_it} were aborted, 0 of them read")),
    ];
    for (name, records, lost, words) in faults {
        let wrong = planted(ground, &format!("aborted-{name}"), "aborted.ledger", &records)?;
        let is_found = wrong.lost() == lost && wrong.words == format!("DOES NOT ADD UP; {words}");
        need(is_found, || format!("{name}: {wrong:?}"))?;
    }
    Ok(format!("{committed} committed, {of_it} aborted, {seen} of them in the log; read by nobody, planted: found"))
}
