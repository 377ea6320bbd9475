//! The rules of a comparison in its manifest, so that its folder is judged again as it was judged.
//!
//! ```text
//!   [asked]
//!   pairs = 20                             looks and their levels follow from it
//!   [asked.threshold]                      what a person asked for
//!   mb_s = 0.03
//!   response_us_p99 = "none"               taken out
//!   [asked.learned.produce-1k]             what this machine's noise wants at least
//!   mb_s = 0.08
//! ```

use std::collections::BTreeMap;

use super::Rules;
use super::metrics;
use super::rule::Levels;

const THRESHOLD: &str = "threshold";
const LEARNED: &str = "learned";
/// A column that is not judged.
const NONE: &str = "none";
/// Pairs of a run whose manifest does not say: what `ringlog compare` takes by default.
const PAIRS: i64 = 20;

impl Rules {
    /// What a manifest has of them, its pairs apart.
    #[must_use]
    pub fn keys(&self) -> toml::Table {
        let share = |it: Option<f64>| it.map_or_else(|| NONE.into(), toml::Value::Float);
        let asked: toml::Table = self.asked.iter().map(|(column, it)| ((*column).to_owned(), share(*it))).collect();
        let mut learned = toml::Table::new();
        for ((workload, column), share) in &self.noise {
            let own = learned.entry(workload).or_insert_with(|| toml::Table::new().into());
            if let Some(own) = own.as_table_mut() {
                own.insert(column.clone(), (*share).into());
            }
        }
        [(THRESHOLD, asked), (LEARNED, learned)]
            .map(|(key, table)| (key.to_owned(), table.into()))
            .into_iter()
            .collect()
    }

    /// The rules of a comparison whose manifest has this in `asked`. One of an older version had the defaults, as far as it says.
    #[must_use]
    pub fn kept(asked: &toml::Table) -> Self {
        let table = |key: &str| asked.get(key).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let pairs = asked.get("pairs").and_then(toml::Value::as_integer).unwrap_or(PAIRS);
        let threshold = |(column, it): (String, toml::Value)| {
            let column = metrics::named(&column).ok()?;
            it.as_float().map(Some).or_else(|| (it.as_str() == Some(NONE)).then_some(None)).map(|share| (column, share))
        };
        let mut noise = BTreeMap::new();
        for (workload, own) in table(LEARNED) {
            let own = own.as_table().into_iter().flatten();
            noise.extend(own.filter_map(|(column, it)| Some(((workload.clone(), column.clone()), it.as_float()?))));
        }
        Self {
            asked: table(THRESHOLD).into_iter().filter_map(threshold).collect(),
            noise,
            levels: Levels::new(usize::try_from(pairs).unwrap_or(PAIRS as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_back_from_a_manifest_as_they_were() {
        let rules = Rules {
            asked: BTreeMap::from([("mb_s", Some(0.03)), ("response_us_p99", None)]),
            noise: BTreeMap::from([(("w".to_owned(), "mb_s".to_owned()), 0.08)]),
            levels: Levels::new(40),
        };
        let mut asked = rules.keys();
        asked.insert("pairs".to_owned(), 40.into());
        let text = toml::to_string(&asked).unwrap();
        let back = Rules::kept(&text.parse().unwrap());
        assert_eq!((back.asked, back.noise, back.levels.pairs_max()), (rules.asked, rules.noise, 40));
        let older = Rules::kept(&toml::Table::new());
        assert!(older.asked.is_empty() && older.noise.is_empty() && older.levels.pairs_max() == 20);
    }
}
