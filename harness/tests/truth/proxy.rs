//! The proxy: stands between a Kafka client and a broker, behaves in a known way, and keeps a record of what it did. It listens
//! as long as its broker lives, and behaves in turn as each case wants.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::behaviour::Behaviour;
use crate::checks::report::{Fault, failed};
use crate::pumps::{self, locked};
use crate::record::{Record, Shared};

/// A port that behaves as it was told last.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    listener: TcpListener,
    now: Arc<Mutex<Arc<Shared>>>,
}

impl Proxy {
    /// Listens, and serves nobody yet.
    pub(crate) fn listen() -> Result<Self, Fault> {
        let bound = TcpListener::bind("127.0.0.1:0").and_then(|it| Ok((it.local_addr()?.port(), it)));
        let (port, listener) = bound.map_err(|error| failed("the truth proxy does not listen")(&error))?;
        Ok(Self { port, listener, now: Arc::new(Mutex::new(Arc::new(Shared::new(Behaviour::default())))) })
    }

    /// Serves, in front of a broker on that port.
    pub(crate) fn serve(&self, broker: u16) -> Result<(), Fault> {
        let listener = self.listener.try_clone().map_err(|error| failed("the truth proxy's listener")(&error))?;
        let now = Arc::clone(&self.now);
        std::thread::spawn(move || accept(&listener, broker, &now));
        Ok(())
    }

    /// Connections from here on meet this behaviour, and go into a record of their own.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *locked(&self.now) = Arc::new(Shared::new(behaviour));
    }

    /// The record since then. The tool has ended, and with it its connections.
    pub(crate) fn record(&self) -> Result<Record, Fault> {
        locked(&self.now).record()
    }
}

/// A connection to the broker for each of a client's; a broker that is away ends the client's.
fn accept(listener: &TcpListener, broker: u16, now: &Mutex<Arc<Shared>>) {
    for (number, client) in listener.incoming().enumerate() {
        let shared = Arc::clone(&locked(now));
        let served = client.and_then(|client| {
            let broker = TcpStream::connect(("127.0.0.1", broker))?;
            pumps::serve(number, client, broker, &shared)
        });
        if let Err(error) = served {
            shared.complain(format!("connection {number}: {error}"));
        }
    }
}
