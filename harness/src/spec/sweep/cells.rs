//! From a part's lists to its cells: which combinations, and a checked workload for each.

use rand::SeedableRng;
use rand::seq::index;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::settings::{self, Place};
use super::{CELLS_MAX, How, Ladder, Part, Source, SweepCell};
use crate::client::config::{ConsumerConfig, ProducerConfig};
use crate::load::shapes::Sizes;
use crate::spec::document::Finding;
use crate::spec::workload::{Kind, Workload, WorkloadError};

/// What a record costs in a request beside its key and value, at most: its own header and the batch's.
const RECORD_OVERHEAD_MAX: u64 = 100;
/// Characters of a name that tags of the histogram log, or the rate behind `@`, need for themselves.
const RESERVED: [char; 4] = [' ', ',', '@', '\n'];

/// One list of `[part.vary]`.
struct Factor<'a> {
    name: &'a str,
    values: &'a [toml::Value],
}

/// The cells of part number `at` of the file.
pub(super) fn of(source: &Source<'_>, at: usize, part: &Part, seed: u64) -> Result<Vec<SweepCell>, Finding> {
    check_ladder(source, at, part)?;
    let factors = factors(source, at, part)?;
    let choices = choices(source, at, part, (&factors, seed))?;
    let mut cells: Vec<SweepCell> = Vec::new();
    for choice in choices {
        let chosen: Vec<(&str, &toml::Value)> =
            factors.iter().zip(&choice).map(|(factor, value)| (factor.name, &factor.values[*value])).collect();
        let cell = cell(part, &chosen).map_err(|wrong| {
            let settings: Vec<String> = chosen.iter().map(|it| format!("{}={}", it.0, settings::text(it.1))).collect();
            let which = if settings.is_empty() { String::new() } else { format!(" with {}", settings.join(" ")) };
            let words = format!("part {}{which}: {}", part.name, wrong.words);
            let below = if settings.is_empty() { "workload" } else { "vary" };
            match wrong.key {
                Some(key) => source.at_key(&format!("part.{at}.workload"), &key, words),
                None => source.at(&format!("part.{at}.{below}"), words),
            }
        })?;
        if !cells.iter().any(|it| it.workload.name == cell.workload.name) {
            cells.push(cell);
        }
    }
    Ok(cells)
}

/// The lists in the order of the file.
fn factors<'a>(source: &Source<'_>, at: usize, part: &'a Part) -> Result<Vec<Factor<'a>>, Finding> {
    let mut factors = Vec::new();
    let path = format!("part.{at}.vary");
    for (name, value) in &part.vary {
        let (place, _) = settings::place(name).map_err(|words| source.at_key(&path, name, words))?;
        if place == Place::Workload && name == "kind" {
            return Err(source.at_key(&path, name, "kind cannot be varied: make a part of its own for each"));
        }
        let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
        if values.is_empty() {
            let words = format!("{name} must be a list with a value in it: {name:?} = [..]");
            return Err(source.at_key(&path, name, words));
        }
        factors.push((source.line_of_key(&path, name), Factor { name, values }));
    }
    factors.sort_by_key(|it| it.0);
    Ok(factors.into_iter().map(|it| it.1).collect())
}

fn check_ladder(source: &Source<'_>, at: usize, part: &Part) -> Result<(), Finding> {
    let Some(Ladder { records_s, sent_share_min, p99_ms, bisections }) = &part.rate else { return Ok(()) };
    let refused = |key: &str, words: String| Err(source.at(&format!("part.{at}.rate.{key}"), words));
    let is_positive = |value: &f64| value.is_finite() && *value > 0.0;
    if records_s.is_empty() || !records_s.iter().all(is_positive) || !records_s.is_sorted_by(|a, b| a < b) {
        return refused("records_s", "records_s must be a list of rates above 0, each above the one before".to_owned());
    }
    if !(0.0..=1.0).contains(sent_share_min) {
        return refused("sent_share_min", format!("sent_share_min is {sent_share_min}; it must be 0 to 1"));
    }
    if !p99_ms.as_ref().is_none_or(is_positive) {
        return refused("p99_ms", "p99_ms must be above 0, or left out".to_owned());
    }
    if *bisections > 20 {
        return refused("bisections", format!("bisections is {bisections}; 20 halve a rate to a millionth"));
    }
    if part.workload.kind != Kind::Latency {
        let path = format!("part.{at}.workload.kind");
        return Err(source.at(&path, "a part with [part.rate] offers rates: its kind must be \"latency\""));
    }
    Ok(())
}

