//! A comparison that was kept, judged again by the rules of its manifest.

use super::kept::Kept;
use crate::verdict::{self, Judgement, Rules, Verdict, pairs};

/// What a comparison came to.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    /// Side A and side B.
    pub(super) names: [String; 2],
    /// The verdict, and what was found of each figure.
    pub(super) judgement: Judgement,
    /// Whether both sides were the same on purpose.
    pub(super) is_aa: bool,
}

impl Comparison {
    /// Of a run whose rows have sides.
    pub(super) fn of(kept: &Kept) -> Option<Self> {
        let names = pairs::names(&kept.rows)?;
        let asked = &kept.manifest.asked;
        let judgement = verdict::judge::last(&kept.rows, &Rules::kept(asked));
        let is_aa = asked.get("aa").and_then(toml::Value::as_bool).unwrap_or(false);
        Some(Self { names, judgement, is_aa })
    }

    /// The verdict, with who is meant.
    pub(super) fn headline(&self) -> String {
        let [a, b] = &self.names;
        format!("{b} (B) against {a} (A): {}.", self.judgement.sentence(self.is_aa))
    }

    /// Whether it says something at all.
    pub(super) fn is_believed(&self) -> bool {
        self.judgement.invalid.is_empty()
            && !self.judgement.is_false_alarm(self.is_aa)
            && !matches!(self.judgement.verdict, Verdict::ClientBound | Verdict::NoData)
    }
}
