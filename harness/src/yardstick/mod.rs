//! The yardstick: a broker that keeps nothing, to know what any broker could reach on this machine.
//!
//! ```text
//!   ringlog null-broker --mode receive    take the bytes, answer             (the ceiling of the network path)
//!                       --mode append     and write them to a growing file   (the ceiling with a page cache)
//!
//!   stream    one connection: receive a chunk, answer what became whole      (glommio)
//!   produce   walks through Produce requests without ever holding one
//!   control   the few other requests that a client sends before and beside
//!   group     groups of one
//!   fetch     one batch, again and again
//!   sink      the growing file
//! ```
//!
//! It is a process of its own, pinned to one core, and shares nothing with the engine: other sockets, other files,
//! another executor. Only small messages go through ringlog-wire's declarations.
//!
//! Invariants: answers leave in request order; in append mode a request's bytes are in the file before its answer leaves.

#![allow(clippy::disallowed_methods, reason = "a measuring instrument with its own files and clock")]

#[cfg(feature = "yardstick")]
pub(crate) mod control;
#[cfg(feature = "yardstick")]
mod fetch;
#[cfg(feature = "yardstick")]
mod group;
#[cfg(feature = "yardstick")]
mod produce;
#[cfg(feature = "yardstick")]
pub(crate) mod server;
#[cfg(feature = "yardstick")]
mod sink;
#[cfg(feature = "yardstick")]
pub(crate) mod stream;

use std::path::PathBuf;
use std::process::ExitCode;

/// What the null broker does with the bytes of a Produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Takes them.
    Receive,
    /// Takes them and appends them to a file.
    Append,
}

impl Mode {
    /// The target's name in rows.
    #[must_use]
    pub fn target(self) -> &'static str {
        match self {
            Self::Receive => "null-receive",
            Self::Append => "null-append",
        }
    }

    /// The option's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Append => "append",
        }
    }
}

/// How a chunk reaches the file in append mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AppendBy {
    /// write(2) on the executor's thread.
    Inline,
    /// glommio's buffered file, through its ring.
    Ring,
}

/// Options of `ringlog null-broker`.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "ringlog null-broker", about = "A broker that keeps nothing: the ceiling of this machine")]
pub struct Options {
    /// Port to listen on at 127.0.0.1; 0 takes a free one. The ready line names it.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// What happens to the bytes.
    #[arg(long, value_enum, default_value_t = Mode::Receive)]
    pub mode: Mode,
    /// Folder of the growing file (append mode).
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Partitions that every topic has.
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    /// Core to run on.
    #[arg(long)]
    pub core: Option<usize>,
    /// Path of the bytes to the file.
    #[arg(long, value_enum, default_value_t = AppendBy::Inline)]
    pub append_by: AppendBy,
    /// Size of the growing file at which it starts over, in bytes.
    #[arg(long, default_value_t = 1 << 30)]
    pub file_bytes_max: u64,
}

/// What the ready line begins with; the port follows.
pub const READY: &str = "null broker listens on 127.0.0.1:";

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb. Returns only on an error.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let argv = std::iter::once("null-broker".to_owned()).chain(args.iter().cloned());
    match <Options as clap::Parser>::try_parse_from(argv) {
        Ok(options) => run(options),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

#[cfg(feature = "yardstick")]
fn run(options: Options) -> ExitCode {
    match server::serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            errln!("null-broker: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "yardstick"))]
fn run(_options: Options) -> ExitCode {
    errln!("null-broker: this build has no yardstick: build with the feature `yardstick` (it is on by default)");
    ExitCode::FAILURE
}
