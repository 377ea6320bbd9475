//! What a small request and its answer cost: clients send 100 bytes each and wait for 100 bytes, on 1 to 256 connections,
//! through a driver on either end. CPU per MB here is per 10,000 requests.

use std::net::SocketAddr;
use std::sync::mpsc;

use ringlog_io::{Choice, Driver, DriverOptions, Event, Slice, Socket, SocketOptions, driver};

use crate::Options;
use crate::receive::place;
use crate::table::{Cost, Meter, Table};

const LEN: usize = 100;

pub(crate) fn run(options: &Options) {
    let rounds = options.number("rounds", 7);
    let requests = options.number("requests", 60_000);
    for connections in [1, 16, 256] {
        let mut table = Table::default();
        for _ in 0..rounds {
            table.add("io_uring", measure(Choice::Uring, connections, requests));
            table.add("epoll", measure(Choice::Epoll, connections, requests));
        }
        table.print(&format!("echo, {connections} connections, 100 bytes (thread: the server's)"));
    }
}

fn open(choice: Choice) -> Box<dyn Driver> {
    driver::open(DriverOptions {
        choice,
        receive_buffer_bytes: 16 * 1024,
        receive_buffers: 512,
        ..DriverOptions::default()
    })
    .expect("a driver")
}

fn measure(choice: Choice, connections: usize, requests: usize) -> Cost {
    let (tell, told) = mpsc::channel();
    let server = std::thread::spawn(move || {
        place(0);
        let mut driver = open(choice);
        let listener = driver.listen("127.0.0.1:0".parse().unwrap()).expect("listen");
        driver.accept(listener, SocketOptions::default(), 0);
        tell.send(driver.local_address(listener).expect("address")).expect("told");
        serve(&mut *driver, connections)
    });
    let address = told.recv().expect("address");
    let client = std::thread::spawn(move || {
        place(1);
        ask(&mut *open(choice), address, connections, requests);
    });
    client.join().expect("client");
    server.join().expect("server")
}

/// Sends back what comes, until all connections are closed.
fn serve(driver: &mut dyn Driver, connections: usize) -> Cost {
    let (mut sockets, mut events, mut closed, mut bytes): (Vec<Socket>, Vec<Event>, usize, u64) =
        (Vec::new(), Vec::new(), 0, 0);
    let meter = Meter::start();
    while closed < connections {
        driver.wait(None, &mut events).expect("wait");
        for event in events.drain(..) {
            match event {
                Event::Accepted { result, .. } => {
                    let (socket, _) = result.expect("accepted");
                    sockets.push(socket);
                    driver.recv(socket, sockets.len() as u64 - 1);
                }
                Event::Received { token, result } => {
                    let buf = result.expect("received");
                    let socket = sockets[token as usize];
                    if buf.is_empty() {
                        driver.close(socket);
                        closed += 1;
                        continue;
                    }
                    bytes += buf.len() as u64;
                    driver.send(socket, vec![Slice::new(buf)], token);
                    driver.recv(socket, token);
                }
                Event::Sent { result, .. } => drop(result.expect("sent")),
                other => panic!("{other:?}"),
            }
        }
    }
    meter.stop(bytes, driver.counters().syscalls)
}

fn ask(driver: &mut dyn Driver, address: SocketAddr, connections: usize, requests: usize) {
    let (mut sockets, mut events, mut left, mut answers): (Vec<Socket>, Vec<Event>, usize, usize) =
        (Vec::new(), Vec::new(), requests, 0);
    let question = Slice::from(vec![1; LEN]);
    for _ in 0..connections {
        driver.connect(address, SocketOptions::default(), 0);
    }
    while answers < requests {
        driver.wait(None, &mut events).expect("wait");
        for event in events.drain(..) {
            match event {
                Event::Connected { result, .. } => {
                    let socket = result.expect("connected");
                    sockets.push(socket);
                    left -= 1;
                    driver.send(socket, vec![question.clone()], 0);
                    let room = driver.buffer(LEN);
                    driver.recv_exact(socket, room, LEN, sockets.len() as u64 - 1);
                }
                Event::Filled { token, result } => {
                    let mut buf = result.expect("filled");
                    answers += 1;
                    if left > 0 {
                        left -= 1;
                        let socket = sockets[token as usize];
                        driver.send(socket, vec![question.clone()], 0);
                        buf.vec().clear();
                        driver.recv_exact(socket, buf, LEN, token);
                    }
                }
                Event::Sent { result, .. } => drop(result.expect("sent")),
                other => panic!("{other:?}"),
            }
        }
    }
    for socket in sockets {
        driver.close(socket);
    }
}
