//! A network that is slow in a known way, between clients and a broker on this machine.
//!
//! ```text
//!   client --> Network --at most bytes_s--> broker
//!          <-- after answer_delay --------
//! ```
//!
//! It knows nothing of Kafka: bytes go on as they come, in their order. The broker must advertise its port.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::checks::report::{Fault, failed};

/// What is passed on at a time: small beside what a second takes, so that the rate is even.
const PIECE_BYTES: usize = 4096;

/// How slow it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slow {
    /// Bytes a second from all clients together.
    pub(crate) bytes_s: Option<f64>,
    /// How much later what the broker sends arrives.
    pub(crate) answer_delay: Duration,
}

/// One that is not connected yet: its port is known before the broker starts, which advertises it.
pub(crate) struct Network {
    listener: TcpListener,
    pub(crate) port: u16,
}

impl Network {
    pub(crate) fn new() -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| failed("a port for a network")(&error))?;
        let port = listener.local_addr().map_err(|error| failed("the port of a network")(&error))?.port();
        Ok(Self { listener, port })
    }

    /// Passes on what comes, for as long as this process lives.
    pub(crate) fn connect(self, broker: u16, slow: Slow) {
        // When the next byte may go.
        let free_at = Arc::new(Mutex::new(Instant::now()));
        std::thread::spawn(move || {
            for client in self.listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                let free_at = Arc::clone(&free_at);
                pass(&client, &server, move |bytes| std::thread::sleep(wait_of(&free_at, slow.bytes_s, bytes)));
                pass(&server, &client, move |_| std::thread::sleep(slow.answer_delay));
            }
        });
    }
}

/// How long so many bytes have to wait for those before them.
fn wait_of(free_at: &Mutex<Instant>, bytes_s: Option<f64>, bytes: usize) -> Duration {
    let Some(bytes_s) = bytes_s else { return Duration::ZERO };
    let mut free_at = free_at.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    *free_at = (*free_at).max(now) + Duration::from_secs_f64(bytes as f64 / bytes_s);
    free_at.duration_since(now)
}

/// One direction of a connection, on a thread of its own. Each piece waits before it goes on.
fn pass(from: &TcpStream, to: &TcpStream, wait: impl Fn(usize) + Send + 'static) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    // Small requests must not wait for one another beyond what is known.
    let _ = to.set_nodelay(true);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            wait(read);
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        // Whoever is at the other end hears that this one is gone; it may know already.
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}
