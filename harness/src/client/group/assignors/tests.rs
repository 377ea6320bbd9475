//! Against what Kafka's own assignors gave in groups drawn at random (`scripts/assignor-vectors`).

use std::collections::BTreeSet;

use proptest::prelude::*;
use ringlog_wire::messages::join_group::JoinGroupResponseMember;

use super::super::subscription;
use super::*;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    id: String,
    instance: Option<String>,
    topics: Vec<String>,
    owned: Vec<String>,
    generation: i32,
    user_data: Option<String>,
}

#[derive(serde::Deserialize)]
struct Vector {
    assignor: String,
    topics: Counts,
    members: Vec<Said>,
    assigned: BTreeMap<String, Vec<String>>,
}

fn vectors(assignor: &str) -> Vec<Vector> {
    let lines = include_str!("../../../../tests/data/assignors.jsonl").lines();
    let all = lines.map(|line| serde_json::from_str::<Vector>(line).unwrap());
    all.filter(|vector| vector.assignor == assignor).collect()
}

fn partition(text: &str) -> TopicPartition {
    let (topic, partition) = text.rsplit_once('-').unwrap();
    (topic.to_owned(), partition.parse().unwrap())
}

fn partitions(texts: &[String]) -> Vec<TopicPartition> {
    texts.iter().map(|text| partition(text)).collect()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A member as the leader reads it from the bytes that we write for it.
fn member(strategy: AssignmentStrategy, said: &Said) -> Member {
    let owned = partitions(&said.owned);
    let last = (said.generation >= 0).then(|| (owned.clone(), said.generation));
    let kept = if strategy == AssignmentStrategy::Sticky { &[][..] } else { &owned };
    let metadata = subscription::subscription(strategy, &said.topics, (kept, said.generation), last.as_ref(), "");
    if let Some(user_data) = &said.user_data {
        let user_data = hex(user_data);
        assert!(metadata.windows(user_data.len()).any(|bytes| bytes == user_data), "Kafka writes other user data");
    }
    let group_instance_id = said.instance.clone();
    let joined =
        JoinGroupResponseMember { member_id: said.id.clone(), group_instance_id, metadata, ..Default::default() };
    subscription::member(Some(strategy), &joined).unwrap()
}

fn run(strategy: AssignmentStrategy, vector: &Vector) -> (Vec<Member>, Assigned) {
    let members: Vec<Member> = vector.members.iter().map(|said| member(strategy, said)).collect();
    let assigned = assign(strategy, &members, &vector.topics);
    (members, assigned)
}

#[test]
fn range_and_round_robin_give_exactly_what_kafka_gives() {
    for strategy in [AssignmentStrategy::Range, AssignmentStrategy::RoundRobin] {
        let vectors = vectors(strategy.name());
        assert!(vectors.len() >= 100, "{}", vectors.len());
        for vector in &vectors {
            let kafka: Assigned = vector.assigned.iter().map(|(id, texts)| (id.clone(), partitions(texts))).collect();
            assert_eq!(run(strategy, vector).1, kafka, "{} {:?}", vector.assignor, vector.topics);
        }
    }
}

/// How uneven the counts are: Kafka's getBalanceScore.
fn unevenness<'a>(assigned: impl Iterator<Item = &'a Vec<TopicPartition>>) -> usize {
    let counts: Vec<usize> = assigned.map(Vec::len).collect();
    counts.iter().enumerate().map(|(at, one)| counts[at..].iter().map(|two| one.abs_diff(*two)).sum::<usize>()).sum()
}

/// How many partitions stay where they were, whoever's word it is: in the vectors no two members claim the same.
fn kept(members: &[Member], assigned: &Assigned) -> usize {
    let stays = |member: &Member| member.owned.iter().filter(|one| assigned[&member.id].contains(one)).count();
    members.iter().map(stays).sum()
}

#[test]
fn sticky_is_as_balanced_as_kafka_s_and_keeps_at_least_as_much() {
    let vectors = vectors("sticky");
    assert!(vectors.len() >= 200, "{}", vectors.len());
    for vector in &vectors {
        let (members, assigned) = run(AssignmentStrategy::Sticky, vector);
        let kafka: Assigned = vector.assigned.iter().map(|(id, texts)| (id.clone(), partitions(texts))).collect();
        let text = format!("{:?} {members:#?}\nours {assigned:?}\nKafka's {kafka:?}", vector.topics);
        check(&members, &vector.topics, &assigned);
        assert!(unevenness(assigned.values()) <= unevenness(kafka.values()), "less balanced: {text}");
        if unevenness(assigned.values()) == unevenness(kafka.values()) {
            assert!(kept(&members, &assigned) >= kept(&members, &kafka), "moved more: {text}");
        }
    }
}

