//! Sessions as a client drives them.

use ringlog_wire::Records;
use ringlog_wire::messages::fetch::{EpochEndOffset, FetchPartition, FetchTopic, ForgottenTopic};

use super::*;

const A: Uuid = Uuid([1; 16]);
const B: Uuid = Uuid([2; 16]);
const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Nanos {
    Nanos(seconds * SECOND)
}

fn partition(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition { partition, fetch_offset, partition_max_bytes: 1_000, ..Default::default() }
}

fn topic(topic_id: Uuid, partitions: &[(i32, i64)]) -> FetchTopic {
    let partitions = partitions.iter().map(|(index, offset)| partition(*index, *offset)).collect();
    FetchTopic { topic_id, partitions, ..Default::default() }
}

fn request(session_id: i32, session_epoch: i32, topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest { session_id, session_epoch, topics, ..Default::default() }
}

fn forgotten(topic_id: Uuid, partitions: &[i32]) -> ForgottenTopic {
    ForgottenTopic { topic_id, partitions: partitions.into(), ..Default::default() }
}

fn data(high_watermark: i64, records_len: usize) -> PartitionData {
    PartitionData { high_watermark, log_start_offset: 0, records: Records::Outside(records_len), ..Default::default() }
}

fn read(context: &FetchContext) -> Vec<(Uuid, i32, i64)> {
    context.targets().map(|target| (target.topic_id, target.partition, target.fetch_offset)).collect()
}

/// More memory than any test takes.
const AMPLE: usize = usize::MAX;

/// Answers every target with `answer` and gives the places of those that are included.
fn answer(cache: &mut SessionCache, mut context: FetchContext, answer: impl Fn(usize) -> PartitionData) -> Vec<usize> {
    let included = (0..context.len()).filter(|index| context.should_include(*index, &answer(*index))).collect();
    cache.finish(context);
    included
}

/// A session with the partitions 0 to 2 of A and 0 of B, all answered once: high watermark 10, nothing to read.
fn open(cache: &mut SessionCache) -> i32 {
    let full = request(0, 0, vec![topic(A, &[(0, 10), (1, 10), (2, 10)]), topic(B, &[(0, 10)])]);
    let context = cache.begin(&full, 18, at(0)).unwrap();
    let id = context.session_id();
    assert_ne!(id, 0);
    assert_eq!(answer(cache, context, |_| data(10, 0)), [0, 1, 2, 3]);
    id
}

#[test]
fn a_full_fetch_opens_a_session_and_the_next_one_carries_nothing() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let context = cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap();
    assert_eq!(context.session_id(), id);
    assert_eq!(read(&context), [(A, 0, 10), (A, 1, 10), (A, 2, 10), (B, 0, 10)]);
    let target = context.targets().next().unwrap();
    assert_eq!((target.by_id, target.topic, target.max_bytes, target.current_leader_epoch), (true, "", 1_000, -1));
    assert_eq!(answer(&mut cache, context, |_| data(10, 0)), [0usize; 0], "nothing changed, nothing is said");
}

#[test]
fn what_changed_is_said() {
    let changes: [(&str, PartitionData); 6] = [
        ("records", data(10, 5)),
        ("high watermark", data(11, 0)),
        ("log start offset", PartitionData { log_start_offset: 3, ..data(10, 0) }),
        ("an error", PartitionData { error_code: 6, high_watermark: -1, ..data(10, 0) }),
        (
            "a diverging epoch",
            PartitionData {
                diverging_epoch: EpochEndOffset { epoch: 0, end_offset: 1, ..Default::default() },
                ..data(10, 0)
            },
        ),
        ("a preferred replica", PartitionData { preferred_read_replica: 2, ..data(10, 0) }),
    ];
    for (name, change) in changes {
        let mut cache = SessionCache::new(10, AMPLE, 1);
        let id = open(&mut cache);
        let context = cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap();
        let included = answer(&mut cache, context, |index| if index == 2 { change.clone() } else { data(10, 0) });
        assert_eq!(included, [2], "{name}");
    }
}

