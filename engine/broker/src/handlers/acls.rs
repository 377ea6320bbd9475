//! DescribeAcls, CreateAcls, DeleteAcls: v1-3. There is no authorizer, and they say so, as Kafka does without one (AclApis):
//! a client that is told nothing of these requests takes the broker for one from before 0.11.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::create_acls::{AclCreationResult, CreateAclsRequest, CreateAclsResponse};
use ringlog_wire::messages::delete_acls::{DeleteAclsFilterResult, DeleteAclsRequest, DeleteAclsResponse};
use ringlog_wire::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};

const CODE: i16 = ErrorCode::SECURITY_DISABLED.0;

fn message() -> Option<String> {
    Some("No Authorizer is configured.".to_owned())
}

pub(crate) fn describe(_: &DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse { error_code: CODE, error_message: message(), ..Default::default() }
}

pub(crate) fn create(request: &CreateAclsRequest) -> CreateAclsResponse {
    let refused = |_| AclCreationResult { error_code: CODE, error_message: message(), ..Default::default() };
    CreateAclsResponse { results: request.creations.iter().map(refused).collect(), ..Default::default() }
}

pub(crate) fn delete(request: &DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = |_| DeleteAclsFilterResult { error_code: CODE, error_message: message(), ..Default::default() };
    DeleteAclsResponse { filter_results: request.filters.iter().map(refused).collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::create_acls::AclCreation;
    use ringlog_wire::messages::delete_acls::DeleteAclsFilter;

    use super::*;

    #[test]
    fn without_an_authorizer_every_rule_and_filter_is_told_so() {
        let due = (54, Some("No Authorizer is configured."));
        let described = describe(&DescribeAclsRequest::default());
        assert_eq!((described.error_code, described.error_message.as_deref()), due);
        let request = CreateAclsRequest { creations: vec![AclCreation::default(); 2], ..Default::default() };
        let created = create(&request).results;
        let told = created.iter().map(|result| (result.error_code, result.error_message.as_deref()));
        assert_eq!(told.collect::<Vec<_>>(), [due, due]);
        let request = DeleteAclsRequest { filters: vec![DeleteAclsFilter::default(); 2], ..Default::default() };
        let deleted = delete(&request).filter_results;
        let told = deleted.iter().map(|result| (result.error_code, result.error_message.as_deref()));
        assert_eq!(told.collect::<Vec<_>>(), [due, due]);
        assert!(deleted.iter().all(|result| result.matching_acls.is_empty()));
    }
}
