//! Rows with costs that are known: they are found again, or it is said why not.

use super::scale::law;
use super::*;
use crate::results::columns::validity::MEASURED;

/// Costs of the made-up broker: ms for an MB in and out, us for a record and a batch.
const IN_MS: f64 = 1.5;
const OUT_MS: f64 = 0.5;
const RECORD_US: f64 = 0.25;
const BATCH_US: f64 = 12.0;

/// A row of so many MB, with noise as a share.
fn row(kind: &str, mb: f64, record_bytes: u32, batch_bytes: u64, noise: f64) -> Row {
    let records = mb * 1e6 / f64::from(record_bytes);
    let batches = mb * 1e6 / batch_bytes as f64;
    let cpu =
        if kind == "consume" { mb * OUT_MS } else { mb * IN_MS + records * RECORD_US / 1e3 + batches * BATCH_US / 1e3 };
    Row {
        kind: kind.to_owned(),
        workload: kind.to_owned(),
        target: "made-up".to_owned(),
        profile: "2c-24g-ext4".to_owned(),
        role: "subject".to_owned(),
        validity: MEASURED.to_owned(),
        record_bytes,
        partitions: 1,
        replication_factor: 1,
        clients: 1,
        batch_size_bytes: Some(batch_bytes),
        compression_type: "none".to_owned(),
        records: Some(records as u64),
        bytes: Some((mb * 1e6) as u64),
        batches: (kind != "consume").then_some(batches as u64),
        broker_cpu_ms: Some(cpu * (1.0 + noise)),
        ..Row::default()
    }
}

/// Sizes and batches that tell the costs apart, three rounds each, a few percent of noise.
fn varied() -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, (record, batch)) in
        [(100, 16_384), (1000, 16_384), (10_000, 16_384), (1000, 4096), (1000, 65_536), (1000, 262_144), (100, 262_144)]
            .into_iter()
            .enumerate()
    {
        for round in 0..3 {
            let noise = 0.01 * (((at * 7 + round * 3) % 5) as f64 - 2.0);
            rows.push(row("produce", 300.0 + 50.0 * round as f64, record, batch, noise));
        }
    }
    for round in 0..3 {
        rows.push(row("consume", 400.0 + round as f64, 1000, 16_384, 0.01 * (round as f64 - 1.0)));
    }
    rows
}

fn fitted(rows: Vec<Row>) -> Fitted {
    fit(&pick(rows, None).unwrap(), true, 1).unwrap()
}

#[test]
fn costs_that_are_known_are_found_again_within_their_intervals() {
    let fitted = fitted(varied());
    let cpu = &fitted.model.cpu;
    for (found, known) in [
        (cpu.ms_per_mb_in, IN_MS),
        (cpu.ms_per_mb_out, OUT_MS),
        (cpu.us_per_record_in, RECORD_US),
        (cpu.us_per_batch_in, BATCH_US),
    ] {
        assert!((found.mid / known - 1.0).abs() < 0.05, "{found:?} is not {known}");
        assert!(found.low <= known && known <= found.high, "{known} is not in {found:?}");
    }
    assert!(fitted.given_up.is_empty(), "{:?}", fitted.given_up);
    assert!(fitted.notes.iter().any(|it| it.starts_with("MB out are in one setting only")), "{:?}", fitted.notes);
    let missed = fitted.model.missed.unwrap();
    assert!(missed.median_share < 0.05 && missed.worst_share < 1.0, "{missed:?}");
}

#[test]
fn what_a_codec_made_less_counts_as_what_went_over_the_wire_when_it_is_read_too() {
    let plain = row("consume", 300.0, 1000, 16_384, 0.0);
    let wire = |bytes_per_record| Row { wire_bytes_per_record: Some(bytes_per_record), ..plain.clone() };
    let out = |row: &Row| (work::Work::MbOut.of(row) * 10.0).round() / 10.0;
    assert_eq!([out(&plain), out(&wire(1070.0)), out(&wire(350.0))], [300.0, 300.0, 105.0]);
    let sent = row("produce", 300.0, 1000, 16_384, 0.0);
    let lz4 = Row { compression_type: "lz4".to_owned(), wire_bytes_per_record: Some(350.0), ..sent.clone() };
    let of = |work: work::Work, row: &Row| (work.of(row) * 10.0).round() / 10.0;
    let codec = work::Work::Codec(work::Codec::Lz4);
    assert_eq!([of(work::Work::MbIn, &lz4), of(codec, &lz4), of(work::Work::RecordsIn, &lz4)], [105.0, 300.0, 300.0]);
    assert_eq!([of(codec, &sent), of(work::Work::RecordsIn, &sent)], [0.0, 300.0]);
}

