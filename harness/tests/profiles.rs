//! Every number of a hardware profile has a source, and a profile's name is its file's.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test that reads the profiles")]

use std::path::{Path, PathBuf};

use toml::Value;

fn profiles() -> Vec<(String, Value)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/hardware");
    let files = std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let read = |path: PathBuf| {
        let table: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), Value::Table(table))
    };
    files.filter(|it| it.extension().is_some_and(|it| it == "toml")).map(read).collect()
}

/// The names of all numbers below a value, as facts name them. Quantiles belong to the table that holds them.
fn numbers(name: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Integer(_) | Value::Float(_) => found.push(name.to_owned()),
        Value::Table(table) if table.keys().all(|key| key.starts_with('p')) => found.push(name.to_owned()),
        Value::Table(table) => table.iter().for_each(|(key, it)| numbers(&format!("{name}.{key}"), it, found)),
        Value::Array(all) => all.iter().enumerate().for_each(|(at, it)| numbers(&format!("{name}.{at}"), it, found)),
        _ => {}
    }
}

#[test]
fn every_number_of_a_hardware_profile_has_a_fact() {
    let profiles = profiles();
    assert!(!profiles.is_empty());
    for (stem, profile) in profiles {
        assert_eq!(profile["name"].as_str(), Some(stem.as_str()));
        let facts = profile["fact"].as_array().unwrap();
        let facts: Vec<&str> = facts.iter().map(|it| it["field"].as_str().unwrap()).collect();
        let mut found = Vec::new();
        for (key, value) in profile.as_table().unwrap().iter().filter(|it| it.0 != "schema" && it.0 != "fact") {
            numbers(key, value, &mut found);
        }
        assert!(!found.is_empty());
        for number in found {
            assert!(facts.contains(&number.as_str()), "{stem}: {number} has no [[fact]]");
        }
    }
}
