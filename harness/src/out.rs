//! Lines on the standard streams, as java.io.PrintStream writes them: what the stream does not take is lost, and the run goes on.
//!
//! A reader that has seen enough (`| head -1`) or a device without room (`> /dev/full`) is no reason for a measurement to end:
//! its exit code, its files and its ledger are those of a run whose lines were read. `println!` would panic there, so the
//! crate denies it.
//!
//! Where the text is all that a verb makes (a plan, a profile, a document), [`product`] writes it: what a device did not take is then
//! exit code 1, with a word. A reader that left (`| head -1`) had what it wanted.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

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

/// What a verb was run for, and a line's end behind it; gives `code`, or 1 where it could not be written.
pub(crate) fn product(text: &str, code: ExitCode) -> ExitCode {
    match write_product(&mut std::io::stdout(), text) {
        Ok(()) => code,
        Err(error) => {
            errln!("standard output: {error}; what was to be written there is not whole");
            ExitCode::FAILURE
        }
    }
}

fn write_product(to: &mut impl Write, text: &str) -> std::io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

pub(crate) fn text(text: Arguments<'_>) {
    let _ = write!(std::io::stdout(), "{text}");
}

pub(crate) fn error_line(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_device_is_an_error_of_what_was_run_for_its_text_and_a_closed_pipe_is_none() {
        assert!(write_product(&mut Refuses(ErrorKind::BrokenPipe), "x").is_ok());
        let error = write_product(&mut Refuses(ErrorKind::StorageFull), "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let mut taken = Vec::new();
        write_product(&mut taken, "x").unwrap();
        assert_eq!(taken, b"x\n");
    }
}
