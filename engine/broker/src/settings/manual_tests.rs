//! `engine/docs/settings.md`, made of the tables and held against them: every setting that Kafka 4.3.1 documents, and ours.
//! `RINGLOG_WRITE_SETTINGS=1 cargo test -p ringlog-broker --lib manual` writes it.

use std::fmt::Write as _;
use std::path::PathBuf;

use ringlog_io::{Files, OsFiles};

use super::broker_keys::{BROKER_KEYS, broker_key};
use super::key::{Effect, Key, Update};
use super::known::{self, Scope};
use super::topic_keys::TOPIC_KEYS;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md")
}

fn manual() -> String {
    let mut text = String::from(HEAD);
    let idle = || known::all().iter().filter(|(scope, key)| *scope == Scope::Broker && broker_key(key.name).is_none());
    let refused = idle().filter(|(_, key)| key.effect == Effect::Refused);
    let groups = known::all().iter().filter(|(scope, _)| *scope == Scope::Group);
    let of = |effect: Effect| BROKER_KEYS.iter().filter(move |key| key.effect == effect);
    let topics = |effect: Effect| TOPIC_KEYS.iter().filter(move |topic| topic.key.effect == effect);
    let count = [
        of(Effect::Used).count() + topics(Effect::Used).count(),
        of(Effect::NotYet).count() + topics(Effect::NotYet).count(),
        idle().filter(|(_, key)| key.effect == Effect::Idle).count() + groups.clone().count(),
        refused.clone().count(),
    ];
    let [honoured, kept, idle_ones, refused_ones] = count;
    _ = writeln!(
        text,
        "{honoured} are honoured, {kept} are kept and nothing acts on them yet, {idle_ones} are accepted without effect, \
         {refused_ones} are refused.\n"
    );
    table(&mut text, "## A broker's, honoured", of(Effect::Used));
    table(&mut text, "## A broker's, kept: nothing acts on them yet", of(Effect::NotYet));
    table(&mut text, "## A topic's, honoured", topics(Effect::Used).map(|topic| &topic.key));
    table(&mut text, "## A topic's, kept: nothing acts on them yet", topics(Effect::NotYet).map(|topic| &topic.key));
    table(&mut text, "## A broker's, refused", refused.map(|(_, key)| key));
    table(
        &mut text,
        "## A broker's, accepted without effect",
        idle().filter(|(_, key)| key.effect == Effect::Idle).map(|(_, key)| key),
    );
    table(&mut text, "## A group's, accepted without effect", groups.map(|(_, key)| key));
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

const HEAD: &str = "# Settings

Every setting of brokers, topics and groups that Apache Kafka 4.3.1 documents, those that its brokers have beside them
(`scripts/kafka-settings` lists them from its classes), and ours, and what becomes of it here. *Changes*: whether a change while the broker runs counts at once, for one
broker or for all of them (`kafka-configs.sh --alter`), or from the next start on. `ringlog broker` warns at its start, and a
log line at a change, of each that is set to something else than its default and has no effect, with the reason that stands
here; a refused one ends the start. This file is written by a test (see `broker/src/settings/manual_tests.rs`).

";

fn table<'a>(text: &mut String, title: &str, keys: impl Iterator<Item = &'a Key>) {
    let mut keys = keys.peekable();
    if keys.peek().is_none() {
        return;
    }
    _ = writeln!(text, "{title}\n\n| setting | type | default | changes | |\n|---|---|---|---|---|");
    for key in keys {
        let default = match key.default {
            None => "none".to_owned(),
            Some("") => "empty".to_owned(),
            Some(default) => format!("`{}`", default.replace('|', "\\|")),
        };
        let changes = match key.update {
            Update::ReadOnly => "at a start",
            Update::PerBroker => "of one broker",
            Update::ClusterWide => "at once",
        };
        _ = writeln!(text, "| `{}` | {} | {default} | {changes} | {} |", key.name, key.kind.name(), key.doc);
    }
    text.push('\n');
}

#[test]
fn the_manual_says_what_the_tables_say() {
    let due = manual();
    if std::env::var_os("RINGLOG_WRITE_SETTINGS").is_some() {
        OsFiles::new().replace(&path(), due.as_bytes()).unwrap();
    }
    let there = OsFiles::new().read(&path()).unwrap_or_default();
    let there = String::from_utf8(there).unwrap();
    let differs = there.lines().zip(due.lines()).find(|(there, due)| there != due);
    assert!(
        there == due,
        "engine/docs/settings.md is not what the tables say ({differs:?}): RINGLOG_WRITE_SETTINGS=1 writes it anew"
    );
}
