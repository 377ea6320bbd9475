//! What a service says to systemd (sd_notify(3)): a datagram to the socket that `NOTIFY_SOCKET` names.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Clients are served.
pub const READY: &str = "READY=1";
/// The service stops.
pub const STOPPING: &str = "STOPPING=1";

/// Tells who started this process, where that is to be told. False: nobody asks for it.
pub fn notify(state: &str) -> io::Result<bool> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(socket) if !socket.is_empty() => tell(&socket, state).map(|()| true),
        _ => Ok(false),
    }
}

/// A name that begins with @ is one of the abstract name space (unix(7)).
fn tell(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_arrives_at_a_path_and_at_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("ringlog-notify-{}", std::process::id()));
        let listener = UnixDatagram::bind(&path).expect("a socket");
        tell(path.as_os_str(), READY).expect("told");
        let mut heard = [0; 64];
        let len = listener.recv(&mut heard).expect("heard");
        assert_eq!(&heard[..len], READY.as_bytes());
        std::fs::remove_file(&path).expect("removed");
        assert!(tell(path.as_os_str(), READY).is_err());

        let name = format!("ringlog-notify-{}", std::process::id());
        let listener =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a socket");
        tell(OsStr::new(&format!("@{name}")), STOPPING).expect("told");
        let len = listener.recv(&mut heard).expect("heard");
        assert_eq!(&heard[..len], STOPPING.as_bytes());
    }
}
