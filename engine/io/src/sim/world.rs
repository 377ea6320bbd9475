//! The world: drivers, what is going to happen, and whose turn it is.
//!
//! ```text
//!   loop {
//!       let Some(who) = world.next(limit) else { .. nothing before the limit .. };
//!       // the clock stands where `who` can run: something came for it, or the time it asked to sleep until is over
//!       step(who);                                      its Driver::wait gives what came, and never waits
//!       world.sleep(who, deadline);                     until when it sleeps where nothing comes
//!   }
//! ```
//! Nothing runs at the same time: the clock jumps from one moment to the next. Between them the dice decide who of several
//! runs first, how much of what came it sees in one turn, and in which order.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dice::Dice;
use super::driver::SimDriver;
use super::files::SimFiles;
use super::network::{Arrival, Network};
use super::trace::Trace;
use super::weather::Weather;
use crate::buf::{FreeList, ReceivePool};
use crate::driver::{Cache, Counters, Driver, Event, Nanos, Socket, Token};
use crate::files::{File, Files};
use crate::job::Job;

/// When a world begins: an hour after its machines started, so that a moment before it can be named.
const BEGINNING: Nanos = Nanos(3_600_000_000_000);
/// The wall clock at the beginning: 2025-01-01T00:00:00Z.
const WALL_MS: i64 = 1_735_689_600_000;
/// Bytes of large buffers that a driver keeps.
const FREE_BYTES_MAX: usize = 1 << 20;

/// One driver of a world, by the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriverId(pub(super) usize);

/// What is going to happen.
pub(super) enum Due {
    Network(Arrival),
    Synced { to: DriverId, file: File, ticket: u64, token: Token },
    Read { to: DriverId, file: File, offset: u64, len: usize, token: Token },
    Job { to: DriverId, job: Job, token: Token },
}

/// A driver's side of the world.
pub(super) struct Seat {
    pub(super) files: Rc<SimFiles>,
    pub(super) is_alive: bool,
    /// What came and was not seen yet.
    pub(super) came: Vec<Event>,
    pub(super) bell: Arc<AtomicBool>,
    /// Receives that wait for a buffer of the pool.
    pub(super) starved: Vec<u64>,
    pub(super) pool: Rc<ReceivePool>,
    pub(super) free: Rc<FreeList>,
    pub(super) counters: Counters,
    sleeps_until: Option<Nanos>,
    busy_until: Nanos,
}

impl Seat {
    fn has_news(&self) -> bool {
        !self.came.is_empty() || self.bell.load(Ordering::Acquire) || (!self.starved.is_empty() && self.pool.has_free())
    }

    /// When its thread can run next: where nothing more comes.
    fn runs_at(&self) -> Option<Nanos> {
        let wanted = if self.has_news() { Some(Nanos(0)) } else { self.sleeps_until };
        wanted.filter(|_| self.is_alive).map(|at| at.max(self.busy_until))
    }
}

/// What all handles of a world share.
pub(super) struct Core {
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    pub(super) trace: Trace,
    pub(super) seats: Vec<Seat>,
    pub(super) network: Network,
    agenda: BTreeMap<(Nanos, u64), Due>,
    planned: u64,
}

/// A world's clock, readable while the rest is changed.
pub(super) type Clock = Rc<Cell<Nanos>>;

/// The wall clock at a moment.
pub(super) fn wall_ms(now: Nanos) -> i64 {
    WALL_MS + i64::try_from(now.0.saturating_sub(BEGINNING.0) / 1_000_000).unwrap_or(i64::MAX)
}

