//! `truth-proxy`: stands between a Kafka client and a broker, behaves in a known way, and keeps a record of what it did.
//!
//! ```text
//!   tool under test --> proxy: late answers, stalls, errors, a limit of bytes --> broker (advertises the proxy's port)
//!                         '--> record: every request, when in, when answered, when out, records, the error planted
//! ```
//!
//! It says `ready` when it listens, and when its standard input ends it writes the record as JSON and ends itself.
//! `scripts/truth` starts it, computes from the record what the tool must report, and compares.

mod behaviour;
mod message;
mod pumps;
mod record;

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use behaviour::{Behaviour, Share, Stalls};
use record::Shared;

/// A Kafka-aware proxy whose misbehaviour is known to the last request.
#[derive(Debug, Parser)]
struct Options {
    /// The port to listen on, on 127.0.0.1.
    #[arg(long)]
    listen: u16,
    /// The broker's port, on 127.0.0.1.
    #[arg(long)]
    broker: u16,
    /// Where the record goes.
    #[arg(long)]
    record: PathBuf,
    /// The seed of every draw.
    #[arg(long, default_value_t = 1)]
    seed: i64,
    /// MS:EVERY_MS: nothing is answered in the last MS of every EVERY_MS.
    #[arg(long, value_parser = stalls)]
    stall: Option<Stalls>,
    /// SHARE:MS: so many of the Produce and Fetch answers are so late. 0.01 is one in a hundred.
    #[arg(long, value_parser = late)]
    late: Option<Share<u64>>,
    /// SHARE:CODE: so many of the Produce answers become this error (19 NOT_ENOUGH_REPLICAS may be tried again, 87
    /// INVALID_RECORD may not). May be given more than once.
    #[arg(long, value_parser = error)]
    error: Vec<Share<i16>>,
    /// Bytes that may pass in a second, each way.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    bytes_per_second: Option<u64>,
}

fn two(text: &str) -> Result<(&str, &str), String> {
    text.split_once(':').ok_or_else(|| format!("{text}: two values with a colon between them are wanted"))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number that fits here"))
}

fn millionths(text: &str) -> Result<i32, String> {
    let share = number::<f64>(text)?;
    if (0.0..=1.0).contains(&share) { Ok((share * 1e6).round() as i32) } else { Err(format!("{text}: from 0 to 1")) }
}

fn stalls(text: &str) -> Result<Stalls, String> {
    let (length, period) = two(text)?;
    let (length_ns, period_ns) = (number::<u64>(length)? * 1_000_000, number::<u64>(period)? * 1_000_000);
    let fits = 0 < length_ns && length_ns < period_ns;
    if fits { Ok(Stalls { length_ns, period_ns }) } else { Err(format!("{text}: a stall is shorter than its period")) }
}

fn late(text: &str) -> Result<Share<u64>, String> {
    let (share, ms) = two(text)?;
    Ok(Share { millionths: millionths(share)?, what: number::<u64>(ms)? * 1_000_000 })
}

fn error(text: &str) -> Result<Share<i16>, String> {
    let (share, code) = two(text)?;
    Ok(Share { millionths: millionths(share)?, what: number(code)? })
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("truth-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test tool between two real processes: real sockets and a real file")]
fn run(options: &Options) -> std::io::Result<()> {
    let shared = Arc::new(Shared::new(Behaviour {
        seed: options.seed,
        stalls: options.stall,
        late: options.late,
        errors: options.error.clone(),
        bytes_per_second: options.bytes_per_second,
    }));
    let listener = TcpListener::bind(("127.0.0.1", options.listen))?;
    let (accepting, broker) = (Arc::clone(&shared), options.broker);
    std::thread::spawn(move || accept(&listener, broker, &accepting));
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::fs::write(&options.record, shared.json().to_string())
}

/// A connection to the broker for each of a client's; a broker that is away ends the client's.
#[expect(clippy::disallowed_methods, reason = "a test tool between two real processes")]
fn accept(listener: &TcpListener, broker: u16, shared: &Arc<Shared>) {
    for (number, client) in listener.incoming().enumerate() {
        let served = client.and_then(|client| {
            let broker = TcpStream::connect(("127.0.0.1", broker))?;
            pumps::serve(number, client, broker, shared)
        });
        if let Err(error) = served {
            shared.complain(format!("connection {number}: {error}"));
        }
    }
}