#[test]
fn the_rate_of_a_broker_at_its_limit_is_a_core_beside_the_cost_of_a_mb() {
    let fitted = fitted(varied());
    let full = row("produce", 100.0, 500, 32_768, 0.0);
    let seconds = full.broker_cpu_ms.map(|ms| ms / 1000.0 / 0.98);
    let limited = Row { bottleneck: "broker-core".to_owned(), seconds, shards: Some(1), ..full.clone() };
    let other = Row { bottleneck: "disk".to_owned(), seconds, ..full };
    let saturated = fitted.check(std::slice::from_ref(&limited))[0].saturated.unwrap();
    assert!((saturated.off_share - 0.02).abs() < 0.03, "{saturated:?}");
    assert_eq!(fitted.check(&[limited.clone(), other])[0].saturated, None, "not in every round");
    let unknown = Row { shards: None, ..limited };
    assert_eq!(fitted.check(std::slice::from_ref(&unknown))[0].saturated, None, "of how many cores is not known");
    let seconds = unknown.seconds.map(|it| it * 2.0);
    let half = Row { emulated_cores: Some(0.5), seconds, ..unknown };
    let saturated = fitted.check(&[half])[0].saturated.unwrap();
    assert!((saturated.off_share - 0.02).abs() < 0.03, "{saturated:?}");
}

#[test]
fn settings_that_were_never_seen_are_foretold() {
    let fitted = fitted(varied());
    let checked = fitted.check(&[row("produce", 100.0, 500, 32_768, 0.0), row("consume", 50.0, 500, 32_768, 0.0)]);
    assert_eq!(checked.len(), 2);
    assert!(checked.iter().all(|it| it.off_share.abs() < 0.05), "{checked:?}");
}

#[test]
fn what_settings_of_the_fit_cost_when_measured_again_tells_the_drift_of_the_machine() {
    let fitted = fitted(varied());
    let dearer = |it: Row| Row { broker_cpu_ms: it.broker_cpu_ms.map(|ms| ms * 1.1), ..it };
    let unseen = dearer(row("produce", 100.0, 500, 32_768, 0.0));
    let again = [(100, 16_384), (1000, 4096)].map(|(record, batch)| dearer(row("produce", 300.0, record, batch, 0.0)));
    let read = dearer(row("consume", 400.0, 1000, 16_384, 0.0));
    let all: Vec<Row> = again.iter().chain([&unseen, &read]).cloned().collect();
    let drifts = fitted.drifts(&all);
    assert_eq!(drifts.iter().map(|it| (it.kind.as_str(), it.settings)).collect::<Vec<_>>(), [("produce", 2)]);
    assert!((drifts[0].share - 0.1).abs() < 0.02, "{drifts:?}");
    let checked = fitted.check(&all);
    let of = |bytes: &str| checked.iter().find(|it| it.cell.contains(bytes)).unwrap();
    let unseen = of(" 500 B");
    assert!((unseen.off_share + 0.09).abs() < 0.04 && unseen.off_share_less_drift.unwrap().abs() < 0.04, "{unseen:?}");
    assert!(of(" 100 B").is_seen && of(" 100 B").off_share_less_drift.is_none() && !unseen.is_seen);
}

#[test]
fn what_rows_cannot_tell_apart_is_given_up_with_the_trial_that_would() {
    let one_size: Vec<Row> = varied().into_iter().filter(|it| it.record_bytes == 1000).collect();
    let fitted = fitted(one_size);
    let records = fitted.given_up.iter().find(|it| it.what == "records in").unwrap();
    assert!(records.why.contains("MB in") && records.trial.contains("record_bytes 100 and 10000"), "{records:?}");
    assert_eq!(fitted.model.cpu.us_per_record_in, Interval::known(0.0));
    assert!((fitted.model.cpu.us_per_batch_in.mid / BATCH_US - 1.0).abs() < 0.1, "batches are told all the same");
}

#[test]
fn too_few_rows_several_targets_and_none_are_refused_with_what_to_do() {
    let one = vec![row("produce", 100.0, 1000, 16_384, 0.0)];
    let error = fit(&pick(one, None).unwrap(), true, 1).unwrap_err();
    assert!(error.contains("1 different settings in 1 rows") && error.contains("Add produce workloads"), "{error}");
    let two =
        vec![row("produce", 1.0, 1, 1, 0.0), Row { target: "other".to_owned(), ..row("produce", 1.0, 1, 1, 0.0) }];
    assert!(pick(two.clone(), None).unwrap_err().contains("made-up, other"));
    assert_eq!(pick(two, Some("other")).unwrap().left_out["of another target"], 1);
    let invalid = vec![Row { validity: "invalid".to_owned(), ..row("produce", 1.0, 1, 1, 0.0) }];
    assert!(pick(invalid, None).unwrap_err().contains("1 invalid or skipped"));
}

