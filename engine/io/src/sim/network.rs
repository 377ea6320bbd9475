//! Connections between the drivers of a world.
//!
//! ```text
//!   end  output -- segments, each after a delay, in order --> inbound  end
//!          ^                                                     |
//!          +-- room = window - (on the way + not yet received) --+
//! ```
//! A connection is two ends. It can be closed (the other end sees the end of the stream after the last byte, or a reset
//! where bytes were left unread), reset, or cut: then nothing arrives any more and nobody is told, until an end that waits
//! for an acknowledgement gives up.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::world::{Core, DriverId, Due};
use crate::buf::Buf;
use crate::driver::{ACCEPT_PAUSE, Event, Nanos, Socket, Token, cancelled, early_end, no_such_socket};
use crate::net::ran_out;
use crate::sendlist::SendList;

/// The first port given to who asks for any.
const FIRST_PORT: u16 = 40_000;

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// What arrives at an end, or at a listener.
pub(super) enum Arrival {
    /// Somebody who connects: the end that it will be given.
    Call { listener: u64, end: u64, token: Token },
    /// Bytes.
    Segment { end: u64, bytes: Vec<u8> },
    /// The stream ends: well, or with this errno.
    Hangup { end: u64, errno: Option<i32> },
    /// A listener that could not accept tries again.
    Retry { listener: u64 },
}

/// What an end receives into.
enum Input {
    Any(Token),
    Exact { buf: Buf, target_len: usize, token: Token },
}

/// One side of a connection.
struct End {
    owner: DriverId,
    peer: u64,
    inbound: VecDeque<u8>,
    /// Bytes on their way here.
    on_the_way: usize,
    window_bytes: usize,
    /// Bytes that came here, and bytes from here that came to the peer.
    moved_bytes: u64,
    /// How the stream towards here ended; `Some(None)` is the plain end.
    hung_up: Option<Option<i32>>,
    input: Option<Input>,
    output: Option<SendList>,
    wants_writable: Option<Token>,
    last_arrival: Nanos,
    is_cut: bool,
}

impl End {
    /// One side of a connection through which nothing went yet.
    fn new(owner: DriverId, peer: u64, window_bytes: usize, now: Nanos) -> Self {
        Self {
            owner,
            peer,
            inbound: VecDeque::new(),
            on_the_way: 0,
            window_bytes,
            moved_bytes: 0,
            hung_up: None,
            input: None,
            output: None,
            wants_writable: None,
            last_arrival: now,
            is_cut: false,
        }
    }
}

struct Port {
    owner: DriverId,
    address: SocketAddr,
    accepting: Option<Token>,
    /// Ends that wait to be accepted, each with its caller's token.
    backlog: VecDeque<(u64, Token)>,
    rests: bool,
}

/// All listeners and connections.
#[derive(Default)]
pub(super) struct Network {
    ports: BTreeMap<u64, Port>,
    ends: BTreeMap<u64, End>,
    made: u64,
}