impl Core {
    /// Puts something on the agenda.
    pub(super) fn plan(&mut self, at: Nanos, due: Due) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), due);
    }

    /// Something came for a driver. A dead one hears nothing.
    pub(super) fn tell(&mut self, to: DriverId, event: Event) {
        let seat = &mut self.seats[to.0];
        if seat.is_alive {
            seat.came.push(event);
        }
    }

    /// How long the disk takes this time.
    pub(super) fn disk_delay(&mut self) -> u64 {
        let stalls = self.weather.stall_once_in > 0 && self.dice.once_in(self.weather.stall_once_in);
        self.dice.within(if stalls { &self.weather.stall_ns } else { &self.weather.disk_ns })
    }

    /// Does what is due now.
    fn happen(&mut self, now: Nanos) {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Due::Network(arrival) => self.arrive(arrival, now),
                Due::Synced { to, file, ticket, token } => {
                    let files = Rc::clone(&self.seats[to.0].files);
                    self.tell(to, Event::Synced { token, result: files.sync_end(&file, ticket) });
                }
                Due::Job { to, job, token } => {
                    let seat = &self.seats[to.0];
                    // A process that was killed does nothing more.
                    if seat.is_alive {
                        let result = job.perform(&*seat.files);
                        self.tell(to, Event::JobDone { token, result });
                    }
                }
                Due::Read { to, file, offset, len, token } => {
                    let mut bytes = vec![0; len];
                    let result = self.seats[to.0].files.read_at(&file, &mut bytes, offset).map(|read| {
                        bytes.truncate(read);
                        bytes.into()
                    });
                    self.tell(to, Event::Read { token, result });
                }
            }
        }
    }

    fn next_moment(&self) -> Option<Nanos> {
        let planned = self.agenda.keys().next().map(|(at, _)| *at);
        self.seats.iter().filter_map(Seat::runs_at).chain(planned).min()
    }
}

/// See the head of the file.
pub struct World {
    core: Rc<RefCell<Core>>,
    clock: Clock,
}

impl World {
    /// A world without drivers. Everything that happens in it follows from the seed and from what it is asked.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let core = Core {
            dice: Dice(seed),
            weather: Weather::default(),
            trace: Trace::default(),
            seats: Vec::new(),
            network: Network::default(),
            agenda: BTreeMap::new(),
            planned: 0,
        };
        Self { core: Rc::new(RefCell::new(core)), clock: Rc::new(Cell::new(BEGINNING)) }
    }

    /// A driver on a host with these files. `buffers` pooled receive buffers of `buffer_bytes` each.
    pub fn driver(&self, files: &Rc<SimFiles>, buffers: u16, buffer_bytes: usize) -> (DriverId, Box<dyn Driver>) {
        let mut core = self.core.borrow_mut();
        let id = DriverId(core.seats.len());
        core.seats.push(Seat {
            files: Rc::clone(files),
            is_alive: true,
            came: Vec::new(),
            bell: Arc::default(),
            starved: Vec::new(),
            pool: ReceivePool::new(buffers, buffer_bytes),
            free: FreeList::new(FREE_BYTES_MAX),
            counters: Counters::default(),
            sleeps_until: Some(self.now()),
            busy_until: self.now(),
        });
        let random = Dice(core.dice.roll());
        drop(core);
        (id, Box::new(SimDriver::new(id, Rc::clone(&self.core), Rc::clone(&self.clock), random)))
    }

    /// Sets the clock to the first moment, at `limit` or before, at which a driver can run, and says which. `None`: there is
    /// none, and the clock stands at `limit`.
    pub fn next(&self, limit: Nanos) -> Option<DriverId> {
        let mut core = self.core.borrow_mut();
        loop {
            let now = self.clock.get();
            core.happen(now);
            let able = |seat: &Seat| seat.runs_at().is_some_and(|at| at <= now);
            let count = core.seats.iter().filter(|seat| able(seat)).count();
            if count > 0 {
                let chosen = core.dice.below(count);
                let (place, _) = core.seats.iter().enumerate().filter(|(_, seat)| able(seat)).nth(chosen)?;
                let busy_ns = {
                    let Core { dice, weather, .. } = &mut *core;
                    dice.within(&weather.turn_ns)
                };
                core.seats[place].busy_until = Nanos(now.0 + busy_ns);
                return Some(DriverId(place));
            }
            match core.next_moment().filter(|at| *at <= limit) {
                Some(at) => self.clock.set(at.max(now)),
                None => {
                    self.clock.set(limit.max(now));
                    return None;
                }
            }
        }
    }

    /// Until when a driver's thread sleeps where nothing comes for it (`None`: for ever).
    pub fn sleep(&self, who: DriverId, until: Option<Nanos>) {
        self.core.borrow_mut().seats[who.0].sleeps_until = until;
    }

    /// The thread of a driver does not run before this moment, whatever comes.
    pub fn pause(&self, who: DriverId, until: Nanos) {
        let mut core = self.core.borrow_mut();
        let busy_until = &mut core.seats[who.0].busy_until;
        *busy_until = until.max(*busy_until);
    }

    /// The thread of a driver is gone, as after kill -9: the kernel closes its sockets, and what it had asked of the disk
    /// goes on. Its driver is dead for good: the next life has a new one.
    pub fn kill(&self, who: DriverId) {
        let mut core = self.core.borrow_mut();
        let now = self.now();
        core.bury(who);
        core.close_all(who, now);
    }

    /// The machine of a driver is gone: its peers hear nothing of it.
    pub fn vanish(&self, who: DriverId) {
        let mut core = self.core.borrow_mut();
        let now = self.now();
        core.bury(who);
        core.cut_all(who, now);
        core.close_all(who, now);
    }

    /// A signal for a driver's process.
    pub fn signal(&self, who: DriverId, signal: i32) {
        self.core.borrow_mut().tell(who, Event::Signal(signal));
    }

    /// Breaks one of the connections between two drivers, by chance: reset, or (`silently`) so that neither side hears of
    /// it. False: there is none.
    pub fn break_connection(&self, silently: bool) -> bool {
        let now = self.now();
        self.core.borrow_mut().break_one(silently, now)
    }

    /// Whether a connection is open at both ends, neither reset nor cut.
    #[must_use]
    pub fn is_whole(&self, socket: Socket) -> bool {
        self.core.borrow().network.is_whole(socket.0)
    }

    /// The weather, to look at and to change.
    #[must_use]
    pub fn weather(&self) -> RefMut<'_, Weather> {
        RefMut::map(self.core.borrow_mut(), |core| &mut core.weather)
    }

    /// The monotonic clock.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.clock.get()
    }

    /// The wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        wall_ms(self.now())
    }

    /// How much every choice and every event so far comes to as one number, the same for the same seed.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.core.borrow().trace.hash()
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.core.borrow().trace.events()
    }

    /// Connections that are open, by their ends.
    #[must_use]
    pub fn open_ends(&self) -> usize {
        self.core.borrow().network.open_ends()
    }

    /// Has every event told to `reader`, a line each, with its time before it.
    pub fn read_by(&self, reader: impl FnMut(Arguments<'_>) + 'static) {
        self.core.borrow_mut().trace.read_by(Box::new(reader));
    }

    /// A remark in the trace, of whoever moves the world.
    pub fn say(&self, text: Arguments<'_>) {
        let now = self.now();
        self.core.borrow_mut().trace.say(now, text);
    }
}