#[test]
fn after_an_error_the_partition_is_answered_again() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let context = cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap();
    let failed = PartitionData { error_code: 6, ..data(10, 0) };
    answer(&mut cache, context, |index| if index == 0 { failed.clone() } else { data(10, 0) });
    let context = cache.begin(&request(id, 2, Vec::new()), 18, at(1)).unwrap();
    assert_eq!(answer(&mut cache, context, |_| data(10, 0)), [0]);
}

#[test]
fn an_incremental_fetch_changes_adds_and_forgets() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let mut change = request(id, 1, vec![topic(A, &[(1, 77)]), topic(B, &[(5, 1)])]);
    change.forgotten_topics_data = vec![forgotten(A, &[0, 9]), forgotten(B, &[0]), forgotten(Uuid([9; 16]), &[0])];
    let context = cache.begin(&change, 18, at(1)).unwrap();
    assert_eq!(read(&context), [(A, 1, 77), (A, 2, 10), (B, 5, 1)]);
    assert_eq!(context.topic_of(2), ("", B));
    assert_eq!(answer(&mut cache, context, |_| data(10, 0)), [2], "the new one is news");

    // What was forgotten can come back, at the end.
    let context = cache.begin(&request(id, 2, vec![topic(A, &[(0, 5)])]), 18, at(1)).unwrap();
    assert_eq!(read(&context), [(A, 1, 77), (A, 2, 10), (B, 5, 1), (A, 0, 5)]);
    assert_eq!(answer(&mut cache, context, |_| data(10, 0)), [3]);
}

#[test]
fn places_of_what_was_forgotten_are_used_again() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let mut epoch = 1;
    for round in 0..1_000u64 {
        let fresh = Uuid::from_halves(7, round);
        let context = cache.begin(&request(id, epoch, vec![topic(fresh, &[(0, 0)])]), 18, at(1)).unwrap();
        assert_eq!(context.len(), 5);
        answer(&mut cache, context, |_| data(10, 0));
        let mut forget = request(id, epoch + 1, Vec::new());
        forget.forgotten_topics_data = vec![forgotten(fresh, &[0])];
        let context = cache.begin(&forget, 18, at(1)).unwrap();
        assert!(context.partitions.place_count() <= 5 + 3);
        answer(&mut cache, context, |_| data(10, 0));
        epoch += 2;
    }
}

#[test]
fn who_was_served_goes_to_the_end() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let context = cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap();
    // The first and the third had records.
    answer(&mut cache, context, |index| data(10, if index % 2 == 0 { 100 } else { 0 }));
    let context = cache.begin(&request(id, 2, Vec::new()), 18, at(1)).unwrap();
    assert_eq!(read(&context), [(A, 1, 10), (B, 0, 10), (A, 0, 10), (A, 2, 10)]);
}

#[test]
fn with_room_for_one_partition_per_answer_every_partition_gets_its_turn() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let mut served = Vec::new();
    for epoch in 1..=8 {
        let context = cache.begin(&request(id, epoch, Vec::new()), 18, at(1)).unwrap();
        served.push(read(&context)[0]);
        answer(&mut cache, context, |index| data(10, if index == 0 { 100 } else { 0 }));
    }
    let once = [(A, 0, 10), (A, 1, 10), (A, 2, 10), (B, 0, 10)];
    assert_eq!(served, [once, once].concat());
}

