//! The steps in which a broker comes up and goes down, without threads: what a shard does at each.
//!
//! ```text
//!   every shard   bind        its port, its address on the bus
//!   shard 0       lead        the folder's lock, the metadata log, the first image
//!   every shard   load        what partitions it has: opened while it serves (recovery)
//!   every shard   EventLoop::run or step
//!   every shard   close       its partitions
//!   shard 0       note_stop   how the broker stopped
//! ```
//! [`crate::start`] runs them in threads that meet between them, [`crate::sim`] one after the other.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{Driver, Listener};
use ringlog_storage::{Checkpointed, LogDir, LogDirOptions, PartitionName, Startup};
use ringlog_wire::Uuid;

use crate::apply_image;
use crate::broker::Broker;
use crate::controller_desk::Desk;
use crate::event_loop::EventLoop;
use crate::front::Front;
use crate::limits::Budget;
use crate::mail::{Address, Bus, Newest};
use crate::metadata::image::{Image, ShardId};
use crate::settings::Settings;
use crate::shard::Shard;
use crate::writeback::Dirty;

/// What went wrong, in words for the operator.
pub(crate) type StartError = String;

/// A shard that has its port.
pub(crate) struct Bound {
    pub(crate) driver: Box<dyn Driver>,
    listener: Listener,
    pub(crate) port: u16,
    /// Where the others send it mail.
    pub(crate) address: Address,
}

/// What every shard needs to load its partitions.
#[derive(Clone)]
pub(crate) struct Loaded {
    newest: Arc<Newest>,
    image: Arc<Image>,
    startup: Startup,
    checkpointed: Arc<BTreeMap<PartitionName, Checkpointed>>,
    /// What all shards count together.
    dirty: Arc<Dirty>,
}

/// The partitions that a shard closed, for the checkpoints, and whether every one was closed.
pub(crate) type Closed = (BTreeMap<PartitionName, Checkpointed>, bool);

/// Takes the shard's port.
pub(crate) fn bind(
    settings: &Settings,
    shard: usize,
    mut driver: Box<dyn Driver>,
    listen: impl FnOnce(&mut dyn Driver, SocketAddr) -> io::Result<Listener>,
) -> Result<Bound, StartError> {
    let address: SocketAddr = settings.listen_address(shard).map_err(|error| error.to_string())?;
    let listener = listen(driver.as_mut(), address).map_err(|error| {
        format!(
            "listeners: shard {shard} cannot listen on {address}: {error}; stop what listens there, or choose another port"
        )
    })?;
    let port = driver.local_address(listener).map_err(|error| error.to_string())?.port();
    let waker = driver.waker().map_err(|error| format!("a waker could not be made: {error}"))?;
    let address = Address::new(settings.shards(), waker);
    Ok(Bound { driver, listener, port, address })
}

/// What a start says that finds no note of a stop, and the page cache of the run before gone.
const POWER_WAS_CUT: &str = "the machine went down while this broker ran: what was acknowledged without a flush (a topic \
    without flush.messages and flush.ms) may be gone from the end of each partition; every log is checked from what is \
    known to be on the disk";

/// Shard 0: the folder's lock, the metadata log, the first image.
pub(crate) fn lead(
    settings: &Arc<Settings>,
    bound: &mut Bound,
    ports: &[u16],
    boot_id: String,
) -> Result<(Desk, Loaded), StartError> {
    let driver = bound.driver.as_mut();
    let files = driver.files();
    let options = LogDirOptions {
        cluster_id: None,
        new_cluster_id: random_uuid(driver).to_string(),
        node_id: settings.node_id(),
        new_directory_id: random_uuid(driver),
        boot_id,
    };
    let dir = LogDir::open(&files, settings.log_dir(), &options).map_err(|error| error.to_string())?;
    let mut checkpointed = BTreeMap::new();
    for name in dir.partitions().map_err(|error| error.to_string())? {
        let one = dir.checkpointed(&name);
        checkpointed.insert(name, one);
    }
    let startup = dir.startup();
    if startup == Startup::NewBoot && !checkpointed.is_empty() {
        tracing::warn!(log_dir = %dir.path().display(), partitions = checkpointed.len(), "{POWER_WAS_CUT}");
    }
    let desk = Desk::open(&files, dir, settings, ports, driver)?;
    let loaded = Loaded {
        newest: desk.newest(),
        image: desk.newest().latest(),
        startup,
        checkpointed: Arc::new(checkpointed),
        dirty: Arc::default(),
    };
    driver.signals(&crate::stop_signals()).map_err(|error| format!("signals could not be taken: {error}"))?;
    Ok((desk, loaded))
}

/// Looks up the shard's partitions. The loop that it gives has not begun to serve.
pub(crate) fn load(
    (settings, budget): (&Arc<Settings>, Budget),
    shard: usize,
    bound: Bound,
    (desk, addresses): (Option<Desk>, Vec<Address>),
    loaded: &Loaded,
) -> Result<EventLoop, StartError> {
    let Bound { driver, listener, .. } = bound;
    let files = driver.files();
    let image = Arc::clone(&loaded.image);
    let mut broker = Broker::new(ShardId(shard), (Arc::clone(settings), budget), Rc::clone(&files), &*driver, image);
    broker.writebacks.share(Arc::clone(&loaded.dirty));
    let front = Front::new(Arc::clone(&broker.settings), files, driver.buffers(), budget);
    apply_image::load(&mut broker, loaded.startup, &loaded.checkpointed);
    let shard = Shard::new(broker, front, Bus::new(ShardId(shard), addresses), desk, Arc::clone(&loaded.newest));
    Ok(EventLoop::new(driver, listener, settings.socket_options(), shard))
}

/// Closes the shard's partitions. Gives shard 0's desk, for [`note_stop`].
pub(crate) fn close(event_loop: EventLoop) -> (Closed, Option<Desk>) {
    let mut shard = event_loop.into_shard();
    (shard.close_partitions(), shard.take_desk())
}

/// Shard 0, last: every shard has closed its partitions, or ended without saying so.
pub(crate) fn note_stop(desk: Desk, closed: impl Iterator<Item = Closed>) -> Result<(), StartError> {
    let shards = desk.shards();
    let mut all = BTreeMap::new();
    let mut clean = 0;
    for (checkpoints, was_clean) in closed {
        all.extend(checkpoints);
        clean += usize::from(was_clean);
    }
    desk.close(all, clean == shards).map_err(|error| error.to_string())
}

fn random_uuid(driver: &dyn Driver) -> Uuid {
    loop {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&driver.random().to_be_bytes());
        bytes[8..].copy_from_slice(&driver.random().to_be_bytes());
        if let Some(id) = Uuid::from_random(bytes) {
            return id;
        }
    }
}
