//! Clients are held back: rates of bytes that they produce and fetch from this shard, against the quotas of the metadata
//! image (ClientQuotaManager). A shard is a broker: each has its own rates, as brokers of Kafka have.
//!
//! ```text
//!   answer of a produce, a fetch -- charge --> the payer's meter --above the quota--> milliseconds
//!        throttle_time_ms in the answer, which leaves at once; its connection is not read meanwhile (KIP-219)
//! ```
//! Who pays is decided by the nearest quota: of user and client id, of the user, of the client id; each time one's own before
//! the default. Listeners are plain text, so that every user is [`ANONYMOUS`]. Clients of one payer share its meter.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ringlog_io::Nanos;

use crate::metadata::quotas::{CLIENT_ID, Entity, Quotas, USER};
use crate::settings::Settings;

/// KafkaPrincipal.ANONYMOUS.
pub(crate) const ANONYMOUS: &str = "ANONYMOUS";

/// Meters and clients that are remembered; names of clients come from outside.
const REMEMBERED: usize = 4096;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rate {
    /// Bytes of produce requests.
    Produce,
    /// Bytes of records in answers to fetches.
    Fetch,
}

impl Rate {
    fn quota(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
        }
    }
}

/// Whose meter counts: the user's, the client id's, or that of both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Payer {
    of_user: bool,
    client_id: Option<String>,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Throttle {
    quotas: Arc<Quotas>,
    windows: Windows,
    payers: BTreeMap<(Rate, String), Option<(Payer, f64)>>,
    meters: BTreeMap<(Rate, Payer), Meter>,
}

#[derive(Clone, Copy, Debug)]
struct Windows {
    count: usize,
    len_ns: u64,
}

impl Throttle {
    pub(crate) fn new(settings: &Settings, quotas: Arc<Quotas>) -> Self {
        let len_ns = settings.quota_window_size_seconds().saturating_mul(NS_PER_SECOND);
        let windows = Windows { count: settings.quota_window_num(), len_ns };
        Self { quotas, windows, payers: BTreeMap::new(), meters: BTreeMap::new() }
    }

    /// Takes the quotas of a newer image.
    pub(crate) fn take_quotas(&mut self, quotas: &Arc<Quotas>) {
        if !Arc::ptr_eq(quotas, &self.quotas) {
            self.payers.clear();
            self.quotas = Arc::clone(quotas);
        }
    }

    /// Whether anybody can be held back.
    pub(crate) fn is_idle(&self) -> bool {
        self.quotas.is_empty()
    }

    /// Counts bytes of a client. Gives the milliseconds for which it is held back.
    pub(crate) fn charge(&mut self, rate: Rate, client_id: &str, bytes: usize, now: Nanos) -> u32 {
        let Some((payer, quota)) = self.payer(rate, client_id) else { return 0 };
        if self.meters.len() >= REMEMBERED {
            let windows = self.windows;
            self.meters.retain(|_, meter| !meter.is_silent(windows, now));
        }
        if self.meters.len() >= REMEMBERED && !self.meters.contains_key(&(rate, payer.clone())) {
            return 0;
        }
        let meter = self.meters.entry((rate, payer)).or_default();
        meter.add(bytes as f64, self.windows, now);
        meter.excess_ms(quota, self.windows, now)
    }

    /// Takes back what an answer would have had that left empty.
    pub(crate) fn take_back(&mut self, rate: Rate, client_id: &str, bytes: usize, now: Nanos) {
        let Some((payer, _)) = self.payer(rate, client_id) else { return };
        if let Some(meter) = self.meters.get_mut(&(rate, payer)) {
            meter.add(-(bytes as f64), self.windows, now);
        }
    }

    /// The most bytes that one answer may have of all windows: one with more would be held back for ever.
    pub(crate) fn bytes_max(&mut self, rate: Rate, client_id: &str) -> usize {
        let Some((_, quota)) = self.payer(rate, client_id) else { return usize::MAX };
        let seconds = self.windows.len_ns as f64 / NS_PER_SECOND as f64;
        (quota * seconds * self.windows.count.saturating_sub(1).max(1) as f64) as usize
    }

