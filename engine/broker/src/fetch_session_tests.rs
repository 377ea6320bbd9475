//! Sessions as a client drives them.
