//! A run that is gone on with: the same question as the one that was stopped, or none.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::SessionError;
use super::origin::{REMOTE, SHA256, START};
use super::story;
use crate::emulate::told;
use crate::results::{Manifest, Row};
use crate::run::summary;

/// Facts of a target that the rows before were made with.
const OF_TARGETS: [&str; 5] = ["start", "settings", "topic", "replication_factor", "client"];
/// Who answered, and where, of a target that ran already: the rows before are of that one.
const CLUSTER: &str = "cluster_id";
const BOOTSTRAP: &str = "bootstrap_servers";
/// What a comparison varies on its sides beside the targets.
const OF_SIDES: [&str; 2] = ["a_set", "b_set"];
/// What is told of a fact that is not there.
const NONE: &str = "none";

/// Refuses to go on with a run of something else; what is unusual about going on with this one, in words.
pub(super) fn may_go_on(path: &Path, kept: &Manifest, now: &Manifest) -> Result<Vec<String>, SessionError> {
    match difference(kept, now) {
        None => Ok(other_programs(kept, now).into_iter().chain(other_addresses(kept, now)).collect()),
        Some(what) => Err(SessionError::Resume { path: path.to_owned(), what }),
    }
}

/// The warnings that an earlier part of a run left, without those that followed from its rows: they are made again from all.
pub(super) fn warnings(kept: &[String], rows: &[Row], more: impl Iterator<Item = String>) -> Vec<String> {
    let derived = summary::warnings(rows, story::meaning);
    let mut all: Vec<String> = kept.iter().filter(|it| !derived.contains(it)).cloned().collect();
    for warning in more {
        if !all.contains(&warning) {
            all.push(warning);
        }
    }
    all
}

fn difference(kept: &Manifest, now: &Manifest) -> Option<String> {
    if kept.target != now.target {
        return Some(format!("that run is of {}, this one of {}", kept.target, now.target));
    }
    if kept.workloads != now.workloads {
        let names: Vec<&str> = kept.workloads.keys().map(String::as_str).collect();
        return Some(format!("that run is of {} with its workloads as they were ({})", kept.target, names.join(", ")));
    }
    let machine = |of: &Manifest| {
        let emulated = of.emulated.get(told::ASKED);
        emulated.map_or_else(|| "on this machine as it is".to_owned(), |it| format!("with --emulate {it}"))
    };
    if machine(kept) != machine(now) {
        return Some(format!("that run was made {}, this one would be {}", machine(kept), machine(now)));
    }
    let of_targets = now.targets.iter().find_map(|(name, facts)| of_target(name, kept.targets.get(name)?, facts));
    of_targets.or_else(|| OF_SIDES.iter().find_map(|key| of_side(key, kept, now)))
}

fn of_target(name: &str, kept: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let Some(differs) = OF_TARGETS.iter().find(|key| kept.get(**key) != now.get(**key)) else {
        return of_cluster(name, kept, now);
    };
    let words = |of: &BTreeMap<String, String>| of.get(*differs).cloned().unwrap_or_else(|| NONE.to_owned());
    Some(format!("{name} had as {}: {}, and has: {}", differs.replace('_', " "), words(kept), words(now)))
}

/// A broker that ran already is the same one where its cluster says so; where that is not known, where its address does. One
/// that is started has a new address each time.
fn of_cluster(name: &str, kept: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    if !is_remote(now) {
        return None;
    }
    let key = if kept.contains_key(CLUSTER) && now.contains_key(CLUSTER) { CLUSTER } else { BOOTSTRAP };
    let of = |facts: &BTreeMap<String, String>, key: &str| facts.get(key).cloned().unwrap_or_else(|| NONE.to_owned());
    let words = |facts| format!("{} (cluster {})", of(facts, BOOTSTRAP), of(facts, CLUSTER));
    (kept.get(key) != now.get(key)).then(|| {
        format!("that run is of the broker at {}, this one of another: {} at {}", words(kept), name, words(now))
    })
}

fn is_remote(facts: &BTreeMap<String, String>) -> bool {
    facts.get(START).is_some_and(|it| it == REMOTE)
}

/// Clusters that are reached under another address than before.
fn other_addresses(kept: &Manifest, now: &Manifest) -> Vec<String> {
    let moved = |(name, facts): (&String, &BTreeMap<String, String>)| {
        let (before, after) = (kept.targets.get(name)?.get(BOOTSTRAP)?, facts.get(BOOTSTRAP)?);
        let is_moved = is_remote(facts) && before != after;
        is_moved.then(|| format!("{name}: the same cluster, at {after} and not at {before} as before"))
    };
    now.targets.iter().filter_map(moved).collect()
}

fn of_side(key: &str, kept: &Manifest, now: &Manifest) -> Option<String> {
    let words = |of: &Manifest| of.asked.get(key).map_or_else(|| NONE.to_owned(), ToString::to_string);
    (kept.asked.get(key) != now.asked.get(key))
        .then(|| format!("--{} was {}, and is {}", key.replace('_', "-"), words(kept), words(now)))
}

