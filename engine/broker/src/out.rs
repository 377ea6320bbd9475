//! Lines on the standard streams. What a stream does not take is lost (`ringlog sim --seed 7 | head`, `> /dev/full`), and the exit
//! code says what came of the run all the same: `println!` and `eprintln!` would panic there, so the crate denies them.

use std::fmt::Arguments;
use std::io::Write;

/// A line on standard output.
pub(crate) fn line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on standard error.
pub(crate) fn error_line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