impl Network {
    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(super) fn open_ends(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn listen(&mut self, owner: DriverId, mut address: SocketAddr) -> io::Result<u64> {
        let number = self.number();
        if address.port() == 0 {
            address.set_port(FIRST_PORT + number as u16);
        }
        if self.ports.values().any(|port| port.address.port() == address.port()) {
            return Err(error(libc::EADDRINUSE));
        }
        let port = Port { owner, address, accepting: None, backlog: VecDeque::new(), rests: false };
        self.ports.insert(number, port);
        Ok(number)
    }

    pub(super) fn local_address(&self, listener: u64) -> io::Result<SocketAddr> {
        self.ports.get(&listener).map(|port| port.address).ok_or_else(no_such_socket)
    }

    fn ports_of(&self, owner: DriverId) -> Vec<u64> {
        self.ports.iter().filter(|(_, port)| port.owner == owner).map(|(number, _)| *number).collect()
    }

    /// See [`crate::Driver::moved_bytes`].
    pub(super) fn moved_bytes(&self, end: u64) -> io::Result<u64> {
        self.ends.get(&end).map(|end| end.moved_bytes).ok_or_else(|| error(libc::ENOTCONN))
    }

    /// Whether an end is open and nothing has happened to its connection.
    pub(super) fn is_whole(&self, end: u64) -> bool {
        let is_well = |end: &End| !end.is_cut && end.hung_up.is_none();
        let peer = |end: &End| self.ends.get(&end.peer).is_some_and(is_well);
        self.ends.get(&end).is_some_and(|end| is_well(end) && peer(end))
    }

    /// Bytes that an end may send now. A peer that is gone takes any number.
    pub(super) fn room(&self, end: u64) -> io::Result<usize> {
        let sender = self.ends.get(&end).ok_or_else(no_such_socket)?;
        if let Some(errno) = sender.hung_up.flatten() {
            return Err(error(errno));
        }
        let Some(peer) = self.ends.get(&sender.peer) else { return Ok(sender.window_bytes) };
        Ok(peer.window_bytes.saturating_sub(peer.on_the_way + peer.inbound.len()))
    }

    fn ends_of(&self, owner: DriverId) -> Vec<u64> {
        self.ends.iter().filter(|(_, end)| end.owner == owner).map(|(number, _)| *number).collect()
    }
}

impl Core {
    // --- connections begin -------------------------------------------------------------------------------------------

    fn network_delay(&mut self) -> u64 {
        self.dice.within(&self.weather.network_ns)
    }

    pub(super) fn connect(&mut self, owner: DriverId, address: SocketAddr, token: Token, now: Nanos) {
        let delay = self.network_delay();
        let port = self.network.ports.iter().find(|(_, port)| port.address.port() == address.port());
        let Some((listener, _)) = port.map(|(number, port)| (*number, port.owner)) else {
            return self.tell(owner, Event::Connected { token, result: Err(error(libc::ECONNREFUSED)) });
        };
        let (ours, theirs) = (self.network.number(), self.network.number());
        let window_bytes = self.weather.window_bytes;
        self.network.ends.insert(ours, End::new(owner, theirs, window_bytes, now));
        self.plan(Nanos(now.0 + delay), Due::Network(Arrival::Call { listener, end: ours, token }));
    }

    /// Somebody who connects has come to the listener.
    fn called(&mut self, listener: u64, caller: u64, token: Token, now: Nanos) {
        let Some(port) = self.network.ports.get_mut(&listener) else {
            let Some(end) = self.network.ends.remove(&caller) else { return };
            return self.tell(end.owner, Event::Connected { token, result: Err(error(libc::ECONNREFUSED)) });
        };
        port.backlog.push_back((caller, token));
        self.take_calls(listener, now);
    }

    pub(super) fn accept(&mut self, listener: u64, token: Token, now: Nanos) {
        if let Some(port) = self.network.ports.get_mut(&listener) {
            port.accepting = Some(token);
            self.take_calls(listener, now);
        }
    }

    /// Stops listening. Who waits to be accepted is refused.
    pub(super) fn close_listener(&mut self, listener: u64) {
        let Some(port) = self.network.ports.remove(&listener) else { return };
        for (caller, token) in port.backlog {
            let Some(end) = self.network.ends.remove(&caller) else { continue };
            self.tell(end.owner, Event::Connected { token, result: Err(error(libc::ECONNREFUSED)) });
        }
    }

    pub(super) fn close_listeners_of(&mut self, owner: DriverId) {
        for listener in self.network.ports_of(owner) {
            self.close_listener(listener);
        }
    }