impl Core {
    /// A driver dies: what came for it is nobody's. Jobs that its helpers were at may have been done, or not.
    fn bury(&mut self, who: DriverId) {
        self.end_jobs(who);
        let seat = &mut self.seats[who.0];
        seat.is_alive = false;
        seat.came.clear();
        seat.starved.clear();
        self.close_listeners_of(who);
    }

    /// The jobs of a driver that ends: each was done, or will never be.
    pub(super) fn end_jobs(&mut self, who: DriverId) {
        let is_job = |due: &Due| matches!(due, Due::Job { to, .. } if *to == who);
        let keys: Vec<_> = self.agenda.iter().filter(|(_, due)| is_job(due)).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(Due::Job { job, .. }) = self.agenda.remove(&key)
                && self.dice.once_in(2)
            {
                // Nobody hears how it ended.
                drop(job.perform(&*self.seats[who.0].files));
            }
        }
    }

    /// A read or a sync that the kernel works on.
    pub(super) fn plan_disk(&mut self, now: Nanos, due: Due) {
        let at = Nanos(now.0 + self.disk_delay());
        self.plan(at, due);
    }

    /// A read through the driver. In the double, what it leaves in the page cache does not matter.
    pub(super) fn plan_read(
        &mut self,
        now: Nanos,
        to: DriverId,
        (file, offset, len): (File, u64, usize),
        how: (Cache, Token),
    ) {
        let (_, token) = how;
        self.plan_disk(now, Due::Read { to, file, offset, len, token });
    }
}
