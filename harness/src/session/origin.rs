//! Where the programs of a run came from, as the manifest has it, and the way back: what a rerun needs.
//!
//! ```text
//!   Target { start, settings, topic_configs, .. }  -->  [targets.NAME] start, program_sha256, settings, topic, ..
//!   [targets.NAME]                                 -->  Target
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::client::properties::Properties;
use crate::target::{Client, Start, Target, client, spec};

/// Facts of a target, as the manifest names them.
pub(super) const START: &str = "start";
/// Hash of the program: of its binary, or of all its jars in the order of their names.
pub(crate) const SHA256: &str = "program_sha256";
const SETTINGS: &str = "settings";
const TOPIC: &str = "topic";
const REPLICATION: &str = "replication_factor";
const WARM_UP: &str = "warm_up_mb";
/// The client that was measured, where it was another process than ours, and the hash of its program.
pub(crate) const CLIENT: &str = "client";
const CLIENT_SHA256: &str = "client_sha256";
pub(super) const REMOTE: &str = "remote";

/// What the manifest says of how a target was had, beside what it said of itself.
pub(super) fn facts(target: &Target) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut say = |key: &str, value: Option<String>| facts.extend(value.map(|it| (key.to_owned(), it)));
    say(START, word(&target.start));
    say(SHA256, sha256(&target.start));
    say(TOPIC, Some(in_words(target.topic_configs.iter().map(|it| (&it.0, &it.1)))).filter(|it| !it.is_empty()));
    say(REPLICATION, target.is_started().then(|| target.replication_factor.to_string()));
    say(CLIENT, target.client.as_ref().map(|it| it.word.clone()));
    say(CLIENT_SHA256, target.client.as_ref().and_then(client_sha256));
    say(WARM_UP, (target.warm_up_mb > 0).then(|| target.warm_up_mb.to_string()));
    facts
}

/// Hash of this program.
pub(crate) fn own_sha256() -> Option<String> {
    hash_of(&[std::env::current_exe().ok()?]).ok()
}

/// The target that a manifest's facts are of; in words, why there is none.
pub(crate) fn target(name: &str, facts: &BTreeMap<String, String>) -> Result<Target, String> {
    let Some(word) = facts.get(START).cloned().or_else(|| older_word(facts)) else {
        return Err(format!(
            "the manifest does not say how {name} was started: name it with --target or --bootstrap-server"
        ));
    };
    let mut target = if word == REMOTE { remote(name, facts)? } else { started(name, &word)? };
    target.settings = pairs(facts.get(SETTINGS)).into_iter().collect();
    target.topic_configs = pairs(facts.get(TOPIC));
    let number = |key: &str| facts.get(key).and_then(|it| it.parse::<u64>().ok());
    target.warm_up_mb = number(WARM_UP).unwrap_or(target.warm_up_mb);
    let replicas = facts.get(REPLICATION).and_then(|it| it.parse().ok());
    target.replication_factor = replicas.unwrap_or(target.replication_factor);
    target.client = client(facts)?;
    Ok(target)
}

/// The client that a manifest's facts name, if they name one; in words, why there is none.
pub(crate) fn client(facts: &BTreeMap<String, String>) -> Result<Option<Client>, String> {
    let parse = |word: &String| client::parse(word, &spec::peers()).map_err(|error| error.to_string());
    facts.get(CLIENT).map(parse).transpose()
}

fn started(name: &str, word: &str) -> Result<Target, String> {
    let target = spec::parse(word, &spec::peers()).map_err(|error| error.to_string())?;
    Ok(Target { name: name.to_owned(), ..target })
}

fn remote(name: &str, facts: &BTreeMap<String, String>) -> Result<Target, String> {
    let protocol = facts.get("security_protocol").map_or("PLAINTEXT", String::as_str);
    let Some(bootstrap) = facts.get("bootstrap_servers").filter(|_| protocol == "PLAINTEXT") else {
        let advice = "give --bootstrap-server and --command-config";
        return Err(format!("{name} is reached over {protocol}, and a manifest keeps no secrets: {advice}"));
    };
    let mut client = Properties::new();
    client.set("bootstrap.servers", bootstrap);
    Ok(Target::new(name, Start::Remote { client, pids: Vec::new() }))
}

/// What manifests said before they had the word.
fn older_word(facts: &BTreeMap<String, String>) -> Option<String> {
    let version = facts.get("jars").and_then(|it| it.strip_prefix("kafka-"));
    let is_ours = facts.get("ready").is_some_and(|it| it.starts_with("ringlog broker"));
    version.map(|it| format!("kafka:{it}")).or_else(|| is_ours.then(|| "ringlog".to_owned()))
}