/// Which value of each list, for every cell.
fn choices(
    source: &Source<'_>,
    at: usize,
    part: &Part,
    (factors, seed): (&[Factor<'_>], u64),
) -> Result<Vec<Vec<usize>>, Finding> {
    let sizes: Vec<usize> = factors.iter().map(|it| it.values.len()).collect();
    let all = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).unwrap_or(usize::MAX);
    let too_many = |count: usize| {
        let words = format!(
            "the lists of part {} make {count} cells; {CELLS_MAX} are the most: take how = \"one-factor\" or \"sample\"",
            part.name
        );
        source.at(&format!("part.{at}.vary"), words)
    };
    match (part.how, part.samples) {
        (How::Sample, None | Some(0)) => {
            let words = "how = \"sample\" needs samples = the number of cells to draw";
            Err(source.at(&format!("part.{at}.how"), words))
        }
        (How::Product | How::OneFactor, Some(_)) => {
            let words = "samples belongs to how = \"sample\"";
            Err(source.at(&format!("part.{at}.samples"), words))
        }
        (How::Sample, Some(samples)) if samples > CELLS_MAX => Err(too_many(samples)),
        (How::Sample, Some(samples)) => {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut drawn = index::sample(&mut random, all, samples.min(all)).into_vec();
            drawn.sort_unstable();
            Ok(drawn.into_iter().map(|number| nth(&sizes, number)).collect())
        }
        (How::Product, None) if all > CELLS_MAX => Err(too_many(all)),
        (How::Product, None) => Ok((0..all).map(|number| nth(&sizes, number)).collect()),
        (How::OneFactor, None) => {
            let first = vec![0; sizes.len()];
            let others = sizes.iter().enumerate().flat_map(|(factor, size)| {
                let first = first.clone();
                (1..*size).map(move |value| {
                    let mut choice = first.clone();
                    choice[factor] = value;
                    choice
                })
            });
            Ok(std::iter::once(first.clone()).chain(others).collect())
        }
    }
}

/// Combination `number` of all: the last list turns fastest.
fn nth(sizes: &[usize], number: usize) -> Vec<usize> {
    let (mut rest, mut choice) = (number, vec![0; sizes.len()]);
    for (at, size) in sizes.iter().enumerate().rev() {
        choice[at] = rest % size;
        rest /= size;
    }
    choice
}

/// Why a cell cannot be, and the key of its workload that is to blame where it is one alone.
struct Wrong {
    key: Option<String>,
    words: String,
}

impl From<String> for Wrong {
    fn from(words: String) -> Self {
        Self { key: None, words }
    }
}

/// The cell of these values, or why it cannot be.
fn cell(part: &Part, chosen: &[(&str, &toml::Value)]) -> Result<SweepCell, Wrong> {
    let mut workload = part.workload.clone();
    if let Some(ladder) = &part.rate {
        workload.rate_records_s = ladder.records_s.first().copied();
    }
    let mut table = toml::Table::try_from(&workload).map_err(|error| error.to_string())?;
    let mut reads = part.reads || !workload.consumer.is_empty();
    for (name, value) in chosen {
        let (place, inner) = settings::place(name)?;
        let sections: &[&str] = match place {
            Place::Workload => {
                table.insert(inner.to_owned(), (*value).clone());
                &[]
            }
            Place::Producer => &["producer"],
            Place::Consumer => &["consumer"],
            Place::Clients => &["producer", "consumer"],
            Place::Topic => &["topic"],
        };
        reads |= place == Place::Consumer;
        for section in sections {
            let entry = table.entry(*section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let Some(section) = entry.as_table_mut() {
                section.insert(inner.to_owned(), toml::Value::String(settings::text(value)));
            }
        }
    }
    let factors: Vec<(String, String)> =
        chosen.iter().map(|(name, value)| ((*name).to_owned(), settings::text(value))).collect();
    let name = std::iter::once(part.name.clone()).chain(factors.iter().map(|(name, value)| format!("{name}={value}")));
    let name = name.collect::<Vec<_>>().join("/").replace(RESERVED, "_");
    table.insert("schema".to_owned(), toml::Value::Integer(1));
    table.insert("name".to_owned(), toml::Value::String(name.clone()));
    table.insert("what".to_owned(), toml::Value::String(part.what.clone()));
    let workload: Workload = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    if workload.kind == Kind::Consume {
        return Err("kind = \"consume\" has nothing to read here: take \"produce\" and reads = true".to_owned().into());
    }
    workload.check().map_err(|error| match error {
        WorkloadError::Invalid { reason, .. } => reason,
        other => other.to_string(),
    })?;
    check_clients(&workload)?;
    let reader = reads.then(|| Workload {
        name: format!("{name}/read"),
        kind: Kind::Consume,
        of: Some(name.clone()),
        rate_records_s: None,
        ..workload.clone()
    });
    Ok(SweepCell { part: part.name.clone(), factors, workload, reader, ladder: part.rate.clone() })
}

/// What our clients, and Java's, would refuse or could not send.
fn check_clients(workload: &Workload) -> Result<(), Wrong> {
    let mut properties = settings::somewhere();
    workload.producer.iter().for_each(|(name, value)| properties.set(name, value));
    let parsed = ProducerConfig::parse(&properties).map_err(|error| error.to_string())?;
    if let Some(unused) = parsed.unused.first() {
        return Err(Wrong { key: Some(unused.clone()), words: settings::unknown(unused) });
    }
    let sizes = workload.record_size_dist.as_deref().and_then(|text| Sizes::parse(text).ok());
    let most = sizes.map_or(u64::from(workload.record_bytes), |it| it.max() as u64) + RECORD_OVERHEAD_MAX;
    let limits = [
        ("max.request.size", parsed.config.max_request_size as u64),
        ("buffer.memory", parsed.config.buffer_memory as u64),
    ];
    if let Some((name, limit)) = limits.iter().find(|it| most > it.1) {
        let words = format!(
            "records of up to {} bytes do not fit into {name} = {limit}: raise it (and the topic's max.message.bytes), or take smaller records",
            most - RECORD_OVERHEAD_MAX
        );
        return Err(words.into());
    }
    let mut properties = settings::somewhere();
    workload.consumer.iter().for_each(|(name, value)| properties.set(name, value));
    let parsed = ConsumerConfig::parse(&properties).map_err(|error| error.to_string())?;
    let unknown = |unused: &String| Wrong { key: Some(unused.clone()), words: settings::unknown(unused) };
    parsed.unused.first().map_or(Ok(()), |unused| Err(unknown(unused)))
}
