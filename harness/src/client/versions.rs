//! Which version of each API is spoken: the highest that both sides have.

use ringlog_wire::messages::api_versions::ApiVersionsResponse;
use ringlog_wire::{ApiKey, ErrorCode};

use super::ClientError;

/// What this client speaks. A version that changes what the client must do is left out until the client does it:
/// OffsetCommit and OffsetFetch stop before topic ids (10), Fetch before the follower's high watermark (18),
/// AddPartitionsToTxn before what only brokers ask (4).
const OURS: [(ApiKey, i16, i16); 23] = [
    (ApiKey::Produce, 3, 13),
    (ApiKey::Fetch, 4, 17),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 1, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::SaslHandshake, 1, 1),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::SaslAuthenticate, 0, 2),
    (ApiKey::DescribeCluster, 0, 1),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
];

/// The lowest and highest version of an API that this client speaks.
pub(crate) fn ours(api: ApiKey) -> (i16, i16) {
    OURS.iter().find(|(key, ..)| *key == api).map_or((0, 0), |(_, min, max)| (*min, *max))
}

/// What one broker said it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    apis: Vec<(i16, i16, i16)>,
    features: Vec<(String, i16)>,
}

impl Versions {
    /// As the broker announced it.
    pub(crate) fn of(response: &ApiVersionsResponse) -> Self {
        let apis = response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version));
        let features = response.finalized_features.iter().map(|one| (one.name.clone(), one.max_version_level));
        Self { apis: apis.collect(), features: features.collect() }
    }

    fn theirs(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.apis.iter().find(|(key, ..)| *key == api as i16).map(|(_, min, max)| (*min, *max))
    }

    /// The level of a feature that the cluster has finalized, 0 for none (KIP-584).
    pub(crate) fn feature(&self, name: &str) -> i16 {
        self.features.iter().find(|(key, _)| key == name).map_or(0, |(_, level)| *level)
    }

    /// The highest version in common.
    pub(crate) fn choose(&self, api: ApiKey) -> Result<i16, ClientError> {
        let (our_min, our_max) = ours(api);
        let (broker_min, broker_max) = self.theirs(api).ok_or(ClientError::NoApi { api: api.name() })?;
        let version = our_max.min(broker_max);
        if version < our_min || version < broker_min {
            return Err(ClientError::Version { api: api.name(), broker_min, broker_max, our_min, our_max });
        }
        Ok(version)
    }
}

/// What a first answer to ApiVersions means: the versions, or the version to ask with again.
pub(crate) fn negotiated(response: &ApiVersionsResponse) -> Result<Versions, Option<i16>> {
    let versions = Versions::of(response);
    match ErrorCode(response.error_code) {
        ErrorCode::NONE => Ok(versions),
        ErrorCode::UNSUPPORTED_VERSION => {
            let highest = versions.theirs(ApiKey::ApiVersions).map_or(0, |(_, max)| max);
            Err(Some(highest.clamp(0, ours(ApiKey::ApiVersions).1)))
        }
        _ => Err(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringlog_wire::messages::api_versions::ApiVersion;

    fn broker(api: ApiKey, min_version: i16, max_version: i16) -> ApiVersionsResponse {
        let api = ApiVersion { api_key: api as i16, min_version, max_version, ..ApiVersion::default() };
        ApiVersionsResponse { api_keys: vec![api], ..ApiVersionsResponse::default() }
    }

    #[test]
    fn the_highest_version_in_common_is_spoken() {
        let choose = |min, max| Versions::of(&broker(ApiKey::Produce, min, max)).choose(ApiKey::Produce);
        assert_eq!(choose(0, 8).unwrap(), 8);
        assert_eq!(choose(0, 99).unwrap(), 13);
        assert!(choose(14, 20).unwrap_err().to_string().contains("no version in common"));
        assert!(choose(0, 2).is_err());
        let other = Versions::of(&broker(ApiKey::Fetch, 4, 11)).choose(ApiKey::Produce);
        assert!(other.unwrap_err().to_string().contains("does not have Produce"), "not announced, not used");
    }

    #[test]
    fn an_older_broker_is_asked_again_in_its_own_version() {
        let mut old = broker(ApiKey::ApiVersions, 0, 2);
        old.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
        assert_eq!(negotiated(&old).err(), Some(Some(2)));
        let silent = ApiVersionsResponse { error_code: ErrorCode::UNSUPPORTED_VERSION.0, ..Default::default() };
        assert_eq!(negotiated(&silent).err(), Some(Some(0)));
    }
}