    fn payer(&mut self, rate: Rate, client_id: &str) -> Option<(Payer, f64)> {
        if self.quotas.is_empty() {
            return None;
        }
        let key = (rate, client_id.to_owned());
        if let Some(found) = self.payers.get(&key) {
            return found.clone();
        }
        if self.payers.len() >= REMEMBERED {
            self.payers.clear();
        }
        let found = nearest(&self.quotas, rate.quota(), client_id);
        self.payers.insert(key, found.clone());
        found
    }
}

/// The quota that holds for a client, and who pays (DefaultQuotaCallback.quotaLimit).
fn nearest(quotas: &Quotas, quota: &str, client_id: &str) -> Option<(Payer, f64)> {
    let (user, own, default) = (Some(ANONYMOUS.to_owned()), Some(client_id.to_owned()), None);
    let entity = |user: Option<&Option<String>>, client: Option<&Option<String>>| -> Entity {
        let user = user.map(|name| (USER.to_owned(), name.clone()));
        let client = client.map(|name| (CLIENT_ID.to_owned(), name.clone()));
        user.into_iter().chain(client).collect()
    };
    let users = [Some(&user), Some(&default), None];
    let clients = if client_id.is_empty() { vec![None] } else { vec![Some(&own), Some(&default), None] };
    let pairs = users.iter().flat_map(|user| clients.iter().map(move |client| (*user, *client)));
    let mut found = pairs.filter_map(|(user, client)| {
        let value = quotas.get(&entity(user, client), quota)?;
        let client_id = client.map(|_| client_id.to_owned());
        Some((Payer { of_user: user.is_some(), client_id }, value))
    });
    found.next()
}

/// A rate over the last windows (Kafka's Rate: whole windows that are not there yet count as empty ones).
#[derive(Debug, Default)]
struct Meter {
    /// When a window began, and what came in it.
    windows: VecDeque<(Nanos, f64)>,
}

impl Meter {
    fn add(&mut self, amount: f64, windows: Windows, now: Nanos) {
        self.forget(windows, now);
        match self.windows.back_mut().filter(|(begin, _)| now.0 - begin.0 < windows.len_ns) {
            Some((_, sum)) => *sum += amount,
            None => self.windows.push_back((now, amount)),
        }
    }

    fn forget(&mut self, windows: Windows, now: Nanos) {
        let span_ns = windows.len_ns.saturating_mul(windows.count as u64);
        while self.windows.front().is_some_and(|(begin, _)| now.0.saturating_sub(begin.0) >= span_ns) {
            self.windows.pop_front();
        }
    }

    fn is_silent(&mut self, windows: Windows, now: Nanos) -> bool {
        self.forget(windows, now);
        self.windows.is_empty()
    }

