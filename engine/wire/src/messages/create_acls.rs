//! CreateAcls, key 30: versions 1 to 3, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=3, flexible 2;
    message CreateAclsRequest, CreateAclsResponse;

    /// Asks for rules of who may do what.
    struct CreateAclsRequest {
        /// The rules.
        creations: Vec<AclCreation> [1..],
    }

    /// A rule.
    struct AclCreation {
        /// The resource's type.
        resource_type: i8 [1..],
        /// The resource's name.
        resource_name: String [1..],
        /// How the name is meant: 3 literally, 4 as a prefix.
        resource_pattern_type: i8 [1..] = 3,
        /// Who.
        principal: String [1..],
        /// From where.
        host: String [1..],
        /// The operation.
        operation: i8 [1..],
        /// 2 denied, 3 allowed.
        permission_type: i8 [1..],
    }

    /// What became of the rules, in their order.
    struct CreateAclsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// One for each.
        results: Vec<AclCreationResult> [1..],
    }

    /// What became of a rule.
    struct AclCreationResult {
        /// What went wrong, 0 for nothing.
        error_code: i16 [1..],
        /// What went wrong, in words.
        error_message: Option<String> [1..] null [1..] = Some(String::new()),
    }
}

api!(CreateAcls: CreateAclsRequest => CreateAclsResponse);