/// Every partition that somebody reads has one owner who reads it, and no single move would even the counts.
fn check(members: &[Member], counts: &Counts, assigned: &Assigned) {
    let mut seen = BTreeSet::new();
    let reads =
        |id: &str, topic: &String| members.iter().any(|member| member.id == id && member.topics.contains(topic));
    for (id, partitions) in assigned {
        for partition in partitions {
            assert!(reads(id, &partition.0), "{id} does not read {partition:?}");
            assert!(seen.insert(partition.clone()), "{partition:?} has two owners");
            let better =
                assigned.iter().find(|(to, theirs)| theirs.len() + 1 < partitions.len() && reads(to, &partition.0));
            assert!(better.is_none(), "{partition:?} of {id} should be {better:?}'s");
        }
    }
    let read = counts.iter().filter(|(topic, _)| members.iter().any(|member| member.topics.contains(topic)));
    let all: usize = read.map(|(_, count)| usize::try_from(*count).unwrap()).sum();
    assert_eq!(seen.len(), all, "partitions without an owner");
}

#[test]
fn cooperative_never_gives_what_another_still_owns_and_reaches_balance_in_two_steps() {
    for vector in &vectors("cooperative-sticky") {
        let (mut members, first) = run(AssignmentStrategy::CooperativeSticky, vector);
        for (id, partitions) in &first {
            let others = members.iter().filter(|member| member.id != *id && member.generation == 7);
            let taken = others.flat_map(|member| &member.owned).find(|owned| partitions.contains(owned));
            let own = members.iter().find(|member| member.id == *id).unwrap();
            assert!(taken.is_none_or(|taken| own.owned.contains(taken)), "{taken:?} went to {id} at once");
        }
        for member in &mut members {
            (member.owned, member.generation) = (first[&member.id].clone(), 8);
        }
        let second = assign(AssignmentStrategy::CooperativeSticky, &members, &vector.topics);
        check(&members, &vector.topics, &second);
        let lost = members.iter().flat_map(|member| member.owned.iter().map(move |owned| (member, owned)));
        assert!(
            lost.into_iter().all(|(member, owned)| second[&member.id].contains(owned)),
            "the second step moved more"
        );
    }
}

prop_compose! {
    fn any_group()(
        topics in prop::collection::vec(1..12i32, 1..5),
        reads in prop::collection::vec(prop::collection::vec(any::<bool>(), 5), 1..7),
    ) -> (Counts, Vec<Member>) {
        let counts: Counts = (0..).zip(&topics).map(|(n, count): (usize, &i32)| (format!("t{n}"), *count)).collect();
        let topics_of = |reads: &[bool]| (0..5).filter(|n| reads[*n]).map(|n| format!("t{n}")).collect();
        let member = |(n, reads): (usize, &Vec<bool>)| {
            Member { id: format!("m{n}"), topics: topics_of(reads), generation: -1, ..Member::default() }
        };
        (counts, (0..).zip(&reads).map(member).collect())
    }
}

proptest! {
    #[test]
    fn sticky_groups_stay_balanced_and_do_not_move_when_nothing_happened((counts, mut members) in any_group()) {
        let first = assign(AssignmentStrategy::Sticky, &members, &counts);
        check(&members, &counts, &first);
        for member in &mut members {
            (member.owned, member.generation) = (first[&member.id].clone(), 3);
        }
        let again = assign(AssignmentStrategy::Sticky, &members, &counts);
        let sets = |assigned: &Assigned| -> Vec<BTreeSet<TopicPartition>> {
            assigned.values().map(|partitions| partitions.iter().cloned().collect()).collect()
        };
        prop_assert_eq!(sets(&first), sets(&again));
        // One member goes: everybody else keeps what is theirs.
        let left: Vec<Member> = members.iter().skip(1).cloned().collect();
        if !left.is_empty() && left.iter().all(|member| member.topics == left[0].topics) {
            let rest = assign(AssignmentStrategy::Sticky, &left, &counts);
            prop_assert!(left.iter().all(|member| member.owned.iter().all(|owned| rest[&member.id].contains(owned))));
        }
    }

    #[test]
    fn whatever_members_claim_everything_read_has_one_owner(
        (counts, mut members) in any_group(),
        claims in prop::collection::vec((0..7usize, "t[0-5]", -1..14i32, -1..4i32), 0..40),
    ) {
        for (who, topic, partition, generation) in claims {
            let at = who % members.len();
            members[at].owned.push((topic, partition));
            members[at].generation = generation;
        }
        for strategy in AssignmentStrategy::ALL {
            let assigned = assign(strategy, &members, &counts);
            prop_assert_eq!(assigned.len(), members.len());
            if strategy == AssignmentStrategy::Sticky {
                check(&members, &counts, &assigned);
            }
        }
    }
}