/// The word of the command line that gives this start.
fn word(start: &Start) -> Option<String> {
    match start {
        Start::Ringlog { program: None } => Some("ringlog".to_owned()),
        Start::Ringlog { program: Some(path) } => Some(format!("ringlog:{}", path.display())),
        Start::Kafka { libs, nodes } => {
            let times = if *nodes == 1 { String::new() } else { format!("{nodes}x") };
            let folder = libs.parent().and_then(Path::file_name).map(|it| it.to_string_lossy().into_owned());
            let version = folder.as_deref().and_then(|it| it.strip_prefix("kafka-")).filter(|_| libs.ends_with("libs"));
            let jars = version.map_or_else(|| libs.display().to_string(), str::to_owned);
            Some(format!("{times}kafka:{jars}"))
        }
        Start::Remote { .. } => Some(REMOTE.to_owned()),
        Start::Null(_) => None,
    }
}

/// Hash of what a start runs; `None` where it runs elsewhere, or cannot be read.
pub(crate) fn sha256(start: &Start) -> Option<String> {
    match start {
        Start::Ringlog { program: None } => own_sha256(),
        Start::Ringlog { program: Some(path) } => hash_of(std::slice::from_ref(path)).ok(),
        Start::Kafka { libs, .. } => jars(libs).and_then(|jars| hash_of(&jars)).ok(),
        Start::Remote { .. } | Start::Null(_) => None,
    }
}

/// Hash of a client's program.
fn client_sha256(client: &Client) -> Option<String> {
    match client.folder_or_file() {
        None => own_sha256(),
        Some(folder) if folder.is_dir() => jars(folder).and_then(|jars| hash_of(&jars)).ok(),
        Some(file) => hash_of(&[file.to_owned()]).ok(),
    }
}

fn jars(libs: &Path) -> io::Result<Vec<PathBuf>> {
    let mut jars: Vec<PathBuf> = std::fs::read_dir(libs)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
    jars.retain(|it| it.extension().is_some_and(|it| it == "jar"));
    jars.sort();
    Ok(jars)
}

fn hash_of(files: &[PathBuf]) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    for path in files {
        let mut file = std::fs::File::open(path)?;
        loop {
            let read = io::Read::read(&mut file, &mut block)?;
            if read == 0 {
                break;
            }
            hash.update(&block[..read]);
        }
    }
    Ok(hash.finalize().iter().map(|it| format!("{it:02x}")).collect())
}

fn in_words<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn pairs(words: Option<&String>) -> Vec<(String, String)> {
    let words = words.map_or("", String::as_str).split_whitespace();
    words.filter_map(|it| it.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[(&str, &str)]) -> BTreeMap<String, String> {
        words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_started_target_comes_back_from_its_facts() {
        let mut own = Target::new("mine", Start::Ringlog { program: None });
        own.settings = of(&[("ringlog.io", "epoll"), ("log.flush.interval.messages", "1")]);
        own.topic_configs = vec![("flush.ms".to_owned(), "0".to_owned())];
        (own.replication_factor, own.warm_up_mb) = (3, 500);
        let mut said = facts(&own);
        assert_eq!(said[SHA256].len(), 64);
        said.insert(SETTINGS.to_owned(), in_words(own.settings.iter()));
        assert_eq!(target("mine", &said).unwrap(), own);
    }

    #[test]
    fn a_cluster_comes_back_with_its_nodes_and_its_replicas() {
        let dir = crate::results::tests::scratch("origin-cluster");
        std::fs::create_dir_all(&dir).unwrap();
        let libs = dir.canonicalize().unwrap();
        let mut own = Target::new("three", Start::Kafka { libs, nodes: 3 });
        own.replication_factor = 1;
        let said = facts(&own);
        assert!(said[START].starts_with("3xkafka:/"), "{said:?}");
        own.warm_up_mb = target("three", &said).unwrap().warm_up_mb;
        assert_eq!(
            target("three", &said).unwrap(),
            own,
            "one replica was asked for, and is not what a cluster has unasked"
        );
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn older_manifests_say_it_in_other_words_and_secrets_are_not_kept() {
        let own = target("ringlog", &of(&[("ready", "ringlog broker ready: listening on ..")])).unwrap();
        assert_eq!(own.start, Start::Ringlog { program: None });
        let kafka = target("k", &of(&[("jars", "kafka-9.9.9")])).unwrap_err();
        assert!(kafka.contains("kafka-9.9.9") && kafka.contains("scripts/peers fetch"), "{kafka}");
        assert!(target("x", &of(&[])).unwrap_err().contains("does not say how x was started"));
        let tls = of(&[("start", "remote"), ("bootstrap_servers", "h:1"), ("security_protocol", "SASL_SSL")]);
        assert!(target("x", &tls).unwrap_err().contains("--command-config"));
        let plain = target("x", &of(&[("start", "remote"), ("bootstrap_servers", "h:1")])).unwrap();
        assert!(matches!(plain.start, Start::Remote { client, .. } if client.get("bootstrap.servers") == Some("h:1")));
    }
}
