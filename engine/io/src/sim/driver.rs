//! A driver of the simulated world: what one thread asks is put on the world's agenda, and `wait` gives what has happened.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dice::Dice;
use super::trace::digest;
use super::world::{Clock, Core, DriverId, Due, Seat, wall_ms};
use crate::buf::{Buf, Buffers, Slice};
use crate::driver::{
    self, Bell, Cache, Counters, Driver, Event, Kind, Listener, Nanos, Socket, SocketOptions, Token, Waker,
};
use crate::error::errno;
use crate::files::{File, Files};
use crate::job::Job;
use crate::sendlist::SendList;

/// How far an event may overtake those that came before it.
const OVERTAKES_MAX: usize = 4;

/// See the head of the file.
pub(super) struct SimDriver {
    id: DriverId,
    core: Rc<RefCell<Core>>,
    clock: Clock,
    /// The moment of this turn.
    turn: Cell<Nanos>,
    random: RefCell<Dice>,
}

impl SimDriver {
    pub(super) fn new(id: DriverId, core: Rc<RefCell<Core>>, clock: Clock, random: Dice) -> Self {
        let turn = Cell::new(clock.get());
        Self { id, core, clock, turn, random: RefCell::new(random) }
    }

    /// Changes the world, at this moment.
    fn ask<T>(&self, change: impl FnOnce(&mut Core, DriverId, Nanos) -> T) -> T {
        change(&mut self.core.borrow_mut(), self.id, self.clock.get())
    }

    fn seat<T>(&self, look: impl FnOnce(&mut Seat) -> T) -> T {
        self.ask(|core, id, _| look(&mut core.seats[id.0]))
    }
}

impl Drop for SimDriver {
    fn drop(&mut self) {
        // Where a panic unwinds through the world, it is over anyway.
        if let Ok(mut core) = self.core.try_borrow_mut() {
            core.end_jobs(self.id);
        }
    }
}

impl driver::Clock for SimDriver {
    fn now(&self) -> Nanos {
        self.turn.get()
    }

    fn wall_ms(&self) -> i64 {
        wall_ms(self.turn.get())
    }

    fn read(&self) -> Nanos {
        self.clock.get()
    }

    fn random(&self) -> u64 {
        self.random.borrow_mut().roll()
    }
}

impl Driver for SimDriver {
    fn kind(&self) -> Kind {
        Kind::Sim
    }

    fn fallback_reason(&self) -> Option<&str> {
        None
    }

    fn files(&self) -> Rc<dyn Files> {
        self.seat(|seat| Rc::clone(&seat.files)) as Rc<dyn Files>
    }

    fn counters(&self) -> Counters {
        self.seat(|seat| seat.counters)
    }

    fn buffer(&mut self, len: usize) -> Buf {
        self.seat(|seat| seat.free.buffer(len))
    }

    fn buffers(&self) -> Buffers {
        self.seat(|seat| Buffers(Rc::clone(&seat.free)))
    }

    fn listen(&mut self, address: SocketAddr) -> io::Result<Listener> {
        self.ask(|core, id, _| core.network.listen(id, address)).map(Listener)
    }

    fn local_address(&self, listener: Listener) -> io::Result<SocketAddr> {
        self.ask(|core, _, _| core.network.local_address(listener.0))
    }

    fn accept(&mut self, listener: Listener, _options: SocketOptions, token: Token) {
        self.ask(|core, _, now| core.accept(listener.0, token, now));
    }

    fn close_listener(&mut self, listener: Listener) {
        self.ask(|core, _, _| core.close_listener(listener.0));
    }

    fn connect(&mut self, address: SocketAddr, _options: SocketOptions, token: Token) {
        self.ask(|core, id, now| core.connect(id, address, token, now));
    }

    fn recv(&mut self, socket: Socket, token: Token) {
        self.ask(|core, id, now| core.receive(id, socket.0, token, now));
    }

    fn recv_exact(&mut self, socket: Socket, buf: Buf, target_len: usize, token: Token) {
        self.ask(|core, id, now| core.receive_exact(id, socket.0, (buf, target_len, token), now));
    }

    fn send(&mut self, socket: Socket, parts: Vec<Slice>, token: Token) {
        self.ask(|core, id, now| core.send(id, socket.0, SendList::new(parts, token), now));
    }

    /// The dice say whether what the network took at once is answered at once.
    fn send_now(&mut self, socket: Socket, parts: Vec<Slice>, token: Token) -> Option<usize> {
        self.send(socket, parts, token);
        self.ask(|core, id, _| {
            let answered = |event: &Event| match event {
                Event::Sent { token: of, result: Ok(bytes) } if *of == token => Some(*bytes),
                _ => None,
            };
            let bytes = core.seats[id.0].came.last().and_then(answered)?;
            if core.dice.once_in(4) {
                return None;
            }
            core.seats[id.0].came.pop();
            Some(bytes)
        })
    }