/// Targets whose program is not the one of the rows before.
fn other_programs(kept: &Manifest, now: &Manifest) -> Vec<String> {
    let is_other = |name: &String, facts: &BTreeMap<String, String>| {
        let before = kept.targets.get(name).and_then(|it| it.get(SHA256));
        before.is_some_and(|it| facts.get(SHA256).is_some_and(|now| now != it))
    };
    let others = now.targets.iter().filter(|(name, facts)| is_other(name, facts));
    others.map(|(name, _)| format!("{name}: the program is not the one that the rows before are of")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let facts = [("start", "ringlog"), ("settings", "a=1"), (SHA256, "aa"), ("bootstrap_servers", "127.0.0.1:1")];
        let facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let targets = [("ringlog-a".to_owned(), facts)].into();
        let asked = toml::toml! { a_set = ["x=1"] b_set = [] pairs = 6 };
        Manifest { target: "ringlog-a".to_owned(), targets, asked, ..Manifest::default() }
    }

    #[test]
    fn the_same_question_goes_on_with_more_pairs_and_on_another_port() {
        let mut now = manifest();
        now.asked.insert("pairs".to_owned(), 20.into());
        now.targets.get_mut("ringlog-a").unwrap().insert("bootstrap_servers".to_owned(), "127.0.0.1:2".to_owned());
        assert!(may_go_on(Path::new("r"), &manifest(), &now).unwrap().is_empty());
        now.targets.get_mut("ringlog-a").unwrap().insert(SHA256.to_owned(), "bb".to_owned());
        let told = may_go_on(Path::new("r"), &manifest(), &now).unwrap();
        assert!(told[0].starts_with("ringlog-a: the program is not"), "{told:?}");
    }

    #[test]
    fn another_broker_that_ran_already_is_refused_and_the_same_cluster_elsewhere_is_told() {
        let remote = |cluster: Option<&str>, bootstrap: &str| {
            let mut manifest = manifest();
            let facts = manifest.targets.get_mut("ringlog-a").unwrap();
            facts.insert(START.to_owned(), REMOTE.to_owned());
            facts.insert(BOOTSTRAP.to_owned(), bootstrap.to_owned());
            facts.extend(cluster.map(|it| (CLUSTER.to_owned(), it.to_owned())));
            manifest
        };
        let go_on =
            |kept: &Manifest, now: &Manifest| may_go_on(Path::new("r"), kept, now).map_err(|error| error.to_string());
        let kept = remote(Some("c1"), "a:1");
        assert_eq!(go_on(&kept, &kept), Ok(Vec::new()));
        let refused = go_on(&kept, &remote(Some("c2"), "a:1")).unwrap_err();
        assert!(refused.contains("a:1 (cluster c1)") && refused.contains("a:1 (cluster c2)"), "{refused}");
        let told = go_on(&kept, &remote(Some("c1"), "b:1")).unwrap();
        assert_eq!(told, ["ringlog-a: the same cluster, at b:1 and not at a:1 as before"]);
        let refused = go_on(&kept, &remote(None, "b:1")).unwrap_err();
        assert!(refused.contains("b:1 (cluster none)"), "{refused}");
        assert_eq!(go_on(&remote(None, "a:1"), &kept), Ok(Vec::new()), "older manifests know no cluster");
    }

    #[test]
    fn warnings_that_followed_from_rows_are_not_told_twice_with_counts_that_differ() {
        let row = Row { role: "subject".to_owned(), disturbances: "steal".to_owned(), ..Row::default() };
        let mut kept = vec!["a debug build".to_owned()];
        kept.extend(summary::warnings(std::slice::from_ref(&row), story::meaning));
        assert!(kept.len() > 1, "{kept:?}");
        let more = || std::iter::once("gone on with".to_owned());
        let once = warnings(&kept, std::slice::from_ref(&row), more());
        assert_eq!(once, ["a debug build", "gone on with"]);
        assert_eq!(warnings(&once, &[row], more()), once, "and not again");
    }

    #[test]
    fn another_question_is_refused_by_what_differs() {
        let refused = |change: fn(&mut Manifest)| {
            let mut now = manifest();
            change(&mut now);
            may_go_on(Path::new("results/r"), &manifest(), &now).unwrap_err().to_string()
        };
        let told = refused(|it| "kafka".clone_into(&mut it.target));
        assert!(told.contains("results/r: that run is of ringlog-a, this one of kafka"), "{told}");
        let told = refused(|it| drop(it.workloads.insert("w".to_owned(), toml::Table::new())));
        assert!(told.contains("its workloads"), "{told}");
        let told = refused(|it| drop(it.emulated.insert(told::ASKED.to_owned(), "cores=1".to_owned())));
        assert!(told.contains("as it is") && told.contains("--emulate cores=1"), "{told}");
        let told = refused(|it| {
            drop(it.targets.get_mut("ringlog-a").unwrap().insert("settings".to_owned(), "a=2".to_owned()))
        });
        assert!(told.contains("ringlog-a had as settings: a=1, and has: a=2"), "{told}");
        let told = refused(|it| drop(it.asked.insert("a_set".to_owned(), toml::Value::Array(Vec::new()))));
        assert!(told.contains("--a-set was") && told.contains("x=1"), "{told}");
    }
}
