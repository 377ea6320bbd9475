//! `--power`: error rates and power of the rule, as a Markdown table, by comparisons drawn from the rows of --aa runs.

use super::exit::CompareError;
use super::options::Options;
use crate::results::columns::Row;
use crate::verdict::rule::{ERROR, Levels};
use crate::verdict::simulate::{Rates, Recorded};

/// What is planted, in percent, and into which metrics.
const CHANGES: [f64; 3] = [5.0, 10.0, 25.0];
const METRICS: [&str; 3] = ["mb_s", "response_us_p99", "broker_cpu_ms_per_mb"];
/// Pairs of a comparison at most.
const PAIRS: [usize; 2] = [10, 20];
/// Fewer recorded pairs give the same few comparisons again and again.
const TURNS_MIN: usize = 8;

/// The table.
pub(super) fn table(rows: &[Row], options: &Options) -> Result<String, CompareError> {
    let recorded = Recorded::of(rows);
    if recorded.turns.len() < TURNS_MIN {
        let words = format!(
            "--power: {} whole pairs are too few, {TURNS_MIN} are the least: measure more with --aa",
            recorded.turns.len()
        );
        return Err(CompareError::Usage(words));
    }
    let levels = PAIRS.map(Levels::new);
    let draw = |planted: Option<(usize, f64)>| {
        let seed = options.place.seed;
        levels.each_ref().map(|it| recorded.rates(planted, it, (options.runs as usize, seed)))
    };
    let mut lines = vec![
        format!(
            "{} recorded pairs, {} metrics judged, {} drawn comparisons a figure.",
            recorded.turns.len(),
            recorded.metrics.len(),
            options.runs
        ),
        String::new(),
        head(),
    ];
    lines.push(line("no change: told as better or worse", &draw(None), |it| it.false_alarms));
    for (at, judged) in recorded.metrics.iter().enumerate().filter(|it| METRICS.contains(&it.1.metric)) {
        for percent in CHANGES {
            errln!("{} {}, +{percent} %", judged.workload, judged.metric);
            let change = (percent / 100.0).ln_1p();
            let name = format!("{} `{}` {percent:.0} % worse: found", judged.workload, judged.metric);
            lines.push(line(&name, &draw(Some((at, change))), |it| it.found));
        }
    }
    lines.push(format!(
        "\nAt most {:.0} % of comparisons without a change may be told as better or worse.",
        ERROR * 100.0
    ));
    Ok(lines.join("\n"))
}

fn head() -> String {
    let columns: String = PAIRS.iter().map(|it| format!(" {it} pairs | pairs taken |")).collect();
    format!("| what |{columns}\n|---|{}", "---|---|".repeat(PAIRS.len()))
}

fn line(name: &str, rates: &[Rates; 2], of: impl Fn(&Rates) -> f64) -> String {
    let cells: String = rates.iter().map(|it| format!(" {:.1} % | {:.1} |", of(it) * 100.0, it.pairs)).collect();
    format!("| {name} |{cells}")
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::parsed;
    use super::*;
    use crate::verdict::made::rates;

    #[test]
    fn the_table_has_false_alarms_and_what_is_found() {
        let text = table(&rates(12, 1.0, 0.02), &parsed("--power x --runs 20")).unwrap();
        assert!(text.contains("| no change: told as better or worse |"), "{text}");
        assert!(text.contains("| w `mb_s` 25 % worse: found | 100.0 % |"), "{text}");
        let few = table(&rates(3, 1.0, 0.02), &parsed("--power x")).unwrap_err().to_string();
        assert!(few.contains("3 whole pairs are too few"), "{few}");
    }
}
