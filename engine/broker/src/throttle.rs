//! Clients are held back: rates of bytes that they produce and fetch from this shard, of its thread's time that their requests
//! take, and of connections that an address opens to it, against the quotas of the metadata image (ClientQuotaManager, ConnectionQuotas). A shard is a broker: each has its own
//! rates, as brokers of Kafka have.
//!
//! ```text
//!   answer of a produce, a fetch -- charge --> the payer's meter --above the quota--> milliseconds
//!        throttle_time_ms in the answer, which leaves at once; its connection is not read meanwhile (KIP-219)
//! ```
//! Who pays is decided by the nearest quota: of user and client id, of the user, of the client id; each time one's own before
//! the default. Listeners are plain text, so that every user is [`ANONYMOUS`]. Clients of one payer share its meter.
//!
//! A request's time is not measured by itself: each step's is shared out among the requests that were handled in it, when it has
//! ended. So a request is told what those before it took. 100 % is all of the shard's thread, and nobody is held back for longer
//! than a window at a time (ClientRequestQuotaManager).
//!
//! A connection above its address's rate (KIP-612) is closed when the time is over that it should have come later, and nothing
//! of it is read: its client would be back at once otherwise.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use ringlog_io::Nanos;

use crate::metadata::quotas::{CLIENT_ID, Entity, IP, Quotas, USER};
use crate::settings::Settings;

/// KafkaPrincipal.ANONYMOUS.
pub(crate) const ANONYMOUS: &str = "ANONYMOUS";

/// Meters and clients that are remembered; names of clients come from outside.
pub(crate) const REMEMBERED: usize = 4096;
const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// The quota of time.
const REQUEST_PERCENTAGE: &str = "request_percentage";
/// Nanoseconds to percent of a second.
const PERCENT_OF_NS: f64 = 100.0 / NS_PER_SECOND as f64;
/// The quota of addresses.
const CONNECTION_RATE: &str = "connection_creation_rate";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rate {
    /// Bytes of produce requests.
    Produce,
    /// Bytes of records in answers to fetches.
    Fetch,
    /// Time of the shard's thread, in percent of it.
    Request,
    /// Connections of an address.
    Connect,
}

impl Rate {
    fn quota(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => REQUEST_PERCENTAGE,
            Self::Connect => CONNECTION_RATE,
        }
    }
}

/// Whose meter counts: the user's, the client id's, or that of both; an address's stands where a client id would.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Payer {
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
    /// Whether anybody's requests are timed, and who pays for each that was handled in this step.
    times_requests: bool,
    handled: Vec<Option<Payer>>,
}

#[derive(Clone, Copy, Debug)]
struct Windows {
    count: usize,
    len_ns: u64,
}

impl Windows {
    fn at_most_one(self, wait_ms: u32) -> u32 {
        u64::from(wait_ms).min(self.len_ns / NS_PER_MS) as u32
    }
}

impl Throttle {
    pub(crate) fn new(settings: &Settings, quotas: Arc<Quotas>) -> Self {
        let len_ns = settings.quota_window_size_seconds().saturating_mul(NS_PER_SECOND);
        let windows = Windows { count: settings.quota_window_num(), len_ns };
        let times_requests = quotas.has_any(REQUEST_PERCENTAGE);
        Self { quotas, windows, payers: BTreeMap::new(), meters: BTreeMap::new(), times_requests, handled: Vec::new() }
    }

    /// Takes the quotas of a newer image.
    pub(crate) fn take_quotas(&mut self, quotas: &Arc<Quotas>) {
        if !Arc::ptr_eq(quotas, &self.quotas) {
            self.payers.clear();
            self.times_requests = quotas.has_any(REQUEST_PERCENTAGE);
            self.quotas = Arc::clone(quotas);
        }
    }

    /// Whether anybody can be held back.
    pub(crate) fn is_idle(&self) -> bool {
        self.quotas.is_empty()
    }

    /// Counts bytes of a client. Gives the milliseconds for which it is held back.
    pub(crate) fn charge(&mut self, rate: Rate, client_id: &str, bytes: usize, now: Nanos) -> u32 {
        match self.payer(rate, client_id) {
            Some((payer, quota)) => self.count(rate, payer, quota, bytes as f64, now),
            None => 0,
        }
    }

    /// A request is handled in this step. Gives the milliseconds for which its client is held back for those before it.
    pub(crate) fn requested(&mut self, client_id: Option<&str>, now: Nanos) -> u32 {
        if !self.times_requests {
            return 0;
        }
        let found = self.payer(Rate::Request, client_id.unwrap_or_default());
        self.handled.push(found.as_ref().map(|(payer, _)| payer.clone()));
        let Some((payer, quota)) = found else { return 0 };
        let Some(meter) = self.meters.get_mut(&(Rate::Request, payer)) else { return 0 };
        meter.forget(self.windows, now);
        self.windows.at_most_one(meter.excess_ms(quota, self.windows, now))
    }

    /// The step took so long: each request that was handled in it has its share.
    pub(crate) fn step_ended(&mut self, busy_ns: u64, now: Nanos) {
        let percent = busy_ns as f64 * PERCENT_OF_NS / self.handled.len().max(1) as f64;
        for payer in std::mem::take(&mut self.handled).into_iter().flatten() {
            self.count(Rate::Request, payer, f64::MAX, percent, now);
        }
    }

    /// Counts a connection of an address. Gives the milliseconds after which it is closed, at most a window; 0: it is served,
    /// and only those count.
    pub(crate) fn connect(&mut self, address: IpAddr, now: Nanos) -> u32 {
        if self.quotas.is_empty() {
            return 0;
        }
        let name = address.to_string();
        let of = |name: Option<String>| Entity::from([(IP.to_owned(), name)]);
        let quota = [Some(name.clone()), None].into_iter().find_map(|it| self.quotas.get(&of(it), CONNECTION_RATE));
        let Some(quota) = quota else { return 0 };
        let payer = Payer { of_user: false, client_id: Some(name) };
        let wait_ms = self.count(Rate::Connect, payer.clone(), quota, 1.0, now);
        if wait_ms > 0
            && let Some(meter) = self.meters.get_mut(&(Rate::Connect, payer))
        {
            meter.add(-1.0, self.windows, now);
        }
        self.windows.at_most_one(wait_ms)
    }

    fn count(&mut self, rate: Rate, payer: Payer, quota: f64, amount: f64, now: Nanos) -> u32 {
        if self.meters.len() >= REMEMBERED {
            let windows = self.windows;
            self.meters.retain(|_, meter| !meter.is_silent(windows, now));
        }
        if self.meters.len() >= REMEMBERED && !self.meters.contains_key(&(rate, payer.clone())) {
            return 0;
        }
        let meter = self.meters.entry((rate, payer)).or_default();
        meter.add(amount, self.windows, now);
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
pub(crate) fn nearest(quotas: &Quotas, quota: &str, client_id: &str) -> Option<(Payer, f64)> {
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
#[path = "throttle_tests.rs"]
mod tests;
