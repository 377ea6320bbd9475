//! Fetch: v4-18. Ranges of segments, by reference; waits until `min_bytes` are there or `max_wait_ms` passed.
//!
//! Limits, as Kafka's ReplicaManager reads them: at most `max_bytes` (and fetch.max.bytes) in all and
//! `partition_max_bytes` of one partition, but the first batch of the first partition that has one always goes out whole,
//! however large. What lies on the disk is waited for, also by a fetch that waits for nothing else ([`limits::DISK_WAIT_MS`]):
//! Kafka reads it before it answers, and a client that never waits would learn nothing. Sessions (KIP-227) are in `fetch_session`. Versions: 12 current leader, 13 topic ids, 16 endpoints.

use ringlog_io::{Job, Nanos};
use ringlog_storage::{Isolation, LogRange, Lookup, ReadError, Ready};
use ringlog_wire::messages::fetch::{
    AbortedTransaction, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use ringlog_wire::{ApiKey, ErrorCode, Records};

use crate::broker::{Broker, Incoming, NotHere, Outcome, ReplyTo};
use crate::connection::Refused;
use crate::fetch_session::{FetchContext, FetchTarget};
use crate::handlers::Handler;
use crate::jobs::Purpose;
use crate::limits;
use crate::replica::PartitionKey;
use crate::replicas::Place;
use crate::response::{Asked, Response};
use crate::throttle::Rate;
use crate::timers::Timer;
use crate::waiting::Wait;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::Fetch, (4, 18), handle);

/// A fetch, and what it needs to be answered later.
#[derive(Debug)]
pub(crate) struct WaitingFetch {
    asked: Asked,
    context: FetchContext,
    isolation: Isolation,
    min_bytes: usize,
    max_bytes: usize,
    /// Until when it waits for the disk, whatever its own time.
    disk_deadline: Nanos,
    /// Who pays, where anybody has a quota.
    payer: Option<String>,
}

/// What one partition has to say.
struct Answer {
    data: PartitionData,
    range: Option<LogRange>,
    /// Where the partition is; `None`: not here.
    place: Option<Place>,
}

/// What one partition shows.
struct Seen {
    place: Place,
    data: PartitionData,
    range: Option<LogRange>,
    is_loading: bool,
    cold: Option<(PartitionKey, Lookup, Job)>,
}

/// What all partitions have to say.
#[derive(Default)]
struct Answers {
    answers: Vec<Answer>,
    /// Bytes of the answer.
    bytes: usize,
    /// Bytes that are there for the reader, and the most that an answer could hold of them.
    present_bytes: usize,
    holds_bytes_max: usize,
    /// Partitions that exist.
    known: usize,
    has_error: bool,
    /// A partition has more in a later segment: its range grows no more.
    is_behind: bool,
    /// Some can be looked at when something was read from the disk, for this fetch or another.
    is_loading: bool,
    /// What has to be read for that.
    cold: Vec<(PartitionKey, Lookup, Job)>,
}

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: FetchRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let max_wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0).min(limits::FETCH_WAIT_MS_MAX);
    let fetch = match begin(broker, incoming, &request) {
        Ok(fetch) => fetch,
        Err(error) => {
            let body = FetchResponse { error_code: error.0, ..Default::default() };
            return Response::of(incoming.asked, &body).into();
        }
    };
    let answers = look_and_ask(broker, &fetch);
    let deadline = Nanos(broker.now.0 + max_wait_ms * 1_000_000);
    if answers.are_due(&fetch, deadline, broker.now) || !has_room(broker, &fetch) {
        return respond(broker, fetch, answers).map_or_else(Outcome::Refuse, Outcome::Reply);
    }
    wait(broker, incoming.reply_to, fetch, &answers, deadline);
    Outcome::Later
}

fn begin(broker: &mut Broker, incoming: &Incoming, request: &FetchRequest) -> Result<WaitingFetch, ErrorCode> {
    let context = broker.sessions.begin(request, incoming.asked.api_version, broker.now)?;
    let payer = (!broker.throttle.is_idle()).then(|| incoming.client_id.clone().unwrap_or_default());
    let quota_bytes = payer.as_deref().map_or(usize::MAX, |client| broker.throttle.bytes_max(Rate::Fetch, client));
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0);
    let max_bytes = max_bytes.min(broker.settings.fetch_max_bytes()).min(quota_bytes);
    Ok(WaitingFetch {
        asked: incoming.asked,
        context,
        isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        max_bytes,
        disk_deadline: Nanos(broker.now.0 + limits::DISK_WAIT_MS * 1_000_000),
        payer,
    })
}