    fn send_file(&mut self, socket: Socket, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let files = self.files();
        self.ask(|core, _, now| {
            let room = core.network.room(socket.0)?;
            if room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut bytes = vec![0; len.min(room)];
            let read = files.read_at(file, &mut bytes, offset)?;
            bytes.truncate(read);
            core.transmit(socket.0, bytes, now);
            Ok(read)
        })
    }

    fn writable(&mut self, socket: Socket, token: Token) {
        self.ask(|core, id, now| core.writable(id, socket.0, token, now));
    }

    fn moved_bytes(&self, socket: Socket) -> io::Result<u64> {
        self.ask(|core, _, _| core.network.moved_bytes(socket.0))
    }

    fn close(&mut self, socket: Socket) {
        self.ask(|core, _, now| core.close(socket.0, now));
    }

    fn read_file(&mut self, file: &File, offset: u64, len: usize, cache: Cache, token: Token) {
        self.ask(|core, id, now| core.plan_read(now, id, (file.clone(), offset, len), (cache, token)));
    }

    fn sync(&mut self, file: &File, token: Token) {
        let begun = self.seat(|seat| Rc::clone(&seat.files)).sync_begin(file);
        self.ask(|core, id, now| match begun {
            Ok(ticket) => core.plan_disk(now, Due::Synced { to: id, file: file.clone(), ticket, token }),
            Err(error) => core.tell(id, Event::Synced { token, result: Err(error) }),
        });
    }

    /// The double's dirty pages are written when the dice say so: this only takes its time.
    fn write_back(&mut self, file: &File, offset: u64, len: u64, token: Token) {
        match self.seat(|seat| Rc::clone(&seat.files)).start_writeback(file, offset, len) {
            Ok(()) => self.run(Job::Steps { steps: Vec::new() }, token),
            Err(error) => self.ask(|core, id, _| core.tell(id, Event::JobDone { token, result: Err(error) })),
        }
    }

    fn run(&mut self, job: Job, token: Token) {
        self.ask(|core, id, now| core.plan_disk(now, Due::Job { to: id, job, token }));
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Ok(Waker(Bell::Flag(self.seat(|seat| Arc::clone(&seat.bell)))))
    }

    fn signals(&mut self, _signals: &[i32]) -> io::Result<()> {
        Ok(())
    }

    /// Never waits: the world says when there is something to see. Some of what came may be left for the next turn.
    fn wait(&mut self, _timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        self.turn.set(self.clock.get());
        self.ask(|core, id, now| {
            core.feed_starved(id, now);
            let seat = &mut core.seats[id.0];
            seat.counters.waits += 1;
            if seat.bell.swap(false, Ordering::AcqRel) {
                seat.came.push(Event::Woken);
            }
            let len = seat.came.len();
            let take = if len > 1 && core.dice.once_in(4) { 1 + core.dice.below(len) } else { len };
            for _ in 0..take {
                let seat = &mut core.seats[id.0];
                let place = if seat.came.len() > 1 { core.dice.below(seat.came.len().min(OVERTAKES_MAX)) } else { 0 };
                let event = seat.came.remove(place);
                note(core, now, id, &event);
                events.push(event);
            }
        });
        Ok(())
    }
}

/// Puts an event into the trace.
fn note(core: &mut Core, now: Nanos, id: DriverId, event: &Event) {
    let code = |error: &io::Error| u64::from(errno(error).unwrap_or(-1).unsigned_abs());
    let bytes = |result: &io::Result<Buf>| result.as_ref().map_or_else(code, |buf| digest(buf));
    let (kind, token, value) = match event {
        Event::Accepted { token, result } => (1, *token, result.as_ref().map_or_else(code, |it| it.0.0)),
        Event::Connected { token, result } => (2, *token, result.as_ref().map_or_else(code, |it| it.0)),
        Event::Received { token, result } => (3, *token, bytes(result)),
        Event::Filled { token, result } => (4, *token, bytes(result)),
        Event::Sent { token, result } => (5, *token, result.as_ref().map_or_else(code, |it| *it as u64)),
        Event::Writable { token, result } => (6, *token, result.as_ref().map_or_else(code, |()| 0)),
        Event::Read { token, result } => (7, *token, bytes(result)),
        Event::Synced { token, result } => (8, *token, result.as_ref().map_or_else(code, |()| 0)),
        Event::JobDone { token, result } => {
            (11, *token, result.as_ref().map_or_else(code, |it| u64::from(it.is_some())))
        }
        Event::Woken => (9, 0, 0),
        Event::Signal(signal) => (10, 0, u64::from(signal.unsigned_abs())),
    };
    core.trace.event(now, &[id.0 as u64, kind, token, value], format_args!("driver {}: {event:?}", id.0));
}
