//! Lines on the standard streams, as java.io.PrintStream writes them: what the stream does not take is lost, and the run goes on.
//!
//! A reader that has seen enough (`| head -1`) or a device without room (`> /dev/full`) is no reason for a measurement to end:
//! its exit code, its files and its ledger are those of a run whose lines were read. `println!` would panic there, so the
//! crate denies it.

use std::fmt::Arguments;
use std::io::Write as _;

/// A line on standard output.
macro_rules! outln {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}

/// Text on standard output that ends its own lines.
macro_rules! out {
    ($($text:tt)*) => { $crate::out::text(format_args!($($text)*)) };
}

/// A line on standard error.
macro_rules! errln {
    ($($text:tt)*) => { $crate::out::error_line(format_args!($($text)*)) };
}

pub(crate) fn line(text: Arguments<'_>) {
    // Lost where nobody takes it.
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn text(text: Arguments<'_>) {
    let _ = write!(std::io::stdout(), "{text}");
}

pub(crate) fn error_line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
