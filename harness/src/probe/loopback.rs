//! One connection over the loopback: how much goes through, and how long a small answer takes.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::slices::{Slices, quantiles, us_since};
use super::{Found, Task};

const CHUNK_BYTES: usize = 256 << 10;
const REQUEST_BYTES: usize = 64;

pub(super) fn measure(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let half = task.time / 2;
    let (near, far) = pair()?;
    let slices = std::thread::scope(|scope| {
        scope.spawn(move || send(near));
        receive(far, half)
    })?;
    found.loopback = Some(slices.rate()?);
    let (near, far) = pair()?;
    let mut times_us = std::thread::scope(|scope| {
        scope.spawn(move || echo(far));
        ask(near, half)
    })?;
    found.rtt_us = quantiles(&mut times_us);
    Ok(())
}

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Sends until the other side has had enough and closes: an error then is the end that was wanted.
fn send(mut socket: TcpStream) {
    let chunk = vec![0x5a; CHUNK_BYTES];
    while socket.write_all(&chunk).is_ok() {}
}

fn receive(mut socket: TcpStream, time: Duration) -> io::Result<Slices> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let slices = Slices::begin(time);
    loop {
        let read = socket.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !slices.add(read as u64) {
            return Ok(slices);
        }
    }
}

/// Answers until the other side closes.
fn echo(mut socket: TcpStream) {
    let mut request = [0; REQUEST_BYTES];
    while socket.read_exact(&mut request).and_then(|()| socket.write_all(&request)).is_ok() {}
}

fn ask(mut socket: TcpStream, time: Duration) -> io::Result<Vec<f64>> {
    let (mut request, mut times_us, end) = ([7; REQUEST_BYTES], Vec::new(), Instant::now() + time);
    while Instant::now() < end {
        let begin = Instant::now();
        socket.write_all(&request)?;
        socket.read_exact(&mut request)?;
        times_us.push(us_since(begin));
    }
    Ok(times_us)
}