#[test]
fn rows_without_a_count_that_others_have_are_left_out_and_named() {
    let counted = |row: Row| {
        let of_mb = if row.record_bytes == 100 || row.batch_size_bytes == Some(65_536) { 400 } else { 10 };
        let requests = row.bytes.map(|it| it / 1_000_000 * of_mb);
        let ms = row.broker_cpu_ms.map(|ms| ms + requests.unwrap_or(0) as f64 * 0.02);
        Row { requests, broker_cpu_ms: ms, ..row }
    };
    let with: Vec<Row> = varied().into_iter().map(counted).collect();
    let alone = fitted(with.clone());
    assert!(alone.costs.iter().any(|it| it.what == "requests"), "{:?}", alone.costs);
    let older = || with.iter().map(|it| Row { requests: None, workload: "older".to_owned(), ..it.clone() });
    let together = fitted(with.iter().cloned().chain(older()).collect());
    assert_eq!(together.costs, alone.costs, "rows that do not count requests move no cost");
    assert!(
        together.notes.iter().any(|it| it.contains("24 rows left out: without a count of requests")),
        "{together:?}"
    );
    let older: Vec<Row> = older().collect();
    assert_eq!((alone.check(&older), alone.unsaid(&older).values().sum::<usize>()), (Vec::new(), 24));
}

#[test]
fn rows_of_another_schema_target_or_number_are_left_out_by_name() {
    let refused = |row: Row, target: Option<&str>| pick(vec![row], target).unwrap_err();
    let old = Row { kind: String::new(), schema: 1, ..row("produce", 1.0, 1, 1, 0.0) };
    assert!(refused(old, None).contains("1 of schema 1, which does not say what was done"));
    let told = refused(row("produce", 1.0, 1, 1, 0.0), Some("nope"));
    assert!(told.contains("1 of another target") && told.contains("the rows are of made-up"), "{told}");
    let endless = Row { broker_cpu_ms: Some(f64::INFINITY), ..row("produce", 1.0, 1, 1, 0.0) };
    assert!(refused(endless, None).contains("1 whose broker_cpu_ms is no number"));
}

#[test]
fn reading_that_no_row_has_is_taken_from_others_and_said() {
    let fitted = fitted(varied().into_iter().filter(|it| it.kind == "produce").collect());
    assert_eq!(fitted.model.cpu.ms_per_mb_out, Model::published().cpu.ms_per_mb_out);
    assert!(fitted.notes.iter().any(|it| it.contains("no row tells what MB out cost")), "{:?}", fitted.notes);
    assert!(fitted.notes.iter().any(|it| it.contains("loopback")));
}

#[test]
fn a_model_comes_back_from_its_toml() {
    let model = fitted(varied()).model;
    let text = toml::to_string(&model).unwrap();
    assert_eq!(toml::from_str::<Model>(&text).unwrap(), model);
    assert!(model.wrong().is_empty());
}

#[test]
fn the_scalability_law_is_found_again_and_three_counts_of_cores_are_needed() {
    let (contention, coherency) = (0.05, 0.002);
    let rate = |n: f64| 100.0 * n / (1.0 + contention * (n - 1.0) + coherency * n * (n - 1.0));
    let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 8.0, 16.0].map(|it| (it, rate(it))).to_vec();
    let found = law(&points).unwrap();
    assert!((found.contention - contention).abs() < 1e-6 && (found.coherency - coherency).abs() < 1e-6, "{found:?}");
    assert!((found.worth(8.0) * 100.0 - rate(8.0)).abs() < 1e-6);
    assert!(law(&points[..2]).is_none());
}

#[test]
fn memory_is_a_line_over_partitions() {
    let rows: Vec<Row> = [1u32, 100, 1000]
        .into_iter()
        .map(|partitions| Row {
            partitions,
            broker_resident_bytes_max: Some((50 + u64::from(partitions) * 2) * 1_048_576),
            ..row("produce", 1.0, 1000, 16_384, 0.0)
        })
        .collect();
    let found = scale::memory(&rows).unwrap();
    assert!((found.base_mib - 50.0).abs() < 1e-6 && (found.mib_per_partition - 2.0).abs() < 1e-9, "{found:?}");
    assert!(scale::memory(&rows[..1]).is_none());
}
