//! Where a run took place: the machine, the targets, the command, what was unusual. Read before figures are compared.

use maud::{Markup, html};

use crate::report::kept::Kept;
use crate::report::text;

/// What stands where nothing is known.
const UNKNOWN: &str = "not known";

pub(super) fn section(kept: &Kept) -> Markup {
    let manifest = &kept.manifest;
    html! {
        section id="machine" {
            h2 { "Where did it run?" }
            dl.facts {
                @for (name, value) in facts(kept) { div { dt { (name) } dd { (value) } } }
            }
            @if !manifest.warnings.is_empty() {
                p { b { "Unusual about this run:" } }
                ul { @for it in &manifest.warnings { li { (it) } } }
            }
            @if !manifest.command.is_empty() { p { "Made with " code { (command(&manifest.command)) } } }
        }
    }
}

fn facts(kept: &Kept) -> Vec<(String, String)> {
    let (manifest, host) = (&kept.manifest, &kept.manifest.host);
    let known = |it: &Option<String>| it.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let mut facts = vec![("hardware", or_unknown(&manifest.hardware))];
    if host.cores > 0 {
        let memory = host.memory_bytes.map_or_else(|| UNKNOWN.to_owned(), gib);
        let limit = host.cgroup.cpu_quota_cores.map(|it| format!(", limited to {it} cores' time"));
        let cores = format!("{} x {} ({})", host.cores, known(&host.cpu_model), host.arch);
        facts.push(("cores", format!("{cores}{}", limit.unwrap_or_default())));
        facts.push((
            "memory",
            host.cgroup.memory_bytes.map_or(memory.clone(), |it| format!("{memory}, limited to {}", gib(it))),
        ));
        facts.push(("kernel", format!("{}, io_uring {}", known(&host.kernel), host.io_uring)));
        facts.push(("virtualised", host.virtualisation.clone()));
    }
    if manifest.storage.file_system.is_some() {
        let storage = &manifest.storage;
        facts.push(("storage", format!("{} on {}", known(&storage.file_system), known(&storage.device))));
    }
    let cores: Vec<String> =
        manifest.broker.iter().map(|(key, core)| format!("{} {core}", key.replace('_', " "))).collect();
    if !cores.is_empty() {
        facts.push(("seats", text::list(&cores)));
    }
    let commit = manifest.commit.as_deref().map_or(UNKNOWN, |it| it.get(..12).unwrap_or(it));
    let dirty = if manifest.commit.as_ref().is_some_and(|it| it.ends_with("-dirty")) { ", with changes" } else { "" };
    facts.push((
        "instrument",
        format!("ringlog {}, build {}, commit {commit}{dirty}", manifest.version, or_unknown(&manifest.build)),
    ));
    facts.push(("began, ended", format!("{}, {}", second(&manifest.began), second(&manifest.ended))));
    let mut facts: Vec<(String, String)> = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    facts.extend(
        manifest.emulated.iter().map(|(key, said)| (format!("emulated: {}", key.replace('_', " ")), said.clone())),
    );
    for (name, said) in &manifest.targets {
        let said: Vec<String> = said.iter().map(|(key, value)| format!("{} {value}", key.replace('_', " "))).collect();
        facts.push((name.clone(), said.join("; ")));
    }
    facts
}

/// A time to the second.
fn second(time: &str) -> String {
    or_unknown(&time.get(..19).map_or_else(|| time.to_owned(), |it| format!("{} UTC", it.replace('T', " "))))
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() }
}

/// A command line that a shell takes.
fn command(words: &[String]) -> String {
    let is_plain =
        |it: &str| !it.is_empty() && it.chars().all(|it| it.is_ascii_alphanumeric() || "-_=./:,+@%".contains(it));
    let quoted = |it: &String| if is_plain(it) { it.clone() } else { format!("'{}'", it.replace('\'', "'\\''")) };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let words = ["ringlog", "bench", "--name", "it's", ""].map(str::to_owned);
        assert_eq!(command(&words), "ringlog bench --name 'it'\\''s' ''");
    }

    #[test]
    fn an_empty_manifest_says_that_nothing_is_known() {
        let text = section(&Kept::default()).into_string();
        assert!(text.contains("not known") && !text.contains("Unusual"), "{text}");
    }
}
