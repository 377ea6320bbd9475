//! Threads between a client's socket and the broker's: one that asks, one that reads answers, one that sends them when
//! they are due.
//!
//! ```text
//!   client --> requests() --noted in Pending--> broker
//!   client <-- answers_out(): sleeps until due <--channel-- answers_in(): stamps, plans, spoils <-- broker
//! ```
//!
//! A connection ends as a whole: whoever meets its end shuts both sockets down, and the others meet it too.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringlog_wire::ApiKey;

use crate::behaviour::{Bucket, Plan, due_ns};
use crate::message::{self, Asked, Part};
use crate::record::{Entry, Shared};

/// Frames above this are no Kafka frames.
const FRAME_MAX: usize = 128 << 20;
/// A limited direction moves pieces of this size.
const PIECE: usize = 4096;

/// Both sockets of a connection.
#[derive(Debug)]
struct Ends {
    client: TcpStream,
    broker: TcpStream,
}

impl Ends {
    fn close(&self) {
        // Already closed is what was wanted.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }
}

/// A request that is not answered yet, and when it was here in whole.
type Pending = Arc<Mutex<VecDeque<(Asked, u64)>>>;

/// An answer on its way out.
struct Answer {
    frame: Vec<u8>,
    entry: Entry,
}

/// Serves a connection: threads of their own, which end with it.
pub(crate) fn serve(number: usize, client: TcpStream, broker: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let ends = Arc::new(Ends { client, broker });
    let pending = Pending::default();
    let (answers, leaving) = channel();
    let run = |job: Box<dyn FnOnce() -> Result<(), String> + Send>| {
        let (ends, shared) = (Arc::clone(&ends), Arc::clone(shared));
        std::thread::spawn(move || {
            if let Err(error) = job() {
                shared.complain(format!("connection {number}: {error}"));
            }
            ends.close();
        });
    };
    let (e, s, p) = (Arc::clone(&ends), Arc::clone(shared), Arc::clone(&pending));
    run(Box::new(move || requests(&e, &s, &p)));
    let (e, s) = (Arc::clone(&ends), Arc::clone(shared));
    run(Box::new(move || answers_in(&e, &s, &pending, &answers)));
    let (e, s) = (Arc::clone(&ends), Arc::clone(shared));
    run(Box::new(move || answers_out(&e, &s, &leaving)));
    Ok(())
}

fn requests(ends: &Ends, shared: &Shared, pending: &Pending) -> Result<(), String> {
    while let Some(frame) = read_frame(&ends.client, shared.to_broker.as_ref(), shared) {
        let asked = message::asked(&frame)?;
        let now = shared.now_ns();
        if asked.is_data() {
            shared.note_first(now);
        }
        if asked.is_answered {
            locked(pending).push_back((asked, now));
        }
        if send_frame(&ends.broker, &frame, None, shared).is_err() {
            break;
        }
    }
    Ok(())
}

fn answers_in(ends: &Ends, shared: &Shared, pending: &Pending, leaving: &Sender<Answer>) -> Result<(), String> {
    while let Some(mut frame) = read_frame(&ends.broker, None, shared) {
        let answered_ns = shared.now_ns();
        let correlation = frame.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes));
        let asked = locked(pending).pop_front();
        let Some((asked, in_ns)) = asked.filter(|(it, _)| Some(it.header.correlation_id) == correlation) else {
            return Err(format!("the broker answers {correlation:?} out of turn"));
        };
        let plan = if asked.is_data() { shared.plan(asked.is(ApiKey::Produce)) } else { Plan::default() };
        let parts = apply(&asked, plan, &mut frame)?;
        let entry = Entry::new(&asked, (in_ns, answered_ns), plan, parts);
        if leaving.send(Answer { frame, entry }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Turns the answer into an error where that is planned; says what the exchange carried.
fn apply(asked: &Asked, plan: Plan, frame: &mut Vec<u8>) -> Result<Vec<Part>, String> {
    let version = asked.header.api_version;
    if let Some(code) = plan.error {
        *frame = message::as_error(frame, version, code)?;
    }
    if asked.is(ApiKey::Fetch) { message::fetched(frame, version) } else { Ok(asked.parts.clone()) }
}

fn answers_out(ends: &Ends, shared: &Shared, leaving: &Receiver<Answer>) -> Result<(), String> {
    let mut previous = 0;
    while let Ok(Answer { frame, mut entry }) = leaving.recv() {
        previous = due_ns(entry.answered_ns, entry.late_ns, previous, shared.first_ns(), shared.stalls());
        shared.sleep_until(previous);
        let sent = send_frame(&ends.client, &frame, shared.to_client.as_ref(), shared).is_ok();
        entry.out_ns = sent.then(|| shared.now_ns());
        shared.keep(entry);
        if !sent {
            break;
        }
    }
    Ok(())
}

/// A frame without its length; `None` at the connection's end.
fn read_frame(mut from: &TcpStream, bucket: Option<&Mutex<Bucket>>, shared: &Shared) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= FRAME_MAX)?;
    let mut frame = vec![0; length];
    for piece in frame.chunks_mut(if bucket.is_some() { PIECE } else { FRAME_MAX }) {
        from.read_exact(piece).ok()?;
        limit(bucket, piece.len(), shared);
    }
    Some(frame)
}

fn send_frame(
    mut to: &TcpStream,
    frame: &[u8],
    bucket: Option<&Mutex<Bucket>>,
    shared: &Shared,
) -> std::io::Result<()> {
    let length = i32::try_from(frame.len()).unwrap_or(i32::MAX).to_be_bytes();
    let whole = [length.as_slice(), frame].concat();
    for piece in whole.chunks(if bucket.is_some() { PIECE } else { FRAME_MAX }) {
        limit(bucket, piece.len(), shared);
        to.write_all(piece)?;
    }
    Ok(())
}

fn limit(bucket: Option<&Mutex<Bucket>>, bytes: usize, shared: &Shared) {
    if let Some(bucket) = bucket {
        let free_ns = locked(bucket).take(bytes as u64, shared.now_ns());
        shared.sleep_until(free_ns);
    }
}

/// The lock, also after a thread died with it: its connection is over and the rest goes on.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How long to sleep from `now` until `until`.
pub(crate) fn pause(now_ns: u64, until_ns: u64) -> Option<Duration> {
    until_ns.checked_sub(now_ns).filter(|rest| *rest > 0).map(Duration::from_nanos)
}
