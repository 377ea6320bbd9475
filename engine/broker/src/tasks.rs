//! Straight-line background work of a shard: async functions on one small executor, polled in the shard's turn.
//!
//! ```text
//!   start(about, |hand| async { .. }) --> waiting --(TASKS_RUNNING)--> running --> its end, or stop(about)
//!
//!   a turn: who is due is polled until it asks for something that takes time
//!     hand.on(|broker| ..)   the shard's state, at once
//!     hand.read(..)          a range of a file: Submission::ReadCold, its answer is due in the turn that it comes in
//!     hand.run(job)          a job beside the thread: Submission::Run
//!     hand.turn(), sleep_ms  a later turn
//! ```
//! Invariants:
//! - A task holds nothing of the shard while it waits: what it wants of it is a closure that ends before the next await, so
//!   that each step looks at the state as it is then.
//! - About one thing there is one task. A task that is stopped is dropped where it stands, and what it had asked for is
//!   nobody's when it comes.
//! - Of a turn each task gets one slice, and of a slice [`STEPS_MAX`] steps. What a slice takes is its author's care: after
//!   some hundred kilobytes of work comes `hand.turn().await`.
//! - Same events, same order: who is due is polled by time, then by number. No waker is needed: a task waits for what its hand
//!   asked for, and for nothing else.
//!
//! When something is a task and when a value: `docs/decisions/tasks.md`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ringlog_io::{Buf, File, Job, Nanos};

use crate::broker::Broker;
use crate::jobs::Purpose;
use crate::limits::TASKS_RUNNING;
use crate::timers::Timer;

/// Steps of one slice that ask for the shard's state, before the others of the turn have theirs.
const STEPS_MAX: usize = 64;

/// What a task is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// The groups of this partition of the offsets topic are loaded.
    LoadOffsets(i32),
    /// The transactional ids of this partition of the transactions topic are loaded.
    LoadTransactions(i32),
    /// Logs are cleaned.
    CleanLogs,
}

type Body = Pin<Box<dyn Future<Output = ()>>>;
type Act = Box<dyn FnOnce(&mut Broker)>;

/// What a task wants next.
enum Ask {
    On(Act),
    Read { file: File, offset: u64, len: usize },
    Run(Job),
    Sleep { ns: u64 },
}

/// What came of it.
pub(crate) enum Answer {
    /// A read ended.
    Read(io::Result<Buf>),
    /// A job ended.
    Ran(io::Result<Option<File>>),
    /// Its time has come.
    Awake,
}

/// What lies between a task and the executor.
#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Asked(Ask),
    Answered(Answer),
}

/// A task's way to the shard that it works for.
#[derive(Clone, Default)]
pub(crate) struct Hand(Rc<RefCell<Slot>>);

