//! Sockets: addresses in the kernel's layout, options, and the calls that do not wait.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::driver::SocketOptions;
use crate::error::about;
use crate::sys::{check, check_len, owned, retry};

/// Connections that wait to be accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// An address in the kernel's layout.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl RawAddress {
    /// Room for any address.
    fn empty() -> Self {
        // SAFETY: sockaddr_storage is plain integers, for which all zeroes is a value (AF_UNSPEC).
        let storage = unsafe { std::mem::zeroed() };
        Self { storage, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    /// The address for a system call.
    pub(crate) fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> libc::socklen_t {
        self.len
    }

    /// Reads it. An IPv4 peer of a listener for both families comes mapped into IPv6, and is the IPv4 peer that it is.
    fn decode(&self) -> io::Result<SocketAddr> {
        let mut address = self.decode_family()?;
        address.set_ip(address.ip().to_canonical());
        Ok(address)
    }

    fn decode_family(&self) -> io::Result<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that a sockaddr_in stands here; sockaddr_storage is larger and aligned for it.
                let raw = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() };
                let address = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
                Ok(SocketAddrV4::new(address, u16::from_be(raw.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above, for a sockaddr_in6.
                let raw = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in6>() };
                let address = Ipv6Addr::from(raw.sin6_addr.s6_addr);
                Ok(SocketAddrV6::new(address, u16::from_be(raw.sin6_port), raw.sin6_flowinfo, raw.sin6_scope_id).into())
            }
            family => Err(io::Error::other(format!("an address of family {family}, which is not IP"))),
        }
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(v4) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                // SAFETY: sockaddr_storage is larger than and aligned for every address type.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in>().write(value) };
                raw.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                let value = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: as above.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in6>().write(value) };
                raw.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        raw
    }
}

/// A TCP socket for addresses of this family: non-blocking, closed on exec.
pub(crate) fn tcp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes integers and touches no memory of ours.
    check(unsafe { libc::socket(family, kind, 0) }).map(owned)
}

fn set_option(fd: RawFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value is `len` readable bytes on this stack frame.
    check(unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), len) }).map(drop)
}

/// Sets what the options ask for, and what every connection of Kafka has: TCP_NODELAY, and SO_KEEPALIVE, by which the
/// kernel finds peers that are gone without a word (SocketServer.configureAcceptedSocketChannel,
/// Selector.configureSocketChannel).
pub(crate) fn set_options(fd: RawFd, options: SocketOptions) -> io::Result<()> {
    let size = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    if let Some(bytes) = options.send_buffer_bytes {
        set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, size(bytes))?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, size(bytes))?;
    }
    Ok(())
}

/// Sets from how many bytes on the socket counts as readable (SO_RCVLOWAT, socket(7)).
pub(crate) fn set_low_water(fd: RawFd, bytes: usize) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT, i32::try_from(bytes).unwrap_or(i32::MAX))
}

/// A listening socket.
pub(crate) fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    try_listen(address).map_err(|error| {
        let hint = match error.raw_os_error() {
            Some(libc::EADDRINUSE) => " (another process listens there: stop it or choose another port)",
            Some(libc::EADDRNOTAVAIL) => " (no interface of this machine has this address)",
            Some(libc::EACCES) => " (ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE)",
            _ => "",
        };
        about(format_args!("cannot listen on {address}{hint}"), error)
    })
}

fn try_listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = tcp_socket(address)?;
    let fd = socket.as_raw_fd();
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    let raw = RawAddress::from(address);
    // SAFETY: the address is `len` readable bytes that live through the call.
    check(unsafe { libc::bind(fd, raw.pointer(), raw.len()) })?;
    // SAFETY: listen takes integers and touches no memory of ours.
    check(unsafe { libc::listen(fd, BACKLOG) })?;
    Ok(socket)
}

/// The address that a socket is bound to.
pub(crate) fn local_address(fd: RawFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    // SAFETY: the target is `len` writable bytes, and `len` is writable too.
    check(unsafe { libc::getsockname(fd, (&raw mut raw.storage).cast(), &mut raw.len) })?;
    raw.decode()
}

/// The address at the other end.
pub(crate) fn peer_address(fd: RawFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    // SAFETY: the target is `len` writable bytes, and `len` is writable too.
    check(unsafe { libc::getpeername(fd, (&raw mut raw.storage).cast(), &mut raw.len) })?;
    raw.decode()
}

/// A connection that waits at a listener, where there is one.
pub(crate) fn accept(fd: RawFd) -> io::Result<(OwnedFd, SocketAddr)> {
    let mut raw = RawAddress::empty();
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the target is `len` writable bytes, and `len` is writable too.
    let accepted = retry(|| check(unsafe { libc::accept4(fd, (&raw mut raw.storage).cast(), &mut raw.len, flags) }))?;
    let socket = owned(accepted);
    Ok((socket, raw.decode()?))
}

