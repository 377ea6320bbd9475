//! The server as who asks it sees it: over a socket, with shards that are silent or stuck.

#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ringlog_io::clock::monotonic;

use super::*;
use crate::settings::Settings;

/// A server of two shards, and where it listens.
fn served() -> (Arc<Board>, SocketAddr) {
    let settings = Arc::new(Settings::of(&[("ringlog.shards", "2")]));
    let board = Arc::new(Board::new(2));
    let address = start(SocketAddr::from(([127, 0, 0, 1], 0)), &settings, &board, 1_024).expect("a free port");
    (board, address)
}

/// The answer to these bytes.
fn answer(address: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn get(address: SocketAddr, path: &str) -> String {
    answer(address, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect("an answer")
}

#[test]
fn a_broker_that_starts_is_alive_and_not_ready() {
    let (board, address) = served();
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
    let ready = get(address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("the broker starts"), "{ready}");
    let page = get(address, "/metrics");
    assert!(page.contains("kafka_server_kafkaserver_brokerstate 1\n") && page.contains("process_open_fds "), "{page}");
    board.stops();
    assert!(get(address, "/readyz").contains("the broker stops"));
}

#[test]
fn a_shard_that_is_stuck_or_silent_is_named() {
    let (board, address) = served();
    board.serves(Vec::new(), "simulated");
    board.meter(1).busy_since.set(monotonic().0 - STUCK_NS - 1_000_000_000);
    let health = get(address, "/healthz");
    assert!(health.starts_with("HTTP/1.1 503 ") && health.contains("shard 1 is stuck in a step since 1"), "{health}");
    let ready = get(address, "/readyz");
    assert!(ready.contains("shard 0 did not answer within 2 s\n") && ready.contains("shard 1 is stuck"), "{ready}");
    assert!(get(address, "/metrics").contains("ringlog_shard_answers{shard=\"0\"} 0\n"));
}

#[test]
fn connections_that_say_nothing_are_limited_and_wrong_words_are_answered() {
    let (_board, address) = served();
    let silent: Vec<TcpStream> =
        (0..CONNECTIONS_MAX + 10).map(|_| TcpStream::connect(address).expect("connected")).collect();
    let mut over = silent.last().expect("one").try_clone().expect("cloned");
    over.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    assert_eq!(over.read(&mut [0; 1]).expect("closed"), 0);
    drop((silent, over));
    // Those that were dropped are closed when the server hears of it.
    let said = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        answer(address, b"\0\0\0\x1a\0\x12").ok().filter(|said| !said.is_empty())
    });
    assert!(said.as_deref().is_some_and(|said| said.starts_with("HTTP/1.1 400 ")), "{said:?}");
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn an_address_in_use_is_named() {
    let (board, address) = served();
    let refused = start(address, &Arc::new(Settings::of(&[])), &board, 1_024).expect_err("it is taken");
    assert!(refused.contains("--metrics-listen") && refused.contains(&address.to_string()), "{refused}");
}
