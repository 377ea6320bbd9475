//! DescribeConfigs, key 32: versions 1 to 4, flexible from 4 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=4, flexible 4;
    message DescribeConfigsRequest, DescribeConfigsResponse;

    /// Asks for settings.
    struct DescribeConfigsRequest {
        /// What to describe.
        resources: Vec<DescribeConfigsResource> [0..],
        /// Whether to list where else a value is set.
        include_synonyms: bool [1..],
        /// Whether to explain each setting.
        include_documentation: bool [3..],
    }

    /// A topic, broker or group asked about.
    struct DescribeConfigsResource {
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: String [0..],
        /// Names of the settings wanted, null for all.
        configuration_keys: Option<Vec<String>> [0..] null [0..] = Some(Vec::new()),
    }

    /// Settings.
    struct DescribeConfigsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// One result per resource.
        results: Vec<DescribeConfigsResult> [0..],
    }

    /// A resource's part of the answer.
    struct DescribeConfigsResult {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = Some(String::new()),
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: String [0..],
        /// Settings.
        configs: Vec<DescribeConfigsResourceResult> [0..],
    }

    /// A setting.
    struct DescribeConfigsResourceResult {
        /// The name.
        name: String [0..],
        /// The value.
        value: Option<String> [0..] null [0..] = Some(String::new()),
        /// Whether it cannot be changed.
        read_only: bool [0..],
        /// Where the value comes from (`ConfigSource`).
        config_source: i8 [1..] = -1,
        /// Whether the value is kept secret.
        is_sensitive: bool [0..],
        /// Where else the value is set, the strongest first.
        synonyms: Vec<DescribeConfigsSynonym> [1..],
        /// The value's type (`ConfigType`).
        config_type: i8 [3..],
        /// What the setting does.
        documentation: Option<String> [3..] null [0..] = Some(String::new()),
    }

    /// Another place where the setting's value comes from.
    struct DescribeConfigsSynonym {
        /// The name.
        name: String [1..],
        /// The value.
        value: Option<String> [1..] null [0..] = Some(String::new()),
        /// Where the value comes from (`ConfigSource`).
        source: i8 [1..],
    }
}

api!(DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse);
