//! Changes of topics are held back (KIP-599): each partition that is made or removed takes a token of whom it is done for.
//!
//! ```text
//!   By { client, is_strict } -- begin --> charge(partitions) of each topic --> throttle_ms, in the answer
//!        strict (newer requests)     no token left: the topic is refused, THROTTLING_QUOTA_EXCEEDED
//!        others                      it is made, and the client waits
//! ```
//! A bucket (TokenBucket) gains `controller_mutation_rate` tokens a second, and holds what all windows of
//! `controller.quota.window.*` give. It may be overdrawn once: a topic may have more partitions than tokens.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;

use super::create::Refusal;
use crate::metadata::quotas::Quotas;
use crate::settings::Settings;
use crate::throttle::{Payer, REMEMBERED, nearest};

/// The quota's name.
pub(crate) const MUTATION_RATE: &str = "controller_mutation_rate";

/// For whom a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutator {
    pub(crate) client_id: String,
    /// Its request knows THROTTLING_QUOTA_EXCEEDED.
    pub(crate) is_strict: bool,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_ms: i64,
}

/// Who pays for the call that is being decided.
#[derive(Debug)]
struct Paying {
    payer: Payer,
    quota: f64,
    is_strict: bool,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Mutations {
    buckets: BTreeMap<Payer, Bucket>,
    paying: Option<Paying>,
    now_ms: i64,
    /// What a bucket holds, in seconds of its quota.
    burst_s: f64,
    throttle_ms: u32,
}

impl Mutations {
    /// A call begins: what it changes is paid for by this client, or by nobody.
    pub(super) fn begin(&mut self, mutator: Option<&Mutator>, quotas: &Quotas, settings: &Settings, now_ms: i64) {
        let found = mutator.and_then(|it| Some((nearest(quotas, MUTATION_RATE, &it.client_id)?, it.is_strict)));
        self.paying = found.map(|((payer, quota), is_strict)| Paying { payer, quota, is_strict });
        let windows = settings.controller_quota_window_num() as f64;
        self.burst_s = windows * settings.controller_quota_window_size_seconds() as f64;
        (self.now_ms, self.throttle_ms) = (now_ms, 0);
    }

    /// It makes or removes so many partitions.
    pub(super) fn charge(&mut self, partitions: usize) -> Result<(), Refusal> {
        let Some(Paying { payer, quota, is_strict }) = &self.paying else { return Ok(()) };
        let (quota, burst) = (*quota, quota * self.burst_s);
        if self.buckets.len() >= REMEMBERED {
            // A full one is as good as none; of an empty one more the client is let off.
            let (now_ms, burst_s) = (self.now_ms, self.burst_s);
            self.buckets.retain(|_, bucket| ((now_ms - bucket.filled_ms) as f64) < 1000.0 * burst_s);
            if self.buckets.len() >= REMEMBERED && !self.buckets.contains_key(payer) {
                return Ok(());
            }
        }
        let full = Bucket { tokens: burst, filled_ms: self.now_ms };
        let bucket = self.buckets.entry(payer.clone()).or_insert(full);
        let since_s = self.now_ms.saturating_sub(bucket.filled_ms).max(0) as f64 / 1000.0;
        bucket.tokens = burst.min(bucket.tokens + quota * since_s);
        bucket.filled_ms = self.now_ms;
        let is_overdrawn = bucket.tokens < 0.0;
        if !(*is_strict && is_overdrawn) {
            bucket.tokens -= partitions as f64;
        }
        if bucket.tokens < 0.0 && (is_overdrawn || !is_strict) {
            // As a float is cast: what is too long is as long as can be said.
            self.throttle_ms = self.throttle_ms.max((-bucket.tokens / quota * 1000.0).round() as u32);
        }
        if *is_strict && is_overdrawn {
            let words = "The throttling quota has been exceeded.";
            return Err(Refusal::new(ErrorCode::THROTTLING_QUOTA_EXCEEDED, words));
        }
        Ok(())
    }

    /// How long its client is to wait.
    pub(super) fn throttle_ms(&self) -> i32 {
        i32::try_from(self.throttle_ms).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::quotas::{entity_of, record};

    /// A token a second, of which a bucket holds eleven.
    fn quotas() -> Quotas {
        let mut quotas = Quotas::default();
        quotas.apply(&record(&entity_of(&[("client-id", None)]), MUTATION_RATE, Some(1.0)));
        quotas
    }

    fn charge(
        mutations: &mut Mutations,
        (client, is_strict): (&str, bool),
        now_ms: i64,
        partitions: usize,
    ) -> (bool, i32) {
        let mutator = Mutator { client_id: client.to_owned(), is_strict };
        mutations.begin(Some(&mutator), &quotas(), &Settings::of(&[]), now_ms);
        let is_refused = mutations.charge(partitions).is_err();
        (is_refused, mutations.throttle_ms())
    }

    #[test]
    fn a_strict_client_is_refused_once_its_tokens_are_overdrawn_and_pays_nothing_for_that() {
        let mut all = Mutations::default();
        assert_eq!(charge(&mut all, ("c", true), 5_000, 10), (false, 0));
        assert_eq!(charge(&mut all, ("c", true), 5_000, 5), (false, 0), "the last one may take more than there is");
        assert_eq!(charge(&mut all, ("c", true), 5_000, 1), (true, 4_000));
        assert_eq!(charge(&mut all, ("c", true), 6_000, 1), (true, 3_000));
        assert_eq!(charge(&mut all, ("other", true), 6_000, 11), (false, 0), "each client has tokens of its own");
        assert_eq!(charge(&mut all, ("c", true), 9_000, 1), (false, 0));
        assert_eq!(charge(&mut all, ("c", true), 1_000_000, 11), (false, 0));
        assert_eq!(charge(&mut all, ("c", true), 1_000_001, 1), (false, 0), "no more than eleven were saved up");
        assert!(charge(&mut all, ("c", true), 1_000_001, 1).0);
    }

    #[test]
    fn another_client_is_never_refused_and_waits() {
        let mut all = Mutations::default();
        assert_eq!(charge(&mut all, ("c", false), 0, 14), (false, 3_000));
        assert_eq!(charge(&mut all, ("c", false), 1_000, 2), (false, 4_000));
        assert_eq!(charge(&mut all, ("c", false), 1_000, 0), (false, 4_000));
        assert_eq!(charge(&mut all, ("c", false), 5_000, 0), (false, 0));
    }

    #[test]
    fn who_has_no_quota_and_what_nobody_asked_for_is_free() {
        let mut all = Mutations::default();
        all.begin(None, &quotas(), &Settings::of(&[]), 0);
        assert!(all.charge(1_000_000).is_ok() && all.throttle_ms() == 0);
        let mutator = Mutator { client_id: "c".to_owned(), is_strict: true };
        for _ in 0..2 {
            all.begin(Some(&mutator), &Quotas::default(), &Settings::of(&[]), 0);
            assert!(all.charge(1_000_000).is_ok() && all.throttle_ms() == 0);
        }
    }
}
