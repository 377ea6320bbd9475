//! A loopback of our own, on which each broker's two directions are held to a rate.
//!
//! ```text
//!   this thread and those that it starts -- lo of a network of their own -- brokers
//!      htb 1:  |- 1:1  packets to   127.0.0.1:PORT    what the broker receives
//!              |- 1:2  packets from 127.0.0.1:PORT    what it sends
//!              '- all else goes as fast as it can
//! ```
//!
//! The network goes with its last process: nothing is left, whatever ends us, and the machine's own loopback is untouched.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::EmulateError;
use super::means::tool;

/// What may go at once; a packet of the loopback has up to 64 KiB.
const BURST_BYTES_MIN: f64 = 262_144.0;
/// And at high rates what the kernel's clock lets pass between two ticks.
const BURST_S: f64 = 0.01;
/// Bytes that a class sends before the next has its turn.
const QUANTUM_BYTES: u32 = 65_536;
/// The measuring of what is left: first what may go at once, then the time that counts.
const CHECK_BEFORE: Duration = Duration::from_millis(200);
const CHECK: Duration = Duration::from_millis(600);
const BITS: f64 = 8.0;
const GIGA: f64 = 1e9;

/// The limited loopback.
#[derive(Debug)]
pub(super) struct Network {
    bits_s: f64,
    next: AtomicU16,
}

impl Network {
    /// Gives this thread, and those that it starts from now on, a network of their own.
    pub(super) fn begin(gbps: f64) -> Result<Self, EmulateError> {
        let what = "making a network of our own (unshare(2), CLONE_NEWNET)".to_owned();
        ringlog_io::threads::into_own_network()
            .map_err(|error| EmulateError::Network { what, reason: error.to_string() })?;
        run("ip", "link set lo up")?;
        run("tc", "qdisc add dev lo root handle 1: htb default 0")?;
        Ok(Self { bits_s: gbps * GIGA, next: AtomicU16::new(1) })
    }

    /// Holds the connections of a server on this port to the rate.
    pub(super) fn limit(&self, port: u16) -> Result<(), EmulateError> {
        let burst = (self.bits_s / BITS * BURST_S).max(BURST_BYTES_MIN);
        for end in ["dport", "sport"] {
            let class = self.next.fetch_add(1, Ordering::Relaxed);
            let rate = self.bits_s;
            run(
                "tc",
                &format!(
                    "class add dev lo parent 1: classid 1:{class:x} htb rate {rate:.0}bit ceil {rate:.0}bit burst {burst:.0} \
                     cburst {burst:.0} quantum {QUANTUM_BYTES}"
                ),
            )?;
            run(
                "tc",
                &format!("filter add dev lo parent 1: protocol ip u32 match ip {end} {port} 0xffff flowid 1:{class:x}"),
            )?;
        }
        Ok(())
    }

    /// Gb/s that a server on a port of its own receives.
    pub(super) fn measured(&self) -> Result<f64, EmulateError> {
        let wrong = |error: std::io::Error| EmulateError::Check(format!("the loopback: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        self.limit(address.port())?;
        let bytes_s = std::thread::scope(|scope| {
            // It ends when the reader goes.
            scope.spawn(move || -> std::io::Result<()> {
                let mut stream = TcpStream::connect(address)?;
                let chunk = [0x5a; 1 << 16];
                loop {
                    stream.write_all(&chunk)?;
                }
            });
            received(&listener)
        });
        Ok(bytes_s.map_err(wrong)? * BITS / GIGA)
    }
}

/// Bytes a second of the first connection.
fn received(listener: &TcpListener) -> std::io::Result<f64> {
    let (mut stream, _) = listener.accept()?;
    read_for(&mut stream, CHECK_BEFORE)?;
    read_for(&mut stream, CHECK)
}

fn read_for(stream: &mut TcpStream, time: Duration) -> std::io::Result<f64> {
    let (begin, mut bytes, mut chunk) = (Instant::now(), 0, vec![0; 1 << 18]);
    while begin.elapsed() < time {
        bytes += stream.read(&mut chunk)?;
    }
    Ok(bytes as f64 / begin.elapsed().as_secs_f64())
}

fn run(name: &str, arguments: &str) -> Result<(), EmulateError> {
    let what = format!("{name} {arguments}");
    let failed = |reason: String| EmulateError::Network { what: what.clone(), reason };
    let program = tool(name).ok_or_else(|| failed("it is not there".to_owned()))?;
    let output =
        Command::new(program).args(arguments.split(' ')).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")))
}
