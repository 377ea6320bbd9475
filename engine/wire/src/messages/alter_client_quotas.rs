//! AlterClientQuotas, key 49: versions 0 to 1, flexible from 1 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible 1;
    message AlterClientQuotasRequest, AlterClientQuotasResponse;

    /// Changes quotas.
    struct AlterClientQuotasRequest {
        /// The entities.
        entries: Vec<EntryData> [0..],
        /// Whether to check without doing it.
        validate_only: bool [0..],
    }

    /// An entity whose quotas change.
    struct EntryData {
        /// The entity's parts.
        entity: Vec<EntityData> [0..],
        /// The changes.
        ops: Vec<OpData> [0..],
    }

    /// A part of an entity.
    struct EntityData {
        /// The part's type: user, client-id, ip.
        entity_type: String [0..],
        /// The name, null for the default.
        entity_name: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// A change of one quota.
    struct OpData {
        /// The quota's name.
        key: String [0..],
        /// Its value, where it is not removed.
        value: f64 [0..],
        /// Whether it is removed.
        remove: bool [0..],
    }

    /// What became of it.
    struct AlterClientQuotasResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The entities.
        entries: Vec<EntryResult> [0..],
    }

    /// An entity's part of the answer.
    struct EntryResult {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The entity's parts.
        entity: Vec<EntityData> [0..],
    }
}

api!(AlterClientQuotas: AlterClientQuotasRequest => AlterClientQuotasResponse);
