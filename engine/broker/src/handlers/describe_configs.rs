//! DescribeConfigs: v1-4. Settings of topics, of this broker, of all brokers, and of groups. v3: types and documentation.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::metadata::ids::NodeId;
use crate::metadata::image::{Image, RESOURCE_BROKER, RESOURCE_GROUP, RESOURCE_TOPIC};
use crate::metadata::names;
use crate::settings::Settings;
use crate::settings::describe::{self, Described};

/// Why a resource is not described.
type Refusal = (ErrorCode, Option<String>);

/// Answers from the image and the settings, as node `me`.
pub(crate) fn answer(
    request: &DescribeConfigsRequest,
    me: NodeId,
    image: &Image,
    settings: &Settings,
) -> DescribeConfigsResponse {
    let result = |resource: &DescribeConfigsResource| {
        let mut result = DescribeConfigsResult {
            error_message: None,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..DescribeConfigsResult::default()
        };
        match describe(resource, me, image, settings) {
            Ok(settings) => {
                let wanted = settings.into_iter().filter(|described| is_wanted(resource, described));
                result.configs = wanted.map(|described| told(described, request)).collect();
            }
            Err((code, message)) => (result.error_code, result.error_message) = (code.0, message),
        }
        result
    };
    let results = request.resources.iter().map(result).collect();
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

fn describe(
    resource: &DescribeConfigsResource,
    me: NodeId,
    image: &Image,
    settings: &Settings,
) -> Result<Vec<Described>, Refusal> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        RESOURCE_TOPIC => {
            names::check(name).map_err(|message| (ErrorCode::INVALID_TOPIC_EXCEPTION, Some(message)))?;
            let topic = image.topic(name).ok_or((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None))?;
            Ok(describe::topic(&topic.configs, settings))
        }
        RESOURCE_BROKER if name.is_empty() => Ok(describe::cluster(settings)),
        RESOURCE_BROKER => match name.parse::<i32>() {
            Ok(node) if node == me.0 => Ok(own(describe::broker(settings), me)),
            Ok(_) => invalid(format!("Unexpected broker id, expected {me} or empty string, but received {name}")),
            Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
        },
        RESOURCE_GROUP if name.is_empty() => invalid("Group name must not be empty".to_owned()),
        RESOURCE_GROUP => Ok(describe::group(&image.configs(RESOURCE_GROUP, name), settings)),
        other => invalid(format!("Unsupported resource type: {other}")),
    }
}

fn invalid<T>(message: String) -> Result<T, Refusal> {
    Err((ErrorCode::INVALID_REQUEST, Some(message)))
}

/// A shard's own node id stands where the settings have shard 0's.
fn own(mut described: Vec<Described>, me: NodeId) -> Vec<Described> {
    for setting in described.iter_mut().filter(|described| described.name == "node.id") {
        setting.value = Some(me.to_string());
    }
    described
}

fn is_wanted(resource: &DescribeConfigsResource, described: &Described) -> bool {
    match &resource.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.iter().any(|key| *key == described.name),
        _ => true,
    }
}

fn told(described: Described, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let synonym = |synonym: describe::Synonym| DescribeConfigsSynonym {
        name: synonym.name.into_owned(),
        value: synonym.value,
        source: synonym.source as i8,
        ..DescribeConfigsSynonym::default()
    };
    let synonyms = if request.include_synonyms { described.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: described.name.into_owned(),
        value: described.value,
        read_only: described.read_only,
        config_source: described.source as i8,
        is_sensitive: described.is_sensitive,
        synonyms: synonyms.into_iter().map(synonym).collect(),
        config_type: described.key.map_or(0, |key| key.kind.code()),
        documentation: described.key.filter(|_| request.include_documentation).map(|key| key.doc.to_owned()),
        ..DescribeConfigsResourceResult::default()
    }
}

#[cfg(test)]
#[path = "describe_configs_tests.rs"]
mod tests;
