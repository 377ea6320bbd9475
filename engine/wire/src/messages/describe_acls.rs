//! DescribeAcls, key 29: versions 1 to 3, flexible from 2 on.

use crate::schema::prelude::*;

messages! {
    versions 1..=3, flexible 2;
    message DescribeAclsRequest, DescribeAclsResponse;

    /// Asks who may do what.
    struct DescribeAclsRequest {
        /// The resource's type, 1 any.
        resource_type_filter: i8 [1..],
        /// The resource's name, null for any.
        resource_name_filter: Option<String> [1..] null [1..] = Some(String::new()),
        /// How the name is meant: 1 any, 2 what matches, 3 literally, 4 as a prefix.
        pattern_type_filter: i8 [1..] = 3,
        /// Who, null for anybody.
        principal_filter: Option<String> [1..] null [1..] = Some(String::new()),
        /// From where, null for anywhere.
        host_filter: Option<String> [1..] null [1..] = Some(String::new()),
        /// The operation, 1 any.
        operation: i8 [1..],
        /// 1 any, 2 denied, 3 allowed.
        permission_type: i8 [1..],
    }

    /// Who may do what.
    struct DescribeAclsResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [1..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [1..],
        /// What went wrong, in words.
        error_message: Option<String> [1..] null [1..] = Some(String::new()),
        /// The resources that rules are about.
        resources: Vec<DescribeAclsResource> [1..],
    }

    /// A resource and its rules.
    struct DescribeAclsResource {
        /// Its type.
        resource_type: i8 [1..],
        /// Its name.
        resource_name: String [1..],
        /// How the name is meant: 3 literally, 4 as a prefix.
        pattern_type: i8 [1..] = 3,
        /// The rules.
        acls: Vec<AclDescription> [1..],
    }

    /// A rule.
    struct AclDescription {
        /// Who.
        principal: String [1..],
        /// From where.
        host: String [1..],
        /// The operation.
        operation: i8 [1..],
        /// 2 denied, 3 allowed.
        permission_type: i8 [1..],
    }
}

api!(DescribeAcls: DescribeAclsRequest => DescribeAclsResponse);
