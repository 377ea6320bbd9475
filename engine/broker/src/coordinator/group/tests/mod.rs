//! What the coordinator does.
