//! What clients can make a shard hold in memory: as much as there is, and the others are served.

use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{FETCH_VERSION, PRODUCE_VERSION, Rig, fetch, fetched_bytes, frame, produce, produced};

const MIB: usize = 1 << 20;

/// Bytes that connections hold: of answers, of requests.
fn held(rig: &Rig) -> (usize, usize) {
    rig.shard.front.held_bytes()
}

#[test]
fn clients_that_do_not_read_hold_what_there_is_for_answers_and_others_are_served() {
    let mut rig = Rig::new(&[("ringlog.memory", "100m"), ("socket.request.max.bytes", "1048576")]);
    let allowed = rig.shard.broker.budget.output_bytes;
    assert!(allowed < 16 * MIB, "{allowed}");
    let writer = rig.connect();
    rig.create_topic(writer, "t", 1, &[]);
    (0..4).for_each(|_| rig.send(writer, &[produce("t", 0, 1, 250_000)]));
    let silent: Vec<_> = (0..100).map(|_| rig.connect()).collect();
    for &client in &silent {
        rig.stall(client, true);
        let ask = frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1));
        rig.send(client, &[ask.clone(), ask]);
        assert!(held(&rig).0 <= allowed, "{} of {allowed}", held(&rig).0);
    }
    assert!(held(&rig).0 > allowed / 2, "it is used: {} of {allowed}", held(&rig).0);
    let other = rig.connect();
    let answer = rig.ask(other, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(fetched_bytes(&answer) > 900_000);
    // Whoever reads again gets all of it, and gives back what it held.
    silent.iter().for_each(|client| rig.stall(*client, false));
    for &client in &silent {
        for _ in 0..2 {
            let answer = rig.answer::<FetchRequest>(client, FETCH_VERSION).expect("an answer for each");
            assert!(fetched_bytes(&answer) > 900_000);
        }
    }
    assert_eq!(held(&rig), (0, 0));
}

#[test]
fn answers_of_a_closed_connection_are_given_back() {
    let mut rig = Rig::new(&[]);
    let (reader, writer) = (rig.connect(), rig.connect());
    rig.create_topic(writer, "t", 1, &[]);
    rig.send(writer, &[produce("t", 0, 1, 250_000)]);
    rig.stall(reader, true);
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))]);
    assert!(held(&rig).0 > 200_000);
    rig.hang_up(reader);
    assert_eq!(held(&rig), (0, 0));
}

#[test]
fn large_requests_come_in_one_after_the_other_where_they_do_not_fit_together() {
    let mut rig = Rig::new(&[("ringlog.memory", "120m"), ("socket.request.max.bytes", "6000000")]);
    let allowed = rig.shard.broker.budget.frame_bytes;
    let clients: Vec<_> = (0..10).map(|_| rig.connect()).collect();
    rig.create_topic(clients[0], "t", 1, &[("max.message.bytes", "6000000")]);
    let request = produce("t", 0, 1, 5_500_000);
    // Each sends most of it, the first ones' beginnings first.
    for &client in &clients {
        rig.send(client, &[request[..request.len() - 10].to_vec()]);
        assert!(held(&rig).1 <= allowed, "{} of {allowed}", held(&rig).1);
    }
    assert!(held(&rig).1 > 0);
    clients.iter().for_each(|client| rig.send(*client, &[request[request.len() - 10..].to_vec()]));
    let mut offsets: Vec<_> = clients
        .iter()
        .map(|client| produced(&rig.answer::<ProduceRequest>(*client, PRODUCE_VERSION).expect("each is answered")))
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..10).map(|offset| (0, offset)).collect::<Vec<_>>());
    assert_eq!(held(&rig), (0, 0));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_large_request_lets_the_next_one_in() {
    let mut rig = Rig::new(&[
        ("ringlog.memory", "120m"),
        ("socket.request.max.bytes", "6000000"),
        ("connections.max.idle.ms", "5000"),
    ]);
    let (first, second, third) = (rig.connect(), rig.connect(), rig.connect());
    rig.create_topic(first, "t", 1, &[("max.message.bytes", "6000000")]);
    let request = produce("t", 0, 1, 5_500_000);
    for client in [first, second] {
        rig.send(client, &[request[..request.len() - 10].to_vec()]);
    }
    rig.pass_ms(4_000);
    rig.send(third, std::slice::from_ref(&request));
    assert!(rig.answer::<ProduceRequest>(third, PRODUCE_VERSION).is_none(), "it waits for room");
    // The first ones say nothing more: they are closed, and the third is not, though nothing came of it meanwhile.
    rig.pass_ms(11_000);
    assert!(rig.is_closed(first) && !rig.is_closed(third));
    let answer = rig.answer::<ProduceRequest>(third, PRODUCE_VERSION).expect("let in");
    assert_eq!(produced(&answer), (0, 0));
    assert_eq!(held(&rig), (0, 0));
}