/// Whether accepting failed for want of something that may come back (descriptors, memory); other failures belong to
/// the one connection that was to be accepted (accept(2)).
pub(crate) fn accept_ran_out(errno: i32) -> bool {
    matches!(errno, libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
}

/// The words for it.
pub(crate) fn ran_out(error: io::Error) -> io::Error {
    about("cannot accept connections (ulimit -n limits descriptors); trying again shortly", error)
}

/// Starts connecting. `Ok(false)`: it is under way.
pub(crate) fn connect(fd: RawFd, address: &RawAddress) -> io::Result<bool> {
    // SAFETY: the address is `len` readable bytes that live through the call.
    match check(unsafe { libc::connect(fd, address.pointer(), address.len()) }) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn get_option(fd: RawFd, level: i32, option: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut len = size_of::<i32>() as libc::socklen_t;
    let target = (&raw mut value).cast();
    // SAFETY: the target is `len` writable bytes on this stack frame.
    check(unsafe { libc::getsockopt(fd, level, option, target, &mut len) })?;
    Ok(value)
}

/// Bytes that went through a connection so far, in both directions: what came, and what the peer said it has (TCP_INFO,
/// tcp(7)). It tells a slow peer from one that has stopped.
pub(crate) fn moved_bytes(fd: RawFd) -> io::Result<u64> {
    /// Places of `tcpi_bytes_acked` and `tcpi_bytes_received` in `struct tcp_info`, in words of 8 bytes.
    const ACKED: usize = 15;
    const RECEIVED: usize = 16;
    let mut words = [0u64; RECEIVED + 1];
    let mut len = size_of_val(&words) as libc::socklen_t;
    let target = words.as_mut_ptr().cast();
    // SAFETY: the target is `len` writable bytes on this stack frame.
    check(unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, target, &mut len) })?;
    if (len as usize) < size_of_val(&words) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "TCP_INFO does not count bytes here: Linux 4.1 does"));
    }
    Ok(words[ACKED] + words[RECEIVED])
}

/// The error that a socket holds, taken out of it.
pub(crate) fn take_error(fd: RawFd) -> io::Result<()> {
    match get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Receives into the spare capacity of `bytes`, at most `len_max`; makes it longer by what came.
pub(crate) fn recv_into(fd: RawFd, bytes: &mut Vec<u8>, len_max: usize) -> io::Result<usize> {
    let spare = bytes.spare_capacity_mut();
    let len = spare.len().min(len_max);
    // SAFETY: the target is `len` writable bytes of the vector's own spare capacity.
    let got = retry(|| check_len(unsafe { libc::recv(fd, spare.as_mut_ptr().cast(), len, libc::MSG_DONTWAIT) }))?;
    // SAFETY: the kernel has written `got <= len` bytes behind the old length, inside the capacity.
    unsafe { bytes.set_len(bytes.len() + got) };
    Ok(got)
}

/// Sends bytes, as many as the socket takes.
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the source is `bytes`, borrowed through the call.
    retry(|| check_len(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) }))
}

/// A message of parts, without address or control data.
pub(crate) fn message(vectors: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: msghdr is integers and pointers, for which all zeroes is a value (no address, no control data).
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    message
}

/// Sends the parts that `vectors` point to, as much as the socket takes.
///
/// # Safety
/// Each vector points to as many readable bytes as it says, which live through the call.
pub(crate) unsafe fn send_vectors(fd: RawFd, vectors: &mut [libc::iovec]) -> io::Result<usize> {
    let message = message(vectors);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the message lives on this stack frame, its parts by the caller's word.
    retry(|| check_len(unsafe { libc::sendmsg(fd, &message, flags) }))
}

/// Sends bytes of a file by reference, as many as the socket takes. Rust's runtime ignores SIGPIPE, which sendfile(2)
/// would raise at a closed connection.
pub(crate) fn send_file(fd: RawFd, file: RawFd, offset: u64, len: usize) -> io::Result<usize> {
    let mut offset = i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: `offset` is a writable integer on this stack frame; the rest are integers.
    retry(|| check_len(unsafe { libc::sendfile(fd, file, &mut offset, len) }))
}

/// Ends both directions of a connection, or listening.
pub(crate) fn shutdown(fd: RawFd) {
    // A socket that is not connected any more gives ENOTCONN: then it is as we want it.
    // SAFETY: shutdown takes integers and touches no memory of ours.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_layout() {
        for text in ["127.0.0.1:9092", "[::1]:9092", "[fe80::1%3]:1", "255.255.255.255:65535"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(RawAddress::from(address).decode().expect("decodes"), address);
        }
    }

    #[test]
    fn an_ipv4_peer_of_a_listener_for_both_families_is_shown_as_ipv4() {
        let listener = listen("[::]:0".parse().expect("an address")).expect("listens");
        let port = local_address(listener.as_raw_fd()).expect("bound").port();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
        let (accepted, peer) = loop {
            match accept(listener.as_raw_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                result => break result.expect("accepts"),
            }
        };
        let ours = client.local_addr().expect("connected");
        assert_eq!(peer, ours);
        assert_eq!(peer_address(accepted.as_raw_fd()).expect("connected"), ours);
    }

    #[test]
    fn connections_are_kept_alive_and_send_at_once() {
        let socket = tcp_socket("127.0.0.1:0".parse().expect("an address")).expect("a socket");
        set_options(socket.as_raw_fd(), SocketOptions::default()).expect("options");
        for (level, option) in [(libc::SOL_SOCKET, libc::SO_KEEPALIVE), (libc::IPPROTO_TCP, libc::TCP_NODELAY)] {
            assert_ne!(get_option(socket.as_raw_fd(), level, option).expect("an option"), 0, "{option}");
        }
    }
}
