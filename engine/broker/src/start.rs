//! How a broker comes up and goes down: shards are threads that meet at four points. What they do there: `bring_up`.
//!
//! ```text
//!   main            shard 0                       shard 1..N
//!    |-- spawn ------>|                               |
//!    |                | bind, driver                  | bind, driver          (a port in use ends it here)
//!    |<-- Bound ------|<------------------------------|
//!    |-- ports ------>| lock, metadata log, image     |
//!    |<-- Loaded -----|                               |
//!    |-- image ------>| own partitions                | own partitions        (opened while they serve)
//!    |<-- Ready ------|<------------------------------|
//!    | one line: where, how                           |
//!    |-- Serve ------>| run                           | run
//!    |                | <- closed partitions ---------|
//!    |                | clean-shutdown note           |
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ringlog_io::driver::{self, DriverOptions};
use ringlog_io::{Driver, Kind, Listener, host, notify, threads};

use crate::bring_up::{self, Closed, Loaded, StartError};
use crate::controller_desk::Desk;
use crate::limits::{self, Budget};
use crate::mail::Address;
use crate::metrics::board::Board;
use crate::metrics::{server, watchdog};
use crate::settings::Settings;

/// How long an address that is in use is tried again, and how often.
const LISTEN_WAIT: Duration = Duration::from_secs(3);
const LISTEN_RETRIES: u32 = 150;

/// A shard that has its port.
struct Bound {
    shard: usize,
    port: u16,
    kind: Kind,
    fallback_reason: Option<String>,
    address: Address,
}

/// What main tells a shard.
enum Go {
    Lead { ports: Vec<u16> },
    Load { loaded: Loaded, addresses: Vec<Address> },
    Serve,
}

/// What a shard tells main.
enum Said {
    Bound(Bound),
    Loaded(Loaded),
    Ready,
    Failed(StartError),
}

/// Runs the broker until a signal stops it.
pub(crate) fn run(settings: Arc<Settings>, budget: Budget, descriptors: usize) -> Result<(), StartError> {
    let shards = settings.shards();
    let board = Arc::new(Board::new(shards));
    let metrics = match settings.metrics_listen() {
        Some(address) => {
            watchdog::start(&board)?;
            Some(server::start(address, &settings, &board, descriptors)?)
        }
        None => None,
    };
    let (said, hear) = channel();
    let (closed, all_closed) = channel();
    let mut closed_receiver = Some(all_closed);
    let mut goes = Vec::new();
    let mut threads = Vec::new();
    for shard in 0..shards {
        let (go, wait) = channel();
        goes.push(go);
        let context = Context {
            shard,
            settings: Arc::clone(&settings),
            budget,
            board: metrics.map(|_| Arc::clone(&board)),
            said: said.clone(),
            wait,
            closed: closed.clone(),
            all_closed: if shard == 0 { closed_receiver.take() } else { None },
        };
        threads.push(spawn(context)?);
    }
    drop((said, closed));
    let result = bring_up(&settings, (&board, metrics), &goes, &hear);
    drop(goes);
    for thread in threads {
        thread.join().map_err(|_| "a shard's thread panicked".to_owned())?;
    }
    result.and_then(|()| match hear.try_recv() {
        Ok(Said::Failed(error)) => Err(error),
        _ => Ok(()),
    })
}

fn spawn(context: Context) -> Result<JoinHandle<()>, StartError> {
    let name = format!("shard-{}", context.shard);
    let said = context.said.clone();
    std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            if let Err(error) = context.live() {
                // Main may have given up already.
                drop(said.send(Said::Failed(error)));
            }
        })
        .map_err(|error| format!("a thread could not be started: {error}"))
}

fn bring_up(
    settings: &Settings,
    (board, metrics): (&Board, Option<SocketAddr>),
    goes: &[Sender<Go>],
    hear: &Receiver<Said>,
) -> Result<(), StartError> {
    let tell = |shard: usize, go: Go| goes[shard].send(go).map_err(|_| "a shard ended during start".to_owned());
    let mut bound: Vec<Bound> = Vec::new();
    while bound.len() < goes.len() {
        match hear.recv() {
            Ok(Said::Bound(one)) => bound.push(one),
            other => return Err(failure(other)),
        }
    }
    bound.sort_by_key(|one| one.shard);
    let ports: Vec<u16> = bound.iter().map(|one| one.port).collect();
    let addresses: Vec<Address> = bound.iter().map(|one| one.address.clone()).collect();
    tell(0, Go::Lead { ports: ports.clone() })?;
    let loaded = match hear.recv() {
        Ok(Said::Loaded(loaded)) => loaded,
        other => return Err(failure(other)),
    };
    for shard in 0..goes.len() {
        tell(shard, Go::Load { loaded: loaded.clone(), addresses: addresses.clone() })?;
    }
    for _ in goes {
        match hear.recv() {
            Ok(Said::Ready) => {}
            other => return Err(failure(other)),
        }
    }
    board.serves(addresses, io_name(bound[0].kind));
    announce(settings, &ports, &bound[0], metrics);
    (0..goes.len()).try_for_each(|shard| tell(shard, Go::Serve))?;
    tell_supervisor(notify::READY);
    Ok(())
}

fn failure(said: Result<Said, std::sync::mpsc::RecvError>) -> StartError {
    match said {
        Ok(Said::Failed(error)) => error,
        _ => "a shard ended during start".to_owned(),
    }
}

/// Tells systemd, where it started this process.
fn tell_supervisor(state: &str) {
    if let Err(error) = notify::notify(state) {
        tracing::warn!(%error, state, "systemd could not be told (NOTIFY_SOCKET)");
    }
}

