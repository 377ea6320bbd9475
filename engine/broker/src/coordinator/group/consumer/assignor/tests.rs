//! What Kafka's own assignors give (`scripts/assignor-vectors`).

use super::*;

/// See `ServerAssignors.java` for the form of a line.
const VECTORS: &str = include_str!("../../../../../tests/data/assignors.txt");

fn topic(hex: &str) -> Uuid {
    Uuid(u128::from_str_radix(hex, 16).unwrap().to_be_bytes())
}

fn parts<'a>(text: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(separator).filter(|part| !part.is_empty())
}

fn partitions(text: &str) -> Partitions {
    let one = |part: &str| {
        let (id, numbers) = part.split_once(':').unwrap();
        (topic(id), numbers.split('.').map(|number| number.parse().unwrap()).collect())
    };
    parts(text, ",").map(one).collect()
}

#[test]
fn every_group_is_assigned_as_kafka_assigns_it() {
    let mut count = 0;
    for (number, line) in VECTORS.lines().enumerate() {
        let fields: Vec<&str> = line.split('|').collect();
        let [assignor, kind, topics, members, assigned] = fields[..] else { panic!("{line}") };
        let partition_counts = parts(topics, " ").map(|part| {
            let (id, count) = part.split_once('=').unwrap();
            (topic(id), count.parse().unwrap())
        });
        let partition_counts: BTreeMap<Uuid, i32> = partition_counts.collect();
        let owned: Vec<Partitions> =
            parts(members, " ").map(|member| partitions(member.split_once(';').unwrap().1)).collect();
        let readers = parts(members, " ").zip(&owned).map(|(member, owned)| {
            let mut fields = member.split_once(';').unwrap().0.split('/');
            let (id, instance) = (fields.next().unwrap(), fields.next().unwrap());
            let topics = parts(fields.next().unwrap(), ",").map(topic).collect();
            Reader { id, instance_id: Some(instance).filter(|instance| *instance != "-"), topics, owned }
        });
        let spec = Spec {
            members: readers.collect(),
            is_homogeneous: kind == "HOMOGENEOUS",
            partition_counts: &partition_counts,
        };
        let due = parts(assigned, " ").map(|member| {
            let (id, given) = member.split_once('/').unwrap();
            (id.to_owned(), partitions(given))
        });
        let ours = Assignor::named(assignor).unwrap().assign(&spec);
        assert_eq!(ours, due.collect(), "line {}: {assignor} {kind}", number + 1);
        count += 1;
    }
    assert!(count > 300, "{count} groups");
}