/// Whether a fetch may wait: one that may not is answered with what is there.
fn has_room(broker: &Broker, fetch: &WaitingFetch) -> bool {
    broker.fetches.has_room(fetch.memory_bytes(), broker.budget.waiting_bytes)
}

impl WaitingFetch {
    /// What it takes of memory while it waits: its partitions, and that it is found by each of them.
    fn memory_bytes(&self) -> usize {
        const WATCH_BYTES: usize = 3 * size_of::<PartitionKey>() + 3 * size_of::<ReplyTo>() / 2;
        size_of::<Wait<Self>>()
            + self.context.memory_bytes()
            + self.context.len() * WATCH_BYTES
            + self.payer.as_ref().map_or(0, String::len)
    }
}

impl Answers {
    /// Whether the fetch is answered now: its time is over or there is enough, and nothing of it waits for the disk.
    fn are_due(&self, fetch: &WaitingFetch, deadline: Nanos, now: Nanos) -> bool {
        if self.wait_for_disk() {
            return now >= deadline.max(fetch.disk_deadline);
        }
        now >= deadline || self.are_enough(fetch)
    }

    fn wait_for_disk(&self) -> bool {
        self.is_loading && self.bytes == 0 && !self.has_error
    }

    /// Whether there is no reason to wait. As in Kafka, what a limit cuts off counts as present, an older segment is
    /// answered at once, and a topic that does not exist is only a reason where nothing else is asked for: its client is
    /// told at the pace of its waits. (`ReplicaManager.fetchMessages`, `DelayedFetch.tryComplete`, `KafkaApis`.)
    fn are_enough(&self, fetch: &WaitingFetch) -> bool {
        self.known == 0 || self.has_error || self.is_behind || self.missing_bytes(fetch) == 0
    }

    /// More than the limits let through need not come.
    fn missing_bytes(&self, fetch: &WaitingFetch) -> usize {
        fetch.min_bytes.min(self.holds_bytes_max).saturating_sub(self.present_bytes)
    }
}

/// Lets the fetch wait on every partition it reads.
fn wait(broker: &mut Broker, id: ReplyTo, fetch: WaitingFetch, answers: &Answers, deadline: Nanos) {
    let waits_for_disk = answers.wait_for_disk();
    let missing_bytes = answers.missing_bytes(&fetch).max(usize::from(waits_for_disk));
    let end = if waits_for_disk { deadline.max(fetch.disk_deadline) } else { deadline };
    let watches =
        fetch.context.targets().filter_map(|target| locate(broker, &target).ok().map(|(key, _)| key)).collect();
    broker.timers.set(Timer::Fetch(id), Some(end));
    broker.fetches.insert(id, Wait { memory_bytes: fetch.memory_bytes(), fetch, deadline, missing_bytes, watches });
}

/// Looks again at a fetch that waited: more is visible, its time is over, or something happened to a partition.
pub(crate) fn look_again(broker: &mut Broker, id: ReplyTo, waited: Wait<WaitingFetch>) {
    let Wait { fetch, deadline, .. } = waited;
    let answers = look_and_ask(broker, &fetch);
    if answers.are_due(&fetch, deadline, broker.now) {
        let result = respond(broker, fetch, answers);
        broker.replies.push((id, result));
    } else {
        wait(broker, id, fetch, &answers, deadline);
    }
}

/// Nobody waits for the answer any more.
pub(crate) fn forget(broker: &mut Broker, waited: Wait<WaitingFetch>) {
    broker.sessions.finish(waited.fetch.context);
}

/// Finds the partition that a fetch names.
fn locate(broker: &Broker, target: &FetchTarget<'_>) -> Result<(PartitionKey, Place), NotHere> {
    let by_id = target.by_id.then_some(target.topic_id);
    let topic = broker.topic(target.topic, by_id)?;
    let key = PartitionKey { topic_id: topic.id, partition: target.partition };
    Ok((key, broker.place(topic, target.partition)?))
}