    fn take_calls(&mut self, listener: u64, now: Nanos) {
        let is_out = self.weather.out_of_descriptors;
        while let Some(port) = self.network.ports.get_mut(&listener) {
            let Some(accepting) = port.accepting.filter(|_| !port.rests && !port.backlog.is_empty()) else { return };
            let owner = port.owner;
            if is_out {
                port.rests = true;
                let pause_ns = ACCEPT_PAUSE.as_nanos() as u64;
                self.plan(Nanos(now.0 + pause_ns), Due::Network(Arrival::Retry { listener }));
                let result = Err(ran_out(error(libc::EMFILE)));
                return self.tell(owner, Event::Accepted { token: accepting, result });
            }
            let Some((caller, token)) = port.backlog.pop_front() else { return };
            // A caller that has died meanwhile is not there to be accepted.
            let Some(calling) = self.network.ends.get(&caller) else { continue };
            let (number, calling_owner) = (calling.peer, calling.owner);
            let end = End { is_cut: calling.is_cut, ..End::new(owner, caller, calling.window_bytes, now) };
            self.network.ends.insert(number, end);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000 + (caller % 10_000) as u16));
            self.tell(owner, Event::Accepted { token: accepting, result: Ok((Socket(number), address)) });
            self.tell(calling_owner, Event::Connected { token, result: Ok(Socket(caller)) });
        }
    }

    // --- receiving ---------------------------------------------------------------------------------------------------

    pub(super) fn receive(&mut self, owner: DriverId, end: u64, token: Token, now: Nanos) {
        match self.network.ends.get_mut(&end) {
            None => self.tell(owner, Event::Received { token, result: Err(no_such_socket()) }),
            Some(found) => {
                found.input = Some(Input::Any(token));
                self.progress_input(end, now);
            }
        }
    }

    pub(super) fn receive_exact(&mut self, owner: DriverId, end: u64, into: (Buf, usize, Token), now: Nanos) {
        let (buf, target_len, token) = into;
        match self.network.ends.get_mut(&end) {
            None => self.tell(owner, Event::Filled { token, result: Err(no_such_socket()) }),
            Some(found) => {
                found.input = Some(Input::Exact { buf, target_len, token });
                self.progress_input(end, now);
            }
        }
    }

    /// Buffers may have come back: who waits for one gets it.
    pub(super) fn feed_starved(&mut self, owner: DriverId, now: Nanos) {
        for end in std::mem::take(&mut self.seats[owner.0].starved) {
            self.progress_input(end, now);
        }
    }

    fn progress_input(&mut self, number: u64, now: Nanos) {
        let Some(end) = self.network.ends.get_mut(&number) else { return };
        let owner = end.owner;
        if end.inbound.is_empty() && end.hung_up.is_none() {
            return;
        }
        let (event, freed) = match end.input.take() {
            None => return,
            Some(Input::Any(token)) => {
                let seat = &mut self.seats[owner.0];
                let Some(mut buf) = seat.pool.take() else {
                    end.input = Some(Input::Any(token));
                    return seat.starved.push(number);
                };
                let room = buf.vec().capacity();
                let got = drain(&mut end.inbound, buf.vec(), room);
                seat.counters.received_bytes += got as u64;
                let result = match end.hung_up.flatten() {
                    Some(errno) if got == 0 => Err(error(errno)),
                    _ => Ok(buf),
                };
                (Event::Received { token, result }, got)
            }
            Some(Input::Exact { mut buf, target_len, token }) => {
                let missing = target_len.saturating_sub(buf.len());
                let got = drain(&mut end.inbound, buf.vec(), missing);
                self.seats[owner.0].counters.received_bytes += got as u64;
                if got < missing && end.hung_up.is_none() {
                    end.input = Some(Input::Exact { buf, target_len, token });
                    return self.progress_output_of_peer(number, now);
                }
                let result = match end.hung_up.flatten() {
                    _ if got == missing => Ok(buf),
                    Some(errno) => Err(error(errno)),
                    None => Err(early_end(buf.len(), target_len)),
                };
                (Event::Filled { token, result }, got)
            }
        };
        self.tell(owner, event);
        if freed > 0 {
            self.progress_output_of_peer(number, now);
        }
    }

    // --- sending -----------------------------------------------------------------------------------------------------

    pub(super) fn send(&mut self, owner: DriverId, end: u64, list: SendList, now: Nanos) {
        match self.network.ends.get_mut(&end) {
            None => self.tell(owner, Event::Sent { token: list.token, result: Err(no_such_socket()) }),
            Some(found) => {
                found.output = Some(list);
                self.progress_output(end, now);
            }
        }
    }

    pub(super) fn writable(&mut self, owner: DriverId, end: u64, token: Token, now: Nanos) {
        match self.network.ends.get_mut(&end) {
            None => self.tell(owner, Event::Writable { token, result: Err(no_such_socket()) }),
            Some(found) => {
                found.wants_writable = Some(token);
                self.progress_output(end, now);
            }
        }
    }

    fn progress_output_of_peer(&mut self, number: u64, now: Nanos) {
        if let Some(peer) = self.network.ends.get(&number).map(|end| end.peer) {
            self.progress_output(peer, now);
        }
    }

    /// Gives the network what there is room for.
    fn progress_output(&mut self, number: u64, now: Nanos) {
        loop {
            let room = self.network.room(number);
            let Some(end) = self.network.ends.get_mut(&number) else { return };
            let owner = end.owner;
            let failed = room.as_ref().err().map(|_| end.hung_up.flatten().unwrap_or(libc::EPIPE));
            if failed.is_some() || room.as_ref().is_ok_and(|room| *room > 0) {
                let result = failed.map_or(Ok(()), |errno| Err(error(errno)));
                if let Some(token) = end.wants_writable.take() {
                    self.tell(owner, Event::Writable { token, result });
                }
            }
            let Some(end) = self.network.ends.get_mut(&number) else { return };
            let Some(mut list) = end.output.take() else { return };
            if let Some(errno) = failed {
                return self.tell(owner, Event::Sent { token: list.token, result: Err(error(errno)) });
            }
            if list.is_done() {
                let sent = list.total_bytes();
                self.seats[owner.0].counters.sent_bytes += sent as u64;
                return self.tell(owner, Event::Sent { token: list.token, result: Ok(sent) });
            }
            let room = room.unwrap_or(0);
            if room == 0 {
                end.output = Some(list);
                return;
            }
            let segment = list.take(room);
            end.output = Some(list);
            self.transmit(number, segment, now);
        }
    }

    /// Puts bytes on their way, in pieces.
    pub(super) fn transmit(&mut self, from: u64, mut bytes: Vec<u8>, now: Nanos) {
        let Some(sender) = self.network.ends.get(&from) else { return };
        let (to, is_cut) = (sender.peer, sender.is_cut);
        if is_cut {
            let at = Nanos(now.0 + self.weather.give_up_ns);
            self.plan(at, Due::Network(Arrival::Hangup { end: from, errno: Some(libc::ETIMEDOUT) }));
        }
        while !bytes.is_empty() {
            let size = self.dice.within(&self.weather.segment_bytes).max(1) as usize;
            let rest = if size < bytes.len() { bytes.split_off(size) } else { Vec::new() };
            let segment = std::mem::replace(&mut bytes, rest);
            let delay = self.network_delay();
            // The other side is gone: the bytes are lost.
            let Some(end) = self.network.ends.get_mut(&to) else { return };
            end.on_the_way += segment.len();
            if is_cut {
                continue;
            }
            end.last_arrival = end.last_arrival.max(Nanos(now.0 + delay));
            let at = end.last_arrival;
            self.plan(at, Due::Network(Arrival::Segment { end: to, bytes: segment }));
        }
    }

    // --- what arrives ------------------------------------------------------------------------------------------------

    pub(super) fn arrive(&mut self, arrival: Arrival, now: Nanos) {
        match arrival {
            Arrival::Call { listener, end, token } => self.called(listener, end, token, now),
            Arrival::Retry { listener } => {
                if let Some(port) = self.network.ports.get_mut(&listener) {
                    port.rests = false;
                }
                self.take_calls(listener, now);
            }
            Arrival::Segment { end: number, bytes } => {
                let Some(end) = self.network.ends.get_mut(&number) else { return };
                if end.is_cut {
                    return;
                }
                end.on_the_way -= bytes.len();
                let (peer, len) = (end.peer, bytes.len() as u64);
                end.moved_bytes += len;
                end.inbound.extend(bytes);
                if let Some(peer) = self.network.ends.get_mut(&peer) {
                    peer.moved_bytes += len;
                }
                self.progress_input(number, now);
            }
            Arrival::Hangup { end: number, errno } => {
                let Some(end) = self.network.ends.get_mut(&number) else { return };
                if end.is_cut && errno != Some(libc::ETIMEDOUT) {
                    return;
                }
                end.hung_up.get_or_insert(errno);
                self.progress_input(number, now);
                self.progress_output(number, now);
            }
        }
    }

    // --- connections end ---------------------------------------------------------------------------------------------

    /// Closes an end: what it waits for ends, its peer sees the end of the stream after what is on the way.
    pub(super) fn close(&mut self, number: u64, now: Nanos) {
        let Some(end) = self.network.ends.remove(&number) else { return };
        let errno = (!end.inbound.is_empty()).then_some(libc::ECONNRESET);
        if let Some(token) = end.wants_writable {
            self.tell(end.owner, Event::Writable { token, result: Err(cancelled()) });
        }
        if let Some(list) = end.output {
            self.tell(end.owner, Event::Sent { token: list.token, result: Err(cancelled()) });
        }
        match end.input {
            Some(Input::Any(token)) => self.tell(end.owner, Event::Received { token, result: Err(cancelled()) }),
            Some(Input::Exact { token, .. }) => {
                self.tell(end.owner, Event::Filled { token, result: Err(cancelled()) });
            }
            None => {}
        }
        self.hang_up(end.peer, errno, now);
    }

    fn hang_up(&mut self, number: u64, errno: Option<i32>, now: Nanos) {
        let delay = self.network_delay();
        let Some(end) = self.network.ends.get_mut(&number) else { return };
        end.last_arrival = end.last_arrival.max(Nanos(now.0 + delay));
        let at = end.last_arrival;
        self.plan(at, Due::Network(Arrival::Hangup { end: number, errno }));
    }

    /// The kernel closes what a thread that ended had open.
    pub(super) fn close_all(&mut self, owner: DriverId, now: Nanos) {
        for number in self.network.ends_of(owner) {
            self.close(number, now);
        }
    }

    /// Cuts every connection of a driver, without a word to anybody.
    pub(super) fn cut_all(&mut self, owner: DriverId, now: Nanos) {
        for number in self.network.ends_of(owner) {
            self.cut(number, now);
        }
    }

    fn cut(&mut self, number: u64, now: Nanos) {
        let Some(peer) = self.network.ends.get(&number).map(|end| end.peer) else { return };
        for side in [number, peer] {
            let Some(end) = self.network.ends.get_mut(&side) else { continue };
            end.is_cut = true;
            // Who waits for an acknowledgement of what it sent gives up one day.
            if self.network.ends.get(&side).is_some_and(|end| end.output.is_some()) {
                let at = Nanos(now.0 + self.weather.give_up_ns);
                self.plan(at, Due::Network(Arrival::Hangup { end: side, errno: Some(libc::ETIMEDOUT) }));
            }
        }
    }

    /// Breaks a connection that the dice choose.
    pub(super) fn break_one(&mut self, silently: bool, now: Nanos) -> bool {
        let whole = |end: &End| !end.is_cut && end.hung_up.is_none();
        let able: Vec<u64> =
            self.network.ends.iter().filter(|(_, end)| whole(end)).map(|(number, _)| *number).collect();
        if able.is_empty() {
            return false;
        }
        let number = able[self.dice.below(able.len())];
        if silently {
            self.cut(number, now);
        } else {
            let peer = self.network.ends.get(&number).map(|end| end.peer);
            for side in [Some(number), peer].into_iter().flatten() {
                self.arrive(Arrival::Hangup { end: side, errno: Some(libc::ECONNRESET) }, now);
            }
        }
        true
    }
}

/// Moves at most `len_max` bytes.
fn drain(from: &mut VecDeque<u8>, into: &mut Vec<u8>, len_max: usize) -> usize {
    let len = from.len().min(len_max);
    let (front, back) = from.as_slices();
    let head = len.min(front.len());
    into.extend_from_slice(&front[..head]);
    into.extend_from_slice(&back[..len - head]);
    from.drain(..len);
    len
}
