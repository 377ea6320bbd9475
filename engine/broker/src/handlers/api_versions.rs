//! ApiVersions: v0-4. What this broker handles, from the one list. A version beyond ours gets error 35 in a v0 body, so
//! that the client asks again with one that we have (KIP-511). The response header is v0 in every version.

use ringlog_wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, Outcome};
use crate::handlers::{HANDLERS, Handler};
use crate::response::{Asked, Response};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::ApiVersions, (0, 4), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: ApiVersionsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let version = incoming.asked.api_version;
    if version >= 3 && !(is_name(&request.client_software_name) && is_name(&request.client_software_version)) {
        let refusal = ApiVersionsResponse { error_code: ErrorCode::INVALID_REQUEST.0, ..Default::default() };
        return Response::of(incoming.asked, &refusal).into();
    }
    Response::of(incoming.asked, &announce(broker, version)).into()
}

/// KIP-511: letters, digits, `-` and `.`, the first and the last a letter or digit.
fn is_name(text: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(word)
        && bytes.last().is_some_and(word)
        && bytes.iter().all(|byte| word(byte) || matches!(byte, b'-' | b'.'))
}

fn announce(broker: &Broker, version: i16) -> ApiVersionsResponse {
    let (supported, finalized) = (broker.image.supported_features(), broker.image.finalized_features());
    ApiVersionsResponse {
        api_keys: HANDLERS.iter().map(announced).collect(),
        supported_features: supported
            .iter()
            // v3 clients cannot read a minimum of 0 (KAFKA-17011).
            .filter(|feature| version >= 4 || feature.min > 0)
            .map(|feature| SupportedFeatureKey {
                name: feature.name.to_owned(),
                min_version: feature.min,
                max_version: feature.max,
                ..Default::default()
            })
            .collect(),
        finalized_features_epoch: broker.image.version(),
        finalized_features: finalized
            .iter()
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.clone(),
                max_version_level: *level,
                min_version_level: *level,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn announced(handler: &Handler) -> ApiVersion {
    ApiVersion {
        api_key: handler.key.key(),
        min_version: handler.announced_from,
        max_version: handler.versions.1,
        ..Default::default()
    }
}

/// The answer to a version of ApiVersions that we do not have: v0, with our range.
pub(crate) fn unsupported(asked: Asked) -> Outcome {
    let body = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION.0,
        api_keys: vec![announced(&HANDLER)],
        ..Default::default()
    };
    Response::of(Asked { api_version: 0, ..asked }, &body).into()
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn software_names_are_those_of_kip_511() {
        for good in ["librdkafka", "apache-kafka-java", "4.3.1", "a"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "."] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