/// Looks, and has loaded what could not be looked at: the fetch is told when that is done, as when more is visible.
fn look_and_ask(broker: &mut Broker, fetch: &WaitingFetch) -> Answers {
    let mut found = look(broker, fetch);
    for (key, lookup, job) in found.cold.drain(..) {
        broker.jobs.run(Purpose::Lookup(key, lookup), job);
    }
    found
}

fn look(broker: &Broker, fetch: &WaitingFetch) -> Answers {
    let mut found = Answers { answers: Vec::with_capacity(fetch.context.len()), ..Default::default() };
    for target in fetch.context.targets() {
        let room = fetch.max_bytes.saturating_sub(found.bytes);
        match read(broker, &target, fetch.isolation, room, found.bytes == 0) {
            Ok(Seen { place, data, range, is_loading, cold }) => {
                found.is_loading |= is_loading;
                found.add(&target, data, range, place);
                found.cold.extend(cold);
            }
            Err(not_here) => found.add_refused(&target, not_here),
        }
    }
    found
}

impl Answers {
    fn add(&mut self, target: &FetchTarget<'_>, data: PartitionData, range: Option<LogRange>, place: Place) {
        let holds_bytes = usize::try_from(target.max_bytes).unwrap_or(0);
        self.known += 1;
        self.holds_bytes_max = self.holds_bytes_max.saturating_add(holds_bytes);
        if let Some(range) = &range {
            self.bytes += range.len;
            self.present_bytes += range.visible_len.min(holds_bytes);
            self.is_behind |= range.goes_on;
        }
        self.answers.push(Answer { data, range: range.filter(|range| range.len > 0), place: Some(place) });
    }

    fn add_refused(&mut self, target: &FetchTarget<'_>, not_here: NotHere) {
        if !matches!(not_here.error, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID) {
            self.known += 1;
            self.has_error = true;
        }
        self.answers.push(Answer { data: refused(target, not_here), range: None, place: None });
    }
}

fn refused(target: &FetchTarget<'_>, not_here: NotHere) -> PartitionData {
    let current_leader = not_here.leader.map_or_else(LeaderIdAndEpoch::default, |(leader_id, leader_epoch)| {
        LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() }
    });
    PartitionData {
        partition_index: target.partition,
        error_code: not_here.error.0,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        current_leader,
        records: Records::Outside(0),
        ..Default::default()
    }
}

fn read(
    broker: &Broker,
    target: &FetchTarget<'_>,
    isolation: Isolation,
    room: usize,
    whole_first_batch: bool,
) -> Result<Seen, NotHere> {
    let (key, place) = locate(broker, target)?;
    broker.check_epoch(place, target.current_leader_epoch)?;
    let replica = broker.replicas.at(place);
    let log = replica.log();
    let max_bytes = room.min(usize::try_from(target.max_bytes).unwrap_or(0));
    let found = log.read_ready(target.fetch_offset, max_bytes, whole_first_batch, isolation);
    let found = found.map_err(|error| {
        if !matches!(error, ReadError::OffsetOutOfRange { .. }) && replica.is_news(&error.to_string()) {
            let (topic, partition, offset) = (target.topic, target.partition, target.fetch_offset);
            tracing::error!(topic, partition, offset, %error, "cannot be read from here; what is before is served");
        }
        error.error_code()
    })?;
    let found = match (found, isolation) {
        (Ready::Now(range), Isolation::ReadCommitted) => {
            aborted(log, target.fetch_offset, &range)?.map(|aborted| (range, Some(aborted)))
        }
        (found, _) => found.map(|range| (range, None)),
    };
    let (found, job) = match found {
        Ready::Now(found) => (Some(found), None),
        Ready::Later(job) => (None, job),
    };
    let is_loading = found.is_none();
    let (range, aborted_transactions) = found.unzip();
    let data = PartitionData {
        partition_index: target.partition,
        high_watermark: log.high_watermark(),
        last_stable_offset: log.last_stable_offset(),
        log_start_offset: log.log_start_offset(),
        // A range that is not found yet is an empty one, without transactions.
        aborted_transactions: aborted_transactions.unwrap_or((isolation == Isolation::ReadCommitted).then(Vec::new)),
        records: Records::Outside(range.as_ref().map_or(0, |range| range.len)),
        ..Default::default()
    };
    Ok(Seen { place, data, range, is_loading, cold: job.map(|(lookup, job)| (key, lookup, job)) })
}

