use super::*;
use crate::client::ReadHeaders;
use crate::measure::ledger::{WriteLedger, settle};
use crate::measure::series::{Second, Series};

struct Deaf;

impl ReadObserver for Deaf {}

fn tally(client: usize, shared: &Shared, recorder: Option<Recorder>) -> Tally {
    Tally::new(client, shared, Box::new(Deaf), recorder)
}

fn record(value: &[u8]) -> ConsumedRecord<'_> {
    ConsumedRecord {
        topic: "t",
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: Some(b"k"),
        value: Some(value),
        headers: ReadHeaders::default(),
    }
}

#[test]
fn clients_count_together_when_their_polls_are_over() {
    let shared = Shared::new(2, None);
    let start_ns = shared.start().0;
    let (mut one, mut two) = (tally(0, &shared, None), tally(1, &shared, None));
    one.record(&record(b"123"));
    two.record(&record(b"12345"));
    assert_eq!(shared.total().read, Read::default(), "until the poll is over");
    one.end_poll(start_ns + 5);
    two.end_poll(start_ns + 3);
    let total = shared.total();
    assert_eq!(total.read, Read { records: 2, bytes: 10 });
    assert_eq!((total.first_ns, total.last_ns), (Some(start_ns + 5), start_ns + 5));
}

#[test]
fn the_series_has_every_record_with_its_own_age_and_bytes() {
    let shared = Shared::new(1, None);
    let seconds: Arc<Mutex<Vec<Second>>> = Arc::default();
    let emitted = Arc::clone(&seconds);
    let emit = Box::new(move |second| locked(&emitted).push(second));
    let start_ns = shared.start().0;
    let mut tally = tally(0, &shared, Some(Recorder::new(0, start_ns, false, emit)));
    let wall_ms = SystemClock::new().wall_ms();
    let at = |ago_ms: i64| ConsumedRecord { timestamp_ms: wall_ms - ago_ms, ..record(b"1234") };
    let days = 40 * 24 * 3_600_000;
    [at(5000), at(5000), at(1000), at(5000), at(days), at(-9000)].iter().for_each(|record| tally.record(record));
    tally.end_poll(start_ns + 1);
    tally.record(&at(5000));
    tally.end();
    let mut series = Series::new(1, None);
    locked(&seconds).drain(..).for_each(|second| series.take(second).unwrap());
    series.end().unwrap();
    let response = &series.total.response;
    assert_eq!((series.counts.done, series.counts.done_bytes, response.len()), (7, 35, 7));
    assert_eq!(response.count_between(900_000_000, 1_900_000_000), 1);
    assert_eq!(response.count_between(4_900_000_000, 5_900_000_000), 4);
    let days_ns = u64::try_from(days).unwrap() * 1_000_000;
    let near = (days_ns - days_ns / 500, days_ns + days_ns / 500);
    assert_eq!(response.count_between(near.0, near.1), 1, "older than the machine");
    assert_eq!((series.total.ahead, series.total.saturated, response.min()), (1, 0, 0), "dated ahead, and told");
}

#[test]
fn each_client_s_ledger_is_part_of_one() {
    let (mut writer, mut value) = (WriteLedger::new(3), [0; 30]);
    let file = LedgerFile { writers: vec![writer.clone()], ..LedgerFile::default() };
    let shared = Shared::new(2, Some(&file));
    for partition in [0, 1, 0] {
        writer.stamp(partition, &mut value).unwrap();
        let mut tally = tally(usize::try_from(partition).unwrap(), &shared, None);
        tally.record(&ConsumedRecord { partition, ..record(&value) });
    }
    let verdict = settle(&[writer], &shared.read_ledger());
    assert_eq!((verdict.read, verdict.doubled, verdict.corrupt), (3, 0, 0), "{verdict}");
}
