//! Heartbeat, key 12: versions 0 to 4, flexible from 4 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=4, flexible 4;
    message HeartbeatRequest, HeartbeatResponse;

    /// Says that a member is alive.
    struct HeartbeatRequest {
        /// The group's id.
        group_id: String [0..],
        /// The generation's number.
        generation_id: i32 [0..],
        /// The id that the coordinator gave to the member, empty at first.
        member_id: String [0..],
        /// The static member's own id, null for dynamic members.
        group_instance_id: Option<String> [3..] null [3..],
    }

    /// Says whether the member still belongs.
    struct HeartbeatResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
    }
}

api!(Heartbeat: HeartbeatRequest => HeartbeatResponse);