    /// How long nothing may come until the rate is the quota.
    fn excess_ms(&self, quota: f64, windows: Windows, now: Nanos) -> u32 {
        let Some((begin, _)) = self.windows.front() else { return 0 };
        let elapsed_ns = now.0.saturating_sub(begin.0);
        let whole = elapsed_ns / windows.len_ns;
        let missing = (windows.count as u64).saturating_sub(1).saturating_sub(whole);
        let span_ms = (elapsed_ns + missing.saturating_mul(windows.len_ns)).max(1) as f64 / 1e6;
        let sum: f64 = self.windows.iter().map(|(_, sum)| sum).sum();
        let rate = sum * 1000.0 / span_ms;
        // As a float is cast: what is below nothing is nothing.
        ((rate - quota) / quota * span_ms).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::quotas::{entity_of, record};

    const MS: u64 = 1_000_000;

    /// An entity's parts.
    type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

    fn quotas(all: &[(Parts<'_>, f64)]) -> Arc<Quotas> {
        let mut quotas = Quotas::default();
        for (entity, value) in all {
            quotas.apply(&record(&entity_of(entity), "producer_byte_rate", Some(*value)));
        }
        Arc::new(quotas)
    }

    fn throttle(all: &[(Parts<'_>, f64)]) -> Throttle {
        Throttle::new(&Settings::of(&[]), quotas(all))
    }

    #[test]
    fn the_nearest_quota_counts() {
        let mut all: Vec<(Parts<'_>, f64)> = vec![
            (&[("user", Some(ANONYMOUS)), ("client-id", Some("c"))], 1.0),
            (&[("user", Some(ANONYMOUS)), ("client-id", None)], 2.0),
            (&[("user", Some(ANONYMOUS))], 3.0),
            (&[("user", None), ("client-id", Some("c"))], 4.0),
            (&[("user", None), ("client-id", None)], 5.0),
            (&[("user", None)], 6.0),
            (&[("client-id", Some("c"))], 7.0),
            (&[("client-id", None)], 8.0),
        ];
        while !all.is_empty() {
            let (payer, value) = nearest(&quotas(&all), "producer_byte_rate", "c").unwrap();
            assert_eq!(value, all[0].1);
            assert_eq!(payer.of_user, value < 7.0);
            assert_eq!(payer.client_id.is_none(), value == 3.0 || value == 6.0);
            all.remove(0);
        }
        let of_clients: &[(Parts<'_>, f64)] = &[(&[("client-id", None)], 8.0)];
        assert_eq!(nearest(&quotas(of_clients), "producer_byte_rate", ""), None, "a client without a name");
        assert_eq!(nearest(&quotas(of_clients), "consumer_byte_rate", "c"), None);
    }

    /// 1,000 bytes a second over ten seconds: what is above 10,000 bytes is waited for.
    #[test]
    fn a_client_waits_until_its_rate_is_its_quota() {
        let mut throttle = throttle(&[(&[("client-id", Some("c"))], 1000.0)]);
        let charge =
            |throttle: &mut Throttle, bytes, ms: u64| throttle.charge(Rate::Produce, "c", bytes, Nanos(ms * MS));
        assert_eq!(charge(&mut throttle, 10_000, 5), 0, "all of ten seconds at once");
        assert_eq!(charge(&mut throttle, 2_000, 5), 2_000);
        assert_eq!(charge(&mut throttle, 0, 1_005), 2_000, "windows that were not there count as empty ones");
        assert_eq!(charge(&mut throttle, 0, 10_505), 1_500);
        assert_eq!(charge(&mut throttle, 0, 11_005), 0, "forgotten");
        assert_eq!(throttle.charge(Rate::Produce, "other", 1 << 30, Nanos(0)), 0);
        assert_eq!(throttle.charge(Rate::Fetch, "c", 1 << 30, Nanos(0)), 0);
    }

    #[test]
    fn what_left_empty_is_taken_back() {
        let mut throttle = throttle(&[(&[("user", None)], 1000.0)]);
        assert!(throttle.charge(Rate::Produce, "c", 50_000, Nanos(0)) > 0);
        throttle.take_back(Rate::Produce, "c", 50_000, Nanos(0));
        assert_eq!(throttle.charge(Rate::Produce, "d", 10_000, Nanos(0)), 0);
        assert_eq!(throttle.bytes_max(Rate::Produce, "c"), 10_000);
        assert_eq!(throttle.bytes_max(Rate::Fetch, "c"), usize::MAX);
    }

    #[test]
    fn the_names_of_clients_fill_no_memory() {
        let mut throttle = throttle(&[(&[("client-id", None)], 1000.0)]);
        for client in 0..3 * REMEMBERED as u64 {
            throttle.charge(Rate::Produce, &client.to_string(), 1, Nanos(client * 20 * MS));
        }
        assert!(throttle.meters.len() <= REMEMBERED && throttle.payers.len() <= REMEMBERED);
    }

    #[test]
    fn quotas_of_a_newer_image_count_at_once() {
        let mut throttle = throttle(&[(&[("client-id", None)], 1000.0)]);
        assert!(throttle.charge(Rate::Produce, "c", 50_000, Nanos(0)) > 0);
        throttle.take_quotas(&quotas(&[]));
        assert!(throttle.is_idle());
        assert_eq!(throttle.charge(Rate::Produce, "c", 50_000, Nanos(0)), 0);
    }
}
