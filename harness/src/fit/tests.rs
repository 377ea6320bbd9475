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
fn settings_that_were_never_seen_are_foretold() {
    let fitted = fitted(varied());
    let checked = fitted.check(&[row("produce", 100.0, 500, 32_768, 0.0), row("consume", 50.0, 500, 32_768, 0.0)]);
    assert_eq!(checked.len(), 2);
    assert!(checked.iter().all(|it| it.off_share.abs() < 0.05), "{checked:?}");
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
