//! UpdateFeatures: v0-2. The levels of features are those of this release: a log of an older one is raised at the start, and
//! no level is lowered, since the next start would raise it again. v1 checks only where that is asked for, v2 answers for all
//! features together.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use crate::metadata::image::Image;

/// What FeatureUpdate.UpgradeType knows.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

const NOT_ASKED_FOR: &str = concat!(
    "Can't downgrade the version of this feature without setting the upgrade type to either safe or ",
    "unsafe downgrade."
);

/// Answers from the image: nothing changes.
pub(crate) fn answer(request: &UpdateFeaturesRequest, version: i16, image: &Image) -> UpdateFeaturesResponse {
    let refused = request.feature_updates.iter().find_map(|update| refuse(update, version, image));
    let error = if refused.is_some() { ErrorCode::INVALID_UPDATE_VERSION } else { ErrorCode::NONE };
    if version >= 2 {
        let told = refused.map(|message| {
            format!("The update failed for all features since the following feature had an error: {message}")
        });
        return UpdateFeaturesResponse { error_code: error.0, error_message: told, ..Default::default() };
    }
    let result = |update: &FeatureUpdateKey| UpdatableFeatureResult {
        feature: update.feature.clone(),
        error_code: error.0,
        error_message: refused.clone(),
        ..Default::default()
    };
    let results = request.feature_updates.iter().map(result).collect();
    UpdateFeaturesResponse { error_message: None, results, ..Default::default() }
}

/// Why a level cannot be had, in Kafka's words (FeatureControlManager).
fn refuse(update: &FeatureUpdateKey, version: i16, image: &Image) -> Option<String> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    let upgrade_type = match (version, update.allow_downgrade) {
        (0, true) => SAFE_DOWNGRADE,
        (0, false) => UPGRADE,
        _ => update.upgrade_type,
    };
    let now = image.feature_level(name);
    let feature = image.supported_features().iter().find(|feature| feature.name == name);
    let why = match feature {
        _ if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&upgrade_type) => {
            "The controller does not support the given upgrade type.".to_owned()
        }
        _ if level < 0 => "A feature version cannot be less than 0.".to_owned(),
        None if level == 0 => return None,
        None => format!("Local controller {} does not support this feature.", image.controller()),
        Some(feature) if !(feature.min..=feature.max).contains(&level) => {
            let (who, min, max) = (image.controller(), feature.min, feature.max);
            format!("Local controller {who} only supports versions {min}-{max}")
        }
        Some(_) if level < now && upgrade_type == UPGRADE => NOT_ASKED_FOR.to_owned(),
        Some(_) if level > now && upgrade_type != UPGRADE => "Can't downgrade to a newer version.".to_owned(),
        Some(_) if level < now && name != "metadata.version" => {
            "This release keeps its own level: its next start would raise it again.".to_owned()
        }
        Some(_) if level < now => {
            let why = "Refusing to perform the requested downgrade because it might delete metadata information.";
            return Some(format!("Invalid metadata.version {level}. {why}"));
        }
        Some(_) => return None,
    };
    Some(format!("Invalid update version {level} for feature {name}. {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::fixtures::image;
    use crate::metadata::image::METADATA_VERSION;

    fn ask(version: i16, feature: &str, max_version_level: i16, upgrade_type: i8) -> UpdateFeaturesResponse {
        let update =
            FeatureUpdateKey { feature: feature.to_owned(), max_version_level, upgrade_type, ..Default::default() };
        let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
        answer(&request, version, &image())
    }

    #[test]
    fn a_level_stays_and_any_other_is_refused_in_kafkas_words() {
        let name = "metadata.version";
        assert_eq!(ask(2, name, METADATA_VERSION, UPGRADE).error_code, 0);
        for (feature, level, kind, why) in [
            (name, METADATA_VERSION - 1, UPGRADE, "without setting the upgrade type"),
            (name, METADATA_VERSION - 1, SAFE_DOWNGRADE, "Invalid metadata.version 29. Refusing to perform"),
            (name, 99, UPGRADE, "Local controller 1 only supports versions 7-30"),
            (name, 0, UNSAFE_DOWNGRADE, "only supports versions"),
            (name, -1, UPGRADE, "A feature version cannot be less than 0."),
            (name, 30, 9, "does not support the given upgrade type"),
            (
                "nothing",
                1,
                UPGRADE,
                "Invalid update version 1 for feature nothing. Local controller 1 does not support",
            ),
        ] {
            let told = ask(2, feature, level, kind);
            assert_eq!((told.error_code, told.results.len()), (95, 0), "{feature} {level}");
            let message = told.error_message.unwrap();
            assert!(message.starts_with("The update failed for all features") && message.contains(why), "{message}");
        }
    }

    #[test]
    fn before_version_2_each_feature_has_an_answer() {
        let told = ask(1, "nothing", 1, UPGRADE);
        assert_eq!((told.error_code, told.results[0].feature.as_str(), told.results[0].error_code), (0, "nothing", 95));
    }
}
