//! What a turn asks of the kernel, as values: a shard decides, the loop around it ([`crate::event_loop`]) does.
//!
//! ```text
//!   Came (events, answers) --> Shard::turn --> Submissions --> Driver
//! ```
//! Every submission that has a token is answered by exactly one event with that token; a `Close` has none, and ends what
//! is under way on its socket.

use std::io;

use ringlog_io::{Buf, Cache, Driver, Event, File, Job, Nanos, Slice, Socket, Token};

/// One thing to be asked of the kernel.
#[derive(Debug)]
pub(crate) enum Submission {
    /// Receive what comes: [`Event::Received`].
    Receive { socket: Socket, token: Token },
    /// Receive until `buf` holds `target_len` bytes: [`Event::Filled`].
    ReceiveExact { socket: Socket, buf: Buf, target_len: usize, token: Token },
    /// Send all of it: [`Sent`] where the socket takes it at once, else [`Event::Sent`].
    Send { socket: Socket, parts: Vec<Slice>, token: Token },
    /// Send by reference what the socket takes now of a range that is in the page cache: [`FileSent`].
    SendFile { socket: Socket, file: File, offset: u64, len: usize, token: Token },
    /// Say when the socket takes bytes again: [`Event::Writable`].
    AwaitRoom { socket: Socket, token: Token },
    /// Read a range that is not in the page cache, and leave it out of there: [`Event::Read`].
    ReadCold { file: File, offset: u64, len: usize, token: Token },
    /// fdatasync: [`Event::Synced`].
    Sync { file: File, token: Token },
    /// Have a range written to the disk: [`Event::JobDone`].
    WriteBack { file: File, offset: u64, len: u64, token: Token },
    /// Do a job beside the thread: [`Event::JobDone`].
    Run { job: Job, token: Token },
    /// Say how many bytes went through a connection so far: [`Moved`].
    CountMoved { socket: Socket, token: Token },
    /// Close a connection.
    Close { socket: Socket },
}

/// What a turn asks for, in order.
pub(crate) type Submissions = Vec<Submission>;

/// All of a [`Submission::Send`] is with the socket.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) token: Token,
    pub(crate) bytes: usize,
    pub(crate) at: Nanos,
}

/// The answer to [`Submission::SendFile`]: it is known at once.
#[derive(Debug)]
pub(crate) struct FileSent {
    pub(crate) token: Token,
    /// How many bytes the socket took; `WouldBlock` where it takes none.
    pub(crate) result: io::Result<usize>,
}

/// The answer to [`Submission::CountMoved`].
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) token: Token,
    pub(crate) result: io::Result<u64>,
}

/// What came in since the last turn.
#[derive(Debug, Default)]
pub(crate) struct Came {
    pub(crate) events: Vec<Event>,
    /// A turn is due for these only where somebody waits for them: see [`crate::front::Front::awaits`].
    pub(crate) sent: Vec<Sent>,
    pub(crate) files_sent: Vec<FileSent>,
    pub(crate) moved: Vec<Moved>,
}

impl Came {
    /// Whether the driver answered something at once: a turn is due without a wait.
    pub(crate) fn has_answers(&self) -> bool {
        !self.files_sent.is_empty() || !self.moved.is_empty()
    }
}

impl Submission {
    /// Asks the driver. What it answers at once is put into `came`, for the next turn.
    pub(crate) fn submit(self, driver: &mut dyn Driver, came: &mut Came) {
        match self {
            Self::Receive { socket, token } => driver.recv(socket, token),
            Self::ReceiveExact { socket, buf, target_len, token } => driver.recv_exact(socket, buf, target_len, token),
            Self::Send { socket, parts, token } => {
                if let Some(bytes) = driver.send_now(socket, parts, token) {
                    came.sent.push(Sent { token, bytes, at: driver.now() });
                }
            }
            Self::SendFile { socket, file, offset, len, token } => {
                let result = driver.send_file(socket, &file, offset, len);
                came.files_sent.push(FileSent { token, result });
            }
            Self::AwaitRoom { socket, token } => driver.writable(socket, token),
            Self::ReadCold { file, offset, len, token } => driver.read_file(&file, offset, len, Cache::Drop, token),
            Self::Sync { file, token } => driver.sync(&file, token),
            Self::WriteBack { file, offset, len, token } => {
                #[cfg(feature = "plant")]
                if ringlog_io::plant::is(ringlog_io::plant::WRITEBACK_INLINE) {
                    // A disk that fails is told of by the write-back itself.
                    let _ = driver.files().sync(&file);
                }
                driver.write_back(&file, offset, len, token);
            }
            Self::Run { job, token } => driver.run(job, token),
            Self::CountMoved { socket, token } => {
                came.moved.push(Moved { token, result: driver.moved_bytes(socket) });
            }
            Self::Close { socket } => driver.close(socket),
        }
    }
}
