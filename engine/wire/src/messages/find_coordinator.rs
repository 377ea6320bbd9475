//! FindCoordinator, key 10: versions 0 to 6, flexible from 3 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=6, flexible 3;
    message FindCoordinatorRequest, FindCoordinatorResponse;

    /// Asks which broker coordinates a group or transaction.
    struct FindCoordinatorRequest {
        /// What is looked up or set.
        key: String [0..=3],
        /// 0 group, 1 transaction, 2 share group.
        key_type: i8 [1..],
        /// Group or transactional ids to look up.
        coordinator_keys: Vec<String> [4..],
    }

    /// Who coordinates what.
    struct FindCoordinatorResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..=3],
        /// What went wrong, in words.
        error_message: Option<String> [1..=3] null [1..=3] = Some(String::new()),
        /// The node's id.
        node_id: i32 [0..=3],
        /// Host name or address.
        host: String [0..=3],
        /// The port.
        port: i32 [0..=3],
        /// One answer per key.
        coordinators: Vec<Coordinator> [4..],
    }

    /// Who coordinates one key.
    struct Coordinator {
        /// What is looked up or set.
        key: String [4..],
        /// The node's id.
        node_id: i32 [4..],
        /// Host name or address.
        host: String [4..],
        /// The port.
        port: i32 [4..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [4..],
        /// What went wrong, in words.
        error_message: Option<String> [4..] null [4..] = Some(String::new()),
    }
}

api!(FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse);