fn aborted(
    log: &ringlog_storage::Partition,
    from: i64,
    range: &LogRange,
) -> Result<Ready<Vec<AbortedTransaction>>, ErrorCode> {
    let found = log.aborted_transactions(from, range.upper_bound_offset).map_err(|_| ErrorCode::KAFKA_STORAGE_ERROR)?;
    let answer = |one: ringlog_storage::AbortedTransaction| AbortedTransaction {
        producer_id: one.producer_id,
        first_offset: one.first_offset,
        ..Default::default()
    };
    Ok(found.map(|all| all.into_iter().map(answer).collect()))
}

/// Answers, or holds a client back that had its share: then the answer is empty, and its session as it was (KIP-219).
fn respond(broker: &mut Broker, fetch: WaitingFetch, found: Answers) -> Result<Response, Refused> {
    let Some(client) = fetch.payer.as_deref() else { return answer(broker, fetch, found) };
    let throttle_ms = broker.throttle.charge(Rate::Fetch, client, found.bytes, broker.now).max(fetch.asked.wait_ms);
    if throttle_ms == 0 {
        return answer(broker, fetch, found);
    }
    broker.throttle.take_back(Rate::Fetch, client, found.bytes, broker.now);
    let body = FetchResponse {
        throttle_time_ms: i32::try_from(throttle_ms).unwrap_or(i32::MAX),
        session_id: fetch.context.session_id(),
        ..Default::default()
    };
    broker.sessions.finish(fetch.context);
    let response = Response::of(fetch.asked, &body).map_err(Refused::Answer)?;
    Ok(response.at_least_held_back(throttle_ms))
}

fn answer(broker: &mut Broker, mut fetch: WaitingFetch, found: Answers) -> Result<Response, Refused> {
    let mut body = FetchResponse { session_id: fetch.context.session_id(), ..Default::default() };
    let mut ranges = Vec::with_capacity(found.answers.len());
    for (index, answer) in found.answers.into_iter().enumerate() {
        count(broker, &answer);
        if !fetch.context.should_include(index, &answer.data) {
            continue;
        }
        name_leader(broker, &answer.data, &mut body);
        let (topic, topic_id) = fetch.context.topic_of(index);
        if body.responses.last().is_none_or(|last| (last.topic.as_str(), last.topic_id) != (topic, topic_id)) {
            let topic = topic.to_owned();
            body.responses.push(FetchableTopicResponse { topic, topic_id, ..Default::default() });
        }
        ranges.push(answer.range);
        if let Some(last) = body.responses.last_mut() {
            last.partitions.push(answer.data);
        }
    }
    broker.sessions.finish(fetch.context);
    Response::with_records(fetch.asked, &body, ranges).map_err(Refused::Answer)
}

/// Counts a partition that was asked for.
fn count(broker: &Broker, answer: &Answer) {
    match answer.place {
        Some(place) => {
            let bytes = answer.range.as_ref().map_or(0, |range| range.len);
            broker.replicas.at(place).note(|traffic| traffic.fetched(bytes));
        }
        None => broker.replicas.note_elsewhere(|traffic| {
            traffic.fetches += 1;
            traffic.failed_fetches += 1;
        }),
    }
}

/// Tells where the leader is (KIP-951), once.
fn name_leader(broker: &Broker, data: &PartitionData, body: &mut FetchResponse) {
    let node_id = data.current_leader.leader_id;
    if node_id < 0 || body.node_endpoints.iter().any(|node| node.node_id == node_id) {
        return;
    }
    if let Some(node) = broker.image.broker(node_id) {
        body.node_endpoints.push(NodeEndpoint {
            node_id,
            host: node.host.clone(),
            port: i32::from(node.port),
            rack: node.rack.clone(),
            ..Default::default()
        });
    }
}