impl Hand {
    /// Does something with the shard's state, and gives what came of it.
    pub(crate) async fn on<T: 'static>(&self, act: impl FnOnce(&mut Broker) -> T + 'static) -> T {
        let result = Rc::new(Cell::new(None));
        let there = Rc::clone(&result);
        self.0.replace(Slot::Asked(Ask::On(Box::new(move |broker| there.set(Some(act(broker)))))));
        poll_fn(|_| result.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Reads a range of a file beside the thread. Shorter than asked for only at the file's end.
    pub(crate) async fn read(&self, file: File, offset: u64, len: usize) -> io::Result<Buf> {
        match self.ask(Ask::Read { file, offset, len }).await {
            Answer::Read(result) => result,
            Answer::Ran(_) | Answer::Awake => Err(io::Error::other("a read was answered by something else")),
        }
    }

    /// Does a job beside the thread.
    pub(crate) async fn run(&self, job: Job) -> io::Result<Option<File>> {
        match self.ask(Ask::Run(job)).await {
            Answer::Ran(result) => result,
            Answer::Read(_) | Answer::Awake => Err(io::Error::other("a job was answered by something else")),
        }
    }

    /// Lets everybody else have a turn.
    pub(crate) async fn turn(&self) {
        self.ask(Ask::Sleep { ns: 1 }).await;
    }

    /// Goes on so much later.
    pub(crate) async fn sleep_ms(&self, ms: u64) {
        self.ask(Ask::Sleep { ns: ms * 1_000_000 }).await;
    }

    async fn ask(&self, ask: Ask) -> Answer {
        self.0.replace(Slot::Asked(ask));
        poll_fn(|_| match self.0.take() {
            Slot::Answered(answer) => Poll::Ready(answer),
            other => {
                self.0.replace(other);
                Poll::Pending
            }
        })
        .await
    }

    fn take_asked(&self) -> Option<Ask> {
        match self.0.take() {
            Slot::Asked(ask) => Some(ask),
            Slot::Empty | Slot::Answered(_) => None,
        }
    }
}

struct Task {
    about: About,
    hand: Hand,
    /// Taken out while it is polled.
    body: Option<Body>,
}

/// The tasks of a shard.
#[derive(Default)]
pub(crate) struct Tasks {
    running: BTreeMap<u32, Task>,
    waiting: VecDeque<Task>,
    next: u32,
    /// Who is polled when.
    due: BTreeSet<(Nanos, u32)>,
}

impl Tasks {
    /// How many there are, waiting ones included.
    pub(crate) fn len(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// How many are running.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether there is a task about this.
    pub(crate) fn is_about(&self, about: About) -> bool {
        self.running.values().chain(&self.waiting).any(|task| task.about == about)
    }

    fn fill_up(&mut self, now: Nanos) {
        while self.running.len() < TASKS_RUNNING
            && let Some(task) = self.waiting.pop_front()
        {
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            self.running.insert(number, task);
            self.due.insert((now, number));
        }
    }

    fn take_due(&mut self, now: Nanos) -> Vec<u32> {
        let later = self.due.split_off(&(Nanos(now.0 + 1), 0));
        std::mem::replace(&mut self.due, later).into_iter().map(|(_, number)| number).collect()
    }

    fn answered(&mut self, number: u32, answer: Answer, now: Nanos) {
        if let Some(task) = self.running.get(&number) {
            task.hand.0.replace(Slot::Answered(answer));
            self.due.insert((now, number));
        }
    }
}

/// Starts a task, where there is none about this.
pub(crate) fn start<F>(broker: &mut Broker, about: About, task: impl FnOnce(Hand) -> F)
where
    F: Future<Output = ()> + 'static,
{
    if broker.tasks.is_about(about) {
        return;
    }
    let hand = Hand::default();
    let body = Some(Box::pin(task(hand.clone())) as Body);
    broker.tasks.waiting.push_back(Task { about, hand, body });
    carry_on(broker);
}

/// Drops the task about this, wherever it stands.
pub(crate) fn stop(broker: &mut Broker, about: About) {
    let tasks = &mut broker.tasks;
    tasks.waiting.retain(|task| task.about != about);
    tasks.running.retain(|_, task| task.about != about);
    tasks.due.retain(|(_, number)| tasks.running.contains_key(number));
    carry_on(broker);
}

/// What a task had asked for is there.
pub(crate) fn answered(broker: &mut Broker, number: u32, answer: Answer) {
    broker.tasks.answered(number, answer, broker.now);
    carry_on(broker);
}

/// The time of [`Timer::Tasks`] has come: a slice for each that is due.
pub(crate) fn work(broker: &mut Broker) {
    for number in broker.tasks.take_due(broker.now) {
        slice(broker, number);
    }
    carry_on(broker);
}

/// Lets who waits run where there is room, and sets the timer.
fn carry_on(broker: &mut Broker) {
    broker.tasks.fill_up(broker.now);
    let first = broker.tasks.due.first().map(|(at, _)| *at);
    broker.timers.set(Timer::Tasks, first);
}

fn slice(broker: &mut Broker, number: u32) {
    for _ in 0..STEPS_MAX {
        let Some(task) = broker.tasks.running.get_mut(&number) else { return };
        let hand = task.hand.clone();
        let Some(mut body) = task.body.take() else { return };
        if body.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            broker.tasks.running.remove(&number);
            return;
        }
        task.body = Some(body);
        match hand.take_asked() {
            // It may stop this very task.
            Some(Ask::On(act)) => act(broker),
            Some(Ask::Read { file, offset, len }) => return broker.jobs.read(number, file, offset, len),
            Some(Ask::Run(job)) => return broker.jobs.run(Purpose::Task(number), job),
            Some(Ask::Sleep { ns }) => {
                hand.0.replace(Slot::Answered(Answer::Awake));
                broker.tasks.due.insert((Nanos(broker.now.0.saturating_add(ns)), number));
                return;
            }
            None => {
                let about = task.about;
                tracing::error!(?about, "a task waits for what nobody brings: it is dropped");
                broker.tasks.running.remove(&number);
                return;
            }
        }
    }
    // It has had its share: the next turn.
    broker.tasks.due.insert((Nanos(broker.now.0 + 1), number));
}
