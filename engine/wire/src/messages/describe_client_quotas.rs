//! DescribeClientQuotas, key 48: versions 0 to 1, flexible from 1 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible 1;
    message DescribeClientQuotasRequest, DescribeClientQuotasResponse;

    /// Asks for quotas.
    struct DescribeClientQuotasRequest {
        /// What entities are to have.
        components: Vec<ComponentData> [0..],
        /// Whether entities with other parts than those are left out.
        strict: bool [0..],
    }

    /// What an entity is to have.
    struct ComponentData {
        /// The part's type: user, client-id, ip.
        entity_type: String [0..],
        /// 0 this name, 1 the default, 2 any name.
        match_type: i8 [0..],
        /// The name, null where none is needed.
        r#match: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// The quotas.
    struct DescribeClientQuotasResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The entities, null after an error.
        entries: Option<Vec<EntryData>> [0..] null [0..] = Some(Vec::new()),
    }

    /// An entity's quotas.
    struct EntryData {
        /// The entity's parts.
        entity: Vec<EntityData> [0..],
        /// The quotas.
        values: Vec<ValueData> [0..],
    }

    /// A part of an entity.
    struct EntityData {
        /// The part's type.
        entity_type: String [0..],
        /// The name, null for the default.
        entity_name: Option<String> [0..] null [0..] = Some(String::new()),
    }

    /// A quota.
    struct ValueData {
        /// The quota's name.
        key: String [0..],
        /// Its value.
        value: f64 [0..],
    }
}

api!(DescribeClientQuotas: DescribeClientQuotasRequest => DescribeClientQuotasResponse);