#[test]
fn sessions_that_do_not_fit_are_refused_by_name() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let mut error =
        |session_id, epoch, version| cache.begin(&request(session_id, epoch, Vec::new()), version, at(1)).unwrap_err();
    assert_eq!(error(id ^ 1, 1, 18), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!(error(id, 2, 18), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(error(id, i32::MIN, 18), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(error(id, 1, 12), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    assert!(cache.begin(&request(id, 1, Vec::new()), 18, at(1)).is_ok(), "no error closes the session");
}

#[test]
fn a_session_by_name_does_not_understand_ids() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let mut full = request(0, 0, vec![topic(Uuid::ZERO, &[(0, 1)])]);
    full.topics[0].topic = "orders".into();
    let context = cache.begin(&full, 12, at(0)).unwrap();
    let id = context.session_id();
    assert_eq!(context.topic_of(0), ("orders", Uuid::ZERO));
    answer(&mut cache, context, |_| data(10, 0));
    let wrong = cache.begin(&request(id, 1, Vec::new()), 13, at(0)).unwrap_err();
    assert_eq!(wrong, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    let mut change = request(id, 1, Vec::new());
    change.forgotten_topics_data =
        vec![ForgottenTopic { topic: "other".into(), partitions: vec![0], ..Default::default() }];
    let context = cache.begin(&change, 12, at(0)).unwrap();
    let target = context.targets().next().unwrap();
    assert_eq!((target.by_id, target.topic, target.fetch_offset), (false, "orders", 1));
}

#[test]
fn the_final_epoch_closes_the_session_and_a_new_full_fetch_replaces_it() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let context = cache.begin(&request(id, 0, vec![topic(A, &[(0, 1)])]), 18, at(1)).unwrap();
    let new_id = context.session_id();
    assert_ne!(new_id, id);
    answer(&mut cache, context, |_| data(10, 0));
    assert_eq!(cache.len(), 1);
    let context = cache.begin(&request(new_id, -1, vec![topic(A, &[(0, 1)])]), 18, at(1)).unwrap();
    assert_eq!((context.session_id(), context.len()), (0, 1));
    assert_eq!(answer(&mut cache, context, |_| data(10, 0)), [0]);
    assert_eq!(cache.len(), 0);
}

#[test]
fn clients_from_before_sessions_have_none() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let old = FetchRequest { topics: vec![topic(A, &[(0, 1)])], ..Default::default() };
    assert_eq!(cache.begin(&old, 6, at(0)).unwrap().session_id(), 0);
    assert_eq!(cache.len(), 0);
}

#[test]
fn a_session_from_which_everything_was_forgotten_ends() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let mut forget = request(id, 1, Vec::new());
    forget.forgotten_topics_data = vec![forgotten(A, &[0, 1, 2]), forgotten(B, &[0])];
    let context = cache.begin(&forget, 18, at(1)).unwrap();
    assert_eq!(context.len(), 0);
    assert_eq!((context.session_id(), cache.len()), (0, 0));
}

#[test]
fn a_fetch_that_was_never_answered_ends_its_session() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    drop(cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap());
    let error = cache.begin(&request(id, 2, Vec::new()), 18, at(1)).unwrap_err();
    assert_eq!((error, cache.len()), (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0));
}

#[test]
fn the_same_request_twice_is_answered_once() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let first = cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap();
    let again = cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap_err();
    assert_eq!(again, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    answer(&mut cache, first, |_| data(10, 0));
    assert!(cache.begin(&request(id, 2, Vec::new()), 18, at(1)).is_ok());
}

#[test]
fn a_session_that_was_put_out_while_it_was_read_is_not_put_back() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    let context = cache.begin(&request(id, 1, Vec::new()), 18, at(1)).unwrap();
    cache.begin(&request(id, -1, Vec::new()), 18, at(1)).unwrap();
    answer(&mut cache, context, |_| data(10, 0));
    assert_eq!(cache.len(), 0);
}

/// A session of `count` partitions, opened `at` some time; 0 where there was no room.
fn open_of(cache: &mut SessionCache, count: i32, is_follower: bool, now: Nanos) -> i32 {
    let partitions: Vec<(i32, i64)> = (0..count).map(|index| (index, 0)).collect();
    let mut full = request(0, 0, vec![topic(A, &partitions)]);
    full.replica_state.replica_id = if is_follower { 7 } else { -1 };
    let context = cache.begin(&full, 18, now).unwrap();
    let id = context.session_id();
    answer(cache, context, |_| data(1, 0));
    id
}

