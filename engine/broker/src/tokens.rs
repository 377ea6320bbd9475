//! What a token is for: the kind of operation, a place, and the generation of what is in that place.
//!
//! ```text
//!   63      56 55          32 31            0
//!   |  kind   |    place     |  generation   |
//! ```

use ringlog_io::Token;

const KIND_SHIFT: u32 = 56;
const PLACE_SHIFT: u32 = 32;
const PLACE_MASK: u64 = (1 << (KIND_SHIFT - PLACE_SHIFT)) - 1;

const CLIENT: u64 = 2;
const FLUSH: u64 = 3;
const JOB: u64 = 5;

/// Accepting, which has no place.
pub(crate) const ACCEPT: Token = 1 << KIND_SHIFT;
/// The metadata log's flush: there is one at a time.
pub(crate) const METADATA_FLUSH: Token = 4 << KIND_SHIFT;

/// A job, by number.
pub(crate) fn job(number: u32) -> Token {
    JOB << KIND_SHIFT | u64::from(number)
}

/// Whether the token is one of a job.
pub(crate) fn is_job(token: Token) -> bool {
    token >> KIND_SHIFT == JOB
}

/// The number of a job.
pub(crate) fn job_of(token: Token) -> u32 {
    token as u32
}

/// An operation on a client's socket.
pub(crate) fn client(place: u32, generation: u32) -> Token {
    CLIENT << KIND_SHIFT | (u64::from(place) & PLACE_MASK) << PLACE_SHIFT | u64::from(generation)
}

/// A flush of a partition, by number.
pub(crate) fn flush(number: u32) -> Token {
    FLUSH << KIND_SHIFT | u64::from(number)
}

/// Place and generation of a client.
pub(crate) fn client_of(token: Token) -> (u32, u32) {
    ((token >> PLACE_SHIFT & PLACE_MASK) as u32, token as u32)
}

/// The number of a flush.
pub(crate) fn flush_of(token: Token) -> u32 {
    token as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_comes_out_as_it_went_in_and_is_never_taken_for_something_else() {
        for (place, generation) in [(0, 0), (8_191, u32::MAX), (7, 1)] {
            let token = client(place, generation);
            assert_eq!(client_of(token), (place, generation));
            assert!(!is_job(token) && is_job(job(generation)));
            assert!(![ACCEPT, METADATA_FLUSH, flush(generation), job(generation)].contains(&token));
        }
        assert_eq!((flush_of(flush(u32::MAX)), job_of(job(u32::MAX))), (u32::MAX, u32::MAX));
    }
}
