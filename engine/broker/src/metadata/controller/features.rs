//! UpdateFeatures (`FeatureControlManager`): all levels of a request, or none. `transaction.version` goes up and down as in Kafka.
//! The levels of the others are those of this release: a log of an older one is raised at the start, and none is lowered, since the
//! next start would raise it again. v1 checks only where that is asked for, v2 answers for all features together.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use ringlog_wire::records::metadata::FeatureLevelRecord;

use super::super::image::{Image, TRANSACTION_VERSION};
use super::Draft;

/// What FeatureUpdate.UpgradeType knows.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

const NOT_ASKED_FOR: &str = concat!(
    "Can't downgrade the version of this feature without setting the upgrade type to either safe or ",
    "unsafe downgrade."
);

/// The record of a level.
pub(super) fn feature_level(name: &str, feature_level: i16) -> FeatureLevelRecord {
    FeatureLevelRecord { name: name.to_owned(), feature_level, ..FeatureLevelRecord::default() }
}

pub(super) fn update_features(
    request: &UpdateFeaturesRequest,
    version: i16,
    draft: &mut Draft,
) -> UpdateFeaturesResponse {
    let refused = request.feature_updates.iter().find_map(|update| refuse(update, version, &draft.image));
    if refused.is_none() && !request.validate_only {
        for FeatureUpdateKey { feature, max_version_level: level, .. } in &request.feature_updates {
            if draft.image.feature_level(feature) != *level {
                tracing::info!(feature, level, "the cluster has another level of a feature");
                draft.push(feature_level(feature, *level));
            }
        }
    }
    answer(request, version, refused)
}

fn answer(request: &UpdateFeaturesRequest, version: i16, refused: Option<String>) -> UpdateFeaturesResponse {
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
        Some(_) if level < now && name == TRANSACTION_VERSION => return None,
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
    use crate::metadata::controller::{Call, Controller, Decided};
    use crate::metadata::fixtures::{decide, image, settings, start};
    use crate::metadata::image::METADATA_VERSION;

    fn request(feature: &str, max_version_level: i16, upgrade_type: i8) -> UpdateFeaturesRequest {
        let update =
            FeatureUpdateKey { feature: feature.to_owned(), max_version_level, upgrade_type, ..Default::default() };
        UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() }
    }

    fn ask(version: i16, feature: &str, max_version_level: i16, upgrade_type: i8) -> UpdateFeaturesResponse {
        let mut draft = Draft::new(&image());
        update_features(&request(feature, max_version_level, upgrade_type), version, &mut draft)
    }

    fn change(controller: &mut Controller, request: UpdateFeaturesRequest) -> (i16, i16) {
        let Decided::UpdateFeatures(told) = decide(controller, Call::UpdateFeatures(request, 2)).outcome else {
            panic!("another answer");
        };
        (told.error_code, controller.image().feature_level(TRANSACTION_VERSION))
    }

    #[test]
    fn the_version_of_transactions_goes_down_and_up_and_the_next_start_leaves_it() {
        let refused = ErrorCode::INVALID_UPDATE_VERSION.0;
        let (mut controller, _) = start(settings(), None);
        assert_eq!(controller.image().feature_level(TRANSACTION_VERSION), 2, "a new cluster has the newest");
        let name = TRANSACTION_VERSION;
        assert_eq!(change(&mut controller, request(name, 1, UPGRADE)), (refused, 2));
        let look_only = UpdateFeaturesRequest { validate_only: true, ..request(name, 1, SAFE_DOWNGRADE) };
        assert_eq!(change(&mut controller, look_only), (0, 2));
        assert_eq!(change(&mut controller, request(name, 1, SAFE_DOWNGRADE)), (0, 1));
        assert_eq!(change(&mut controller, request(name, 0, UNSAFE_DOWNGRADE)), (0, 0));
        let (mut controller, _) = start(settings(), Some(Image::clone(controller.image())));
        assert_eq!(controller.image().feature_level(name), 0);
        assert_eq!(change(&mut controller, request(name, 2, SAFE_DOWNGRADE)), (refused, 0));
        assert_eq!(change(&mut controller, request(name, 3, UPGRADE)), (refused, 0));
        assert_eq!(change(&mut controller, request(name, 2, UPGRADE)), (0, 2));
    }

    #[test]
    fn of_several_features_all_change_or_none() {
        let (mut controller, _) = start(settings(), None);
        let mut both = request(TRANSACTION_VERSION, 1, SAFE_DOWNGRADE);
        both.feature_updates.extend(request("group.version", 0, SAFE_DOWNGRADE).feature_updates);
        assert_eq!(change(&mut controller, both), (ErrorCode::INVALID_UPDATE_VERSION.0, 2));
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