#[test]
fn a_full_cache_takes_no_session_until_one_is_old() {
    let mut cache = SessionCache::new(2, AMPLE, 1);
    let first = open_of(&mut cache, 5, false, at(0));
    let second = open_of(&mut cache, 1, false, at(1));
    assert_eq!(open_of(&mut cache, 9, false, at(120)), 0, "nobody is older than two minutes");
    // Used now and then, so not stale; old enough to yield to a larger one.
    for id in [first, second] {
        let context = cache.begin(&request(id, 1, Vec::new()), 18, at(121)).unwrap();
        answer(&mut cache, context, |_| data(1, 0));
    }
    assert_eq!(open_of(&mut cache, 1, false, at(122)), 0, "not worth more than the smallest");
    let third = open_of(&mut cache, 2, false, at(122));
    assert_ne!(third, 0);
    assert!(cache.slots.contains_key(&first) && !cache.slots.contains_key(&second));
}

#[test]
fn a_stale_session_goes_first_whatever_its_size() {
    let mut cache = SessionCache::new(1, AMPLE, 1);
    open_of(&mut cache, 100, true, at(0));
    assert_ne!(open_of(&mut cache, 1, false, at(121)), 0);
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_follower_puts_out_a_consumer_and_no_consumer_a_follower() {
    let mut cache = SessionCache::new(1, AMPLE, 1);
    open_of(&mut cache, 50, false, at(0));
    let follower = open_of(&mut cache, 1, true, at(1));
    assert_ne!(follower, 0);
    assert_eq!(open_of(&mut cache, 50, false, at(2)), 0);
}

#[test]
fn all_sessions_together_take_no_more_memory_than_there_is() {
    let of = |sessions, partitions| {
        let mut cache = SessionCache::new(1000, AMPLE, 1);
        (0..sessions).for_each(|_| assert_ne!(open_of(&mut cache, partitions, false, at(0)), 0));
        cache.bytes
    };
    assert!(of(1, 10_000) > 10_000 * 70, "an entry is counted with what points to it: {}", of(1, 10_000));
    let mut cache = SessionCache::new(1000, of(3, 100), 1);
    let ids = [100, 100, 90].map(|partitions| open_of(&mut cache, partitions, false, at(0)));
    assert!(ids.iter().all(|id| *id != 0));
    assert_eq!(open_of(&mut cache, 100, false, at(1)), 0, "sessionless, though there are slots");
    assert_ne!(open_of(&mut cache, 5, false, at(1)), 0, "a smaller one fits");
    // One that grows beyond it is closed, and gives its memory back.
    let more = request(ids[0], 1, vec![topic(B, &(0..50).map(|partition| (partition, 0)).collect::<Vec<_>>())]);
    assert_eq!(cache.begin(&more, 18, at(2)).unwrap_err(), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_ne!(open_of(&mut cache, 100, false, at(2)), 0);
    // Old ones are put out until the new one fits.
    assert_ne!(open_of(&mut cache, 250, false, at(300)), 0);
    let counted: usize = cache.slots.values().map(|slot| slot.bytes).sum();
    assert!(cache.bytes == counted && counted <= cache.bytes_max, "{} {counted} {}", cache.bytes, cache.bytes_max);
}

#[test]
fn no_slots_no_sessions() {
    let mut cache = SessionCache::new(0, AMPLE, 1);
    assert_eq!(open_of(&mut cache, 3, false, at(0)), 0);
}

#[test]
fn a_partition_named_twice_is_read_once() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let full = request(0, 0, vec![topic(A, &[(0, 1), (0, 2)]), topic(A, &[(0, 3)])]);
    let context = cache.begin(&full, 18, at(0)).unwrap();
    assert_eq!(read(&context), [(A, 0, 3)]);
}

#[test]
fn epochs_wrap_to_one() {
    let mut cache = SessionCache::new(10, AMPLE, 1);
    let id = open(&mut cache);
    cache.slots.get_mut(&id).unwrap().epoch = i32::MAX;
    let context = cache.begin(&request(id, i32::MAX, Vec::new()), 18, at(1)).unwrap();
    answer(&mut cache, context, |_| data(10, 0));
    assert!(cache.begin(&request(id, 1, Vec::new()), 18, at(1)).is_ok());
}
