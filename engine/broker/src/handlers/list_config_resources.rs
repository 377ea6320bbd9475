//! ListConfigResources: v0-1 (KIP-1142). Which resources have settings. v0 knows subscriptions to clients' metrics only
//! (there as ListClientMetricsResources). Topics and brokers are all listed, groups those of which something is set.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use crate::metadata::image::{
    Image, RESOURCE_BROKER, RESOURCE_BROKER_LOGGER, RESOURCE_CLIENT_METRICS, RESOURCE_GROUP, RESOURCE_TOPIC,
};

/// All types that there are.
const TYPES: &[i8] =
    &[RESOURCE_GROUP, RESOURCE_CLIENT_METRICS, RESOURCE_BROKER_LOGGER, RESOURCE_BROKER, RESOURCE_TOPIC];

/// Answers from the image.
pub(crate) fn answer(request: &ListConfigResourcesRequest, version: i16, image: &Image) -> ListConfigResourcesResponse {
    let known = if version == 0 { &[RESOURCE_CLIENT_METRICS] } else { TYPES };
    if request.resource_types.iter().any(|kind| !known.contains(kind)) {
        return ListConfigResourcesResponse { error_code: ErrorCode::UNSUPPORTED_VERSION.0, ..Default::default() };
    }
    let is_asked = |kind: &&i8| request.resource_types.is_empty() || request.resource_types.contains(kind);
    let config_resources = known.iter().filter(is_asked).flat_map(|kind| resources(*kind, image)).collect();
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}

fn resources(kind: i8, image: &Image) -> Vec<ConfigResource> {
    let names: Vec<String> = match kind {
        RESOURCE_TOPIC => image.topics().map(|topic| topic.name.to_string()).collect(),
        RESOURCE_BROKER | RESOURCE_BROKER_LOGGER => {
            image.live_brokers().map(|broker| broker.node.to_string()).collect()
        }
        kind => image.configured(kind).map(str::to_owned).collect(),
    };
    let resource = |resource_name| ConfigResource { resource_name, resource_type: kind, ..Default::default() };
    names.into_iter().map(resource).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::fixtures::image;

    fn listed(version: i16, resource_types: &[i8]) -> (i16, Vec<(String, i8)>) {
        let request = ListConfigResourcesRequest { resource_types: resource_types.to_vec(), ..Default::default() };
        let answer = answer(&request, version, &image());
        let told = answer.config_resources.into_iter().map(|one| (one.resource_name, one.resource_type)).collect();
        (answer.error_code, told)
    }

    #[test]
    fn topics_and_brokers_are_listed_once_whatever_is_asked_for() {
        let named = |names: &[&str], kind: i8| names.iter().map(|name| ((*name).to_owned(), kind)).collect::<Vec<_>>();
        assert_eq!(listed(1, &[2, 2]), (0, named(&["a", "b"], 2)));
        let all = [named(&["1", "2"], 8), named(&["1", "2"], 4), named(&["a", "b"], 2)].concat();
        assert_eq!(listed(1, &[]), (0, all));
        assert_eq!(listed(0, &[]), (0, Vec::new()));
        assert_eq!(listed(1, &[2, 9]), (35, Vec::new()));
    }
}