/// The one line that says where the broker listens, how it does its I/O, and where its log is.
fn announce(settings: &Settings, ports: &[u16], first: &Bound, metrics: Option<SocketAddr>) {
    if let Some(reason) = &first.fallback_reason {
        tracing::warn!("io_uring is not used, and epoll is: {reason}");
    }
    let host = settings.listen_host();
    let listeners: Vec<String> = ports.iter().map(|port| format!("{host}:{port}")).collect();
    let io = io_name(first.kind);
    let metrics = metrics.map(|address| format!(", metrics http://{address}/metrics")).unwrap_or_default();
    let shards = ports.len();
    let plural = if shards == 1 { "" } else { "s" };
    let line = format!(
        "ringlog broker ready: listening on {} ({shards} shard{plural}), io {io}, log {}{metrics}",
        listeners.join(","),
        settings.log_dir().display()
    );
    if settings.logs_json() {
        tracing::info!("{line}");
    } else {
        crate::out::line(format_args!("{line}"));
    }
}

/// How the kernel is asked, in a word.
pub(crate) fn io_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Uring => "io_uring",
        Kind::Epoll => "epoll",
        Kind::Sim => "simulated",
    }
}

/// One shard's side of the start.
struct Context {
    shard: usize,
    settings: Arc<Settings>,
    budget: Budget,
    /// Where it is counted, if somebody asks for metrics.
    board: Option<Arc<Board>>,
    said: Sender<Said>,
    wait: Receiver<Go>,
    closed: Sender<Closed>,
    all_closed: Option<Receiver<Closed>>,
}

impl Context {
    fn live(self) -> Result<(), StartError> {
        let mut bound = bring_up::bind(&self.settings, self.shard, self.open_driver()?, listen_patiently)?;
        self.say(Said::Bound(Bound {
            shard: self.shard,
            port: bound.port,
            kind: bound.driver.kind(),
            fallback_reason: bound.driver.fallback_reason().map(str::to_owned),
            address: bound.address.clone(),
        }))?;
        let mut lead = None;
        let loaded = loop {
            match self.wait.recv() {
                Ok(Go::Lead { ports }) => lead = Some(self.lead(&mut bound, &ports)?),
                Ok(Go::Load { loaded, addresses }) => break (loaded, addresses),
                Ok(Go::Serve) | Err(_) => return Ok(()),
            }
        };
        self.serve(bound, lead, loaded)
    }

    fn say(&self, said: Said) -> Result<(), StartError> {
        self.said.send(said).map_err(|_| "the start was given up".to_owned())
    }

    fn open_driver(&self) -> Result<Box<dyn Driver>, StartError> {
        let cores = threads::cores();
        if let Some(core) = self.settings.core_of(self.shard, &cores)
            && let Err(error) = threads::pin_to_core(core)
        {
            tracing::warn!(core, %error, "shard {} could not be pinned", self.shard);
        }
        let options = DriverOptions {
            choice: self.settings.io(),
            receive_buffers: limits::RECEIVE_BUFFERS,
            receive_buffer_bytes: limits::RECEIVE_BUFFER_BYTES,
            kept_buffer_bytes: self.budget.kept_bytes,
            ..DriverOptions::default()
        };
        driver::open(options).map_err(|error| format!("the driver could not be opened: {error}"))
    }

    /// Shard 0: see [`bring_up::lead`].
    fn lead(&self, bound: &mut bring_up::Bound, ports: &[u16]) -> Result<Desk, StartError> {
        let boot_id = host::boot_id().map_err(|error| error.to_string())?;
        let (desk, loaded) = bring_up::lead(&self.settings, bound, ports, boot_id)?;
        self.say(Said::Loaded(loaded))?;
        Ok(desk)
    }

    fn serve(
        self,
        bound: bring_up::Bound,
        desk: Option<Desk>,
        (loaded, addresses): (Loaded, Vec<Address>),
    ) -> Result<(), StartError> {
        let of = (&self.settings, self.budget);
        let mut event_loop = bring_up::load(of, self.shard, bound, (desk, addresses), &loaded)?;
        if let Some(board) = &self.board {
            event_loop.shard.attach(board.meter(self.shard));
        }
        self.say(Said::Ready)?;
        if !matches!(self.wait.recv(), Ok(Go::Serve)) {
            return Ok(());
        }
        let served = event_loop.run().map_err(|error| format!("shard {}: {error}", self.shard));
        if let Some(board) = &self.board {
            board.stops();
        }
        if self.shard == 0 {
            tell_supervisor(notify::STOPPING);
        }
        let ((checkpoints, is_clean), desk) = bring_up::close(event_loop);
        // A driver that failed may not have done what it was asked to.
        drop(self.closed.send((checkpoints, is_clean && served.is_ok())));
        drop(self.closed);
        let noted = match (self.all_closed, desk) {
            (Some(all_closed), Some(desk)) => bring_up::note_stop(desk, all_closed.iter()),
            _ => Ok(()),
        };
        served.and(noted)
    }
}

/// Listens; an address in use is tried again for [`LISTEN_WAIT`]. A ring of a process that was killed goes on holding its
/// listening socket after the process was reaped: the kernel takes rings apart in a work queue of its own.
fn listen_patiently(driver: &mut dyn Driver, address: SocketAddr) -> io::Result<Listener> {
    for attempt in 0..LISTEN_RETRIES {
        match driver.listen(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if attempt == 0 {
                    tracing::warn!(%address, "in use; trying again for {LISTEN_WAIT:?}");
                }
                thread::sleep(LISTEN_WAIT / LISTEN_RETRIES);
            }
            other => return other,
        }
    }
    driver.listen(address)
}
