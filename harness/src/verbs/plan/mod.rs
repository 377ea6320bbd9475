//! `ringlog plan`: which machines, and how many, for this load; or turned round, what machines carry.
//!
//! ```text
//!   file, options -> Ask -> Question      Catalogue -> profiles      --model -> Model (or what others published)
//!   plan::plan -> Plan -> text | JSON | HTML           --reverse: plan::reverse -> Turned -> text | JSON | HTML
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "reads loads, models and profiles, writes the document: the instrument, not the broker"
)]

mod html;
mod options;
mod partition;
mod text;

use std::path::Path;
use std::process::ExitCode;

use crate::out;
use crate::plan::ask::{Ask, Question, Wrong};
use crate::plan::interval::Interval;
use crate::plan::model::Model;
use crate::plan::{self, reverse};
use crate::spec::document::{Document, Finding};
use crate::spec::hardware::{Catalogue, Entry, Profile};
use options::Options;

/// Nothing fits.
const NOTHING_FITS: u8 = 3;
/// The exit codes of a value and of an option that are wrong.
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Why there is no plan.
#[derive(Debug)]
struct Refused {
    words: String,
    code: u8,
}

impl From<String> for Refused {
    fn from(words: String) -> Self {
        Self { words, code: FAILED }
    }
}

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("plan", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok((text, code)) => out::product(text.trim_end(), code),
        Err(refused) => {
            errln!("{}", refused.words);
            ExitCode::from(refused.code)
        }
    }
}

fn run(options: &Options) -> Result<(String, ExitCode), Refused> {
    if let Some(option) = options.idle() {
        let words =
            format!("{option} is about measuring a partition: give --measure-partition with it, or leave it out");
        return Err(Refused { words, code: USAGE });
    }
    let mut question = question(options)?;
    let all = Catalogue::load(options.profile_dir.as_deref()).map_err(|it| lines(&it))?;
    let model = options.model.as_deref().map_or_else(|| Ok(Model::published()), model)?;
    let of_model = match &options.measured_on {
        Some(name) => Some(machine(&all, name)?),
        None => model.profile.as_ref().and_then(|name| all.get(name).ok()).map(|it| it.profile.clone()),
    };
    let turned = options.reverse.as_deref().map(|it| machine(&all, it)).transpose()?;
    let methods_of = options.methods_of.as_deref().map(|it| machine(&all, it)).transpose();
    let methods_of = methods_of.map_err(|it| Refused { words: format!("--methods-of: {it}"), code: USAGE })?;
    let profiles = machines(&all, &options.profiles)?;
    // Minutes are spent only once nothing else can be wrong.
    if options.dry_run {
        return Ok((partition::would(&question, &options.targets, &options.place)?, ExitCode::SUCCESS));
    }
    if options.measure_partition {
        let found = partition::measure(&question, &options.targets, &options.place)?;
        errln!("{}", found.told);
        question.set_partition(found.in_mb_s, found.out_mb_s);
    }
    if let Some(profile) = turned {
        let turned =
            reverse::turned(&question, &model, of_model.as_ref(), (&profile, options.brokers), options.place.seed);
        let code = if turned.carried.is_some() { ExitCode::SUCCESS } else { ExitCode::from(NOTHING_FITS) };
        write_page(options, || html::turned(&turned))?;
        return Ok((if options.json { json(&turned)? } else { text::turned(&turned) }, code));
    }
    let profiles: Vec<&Profile> = profiles.iter().collect();
    let plan = plan::plan(&question, &model, of_model.as_ref(), (&profiles, methods_of.as_ref()), options.place.seed);
    let code = if plan.fits.is_empty() { ExitCode::from(NOTHING_FITS) } else { ExitCode::SUCCESS };
    write_page(options, || html::page(&plan))?;
    Ok((if options.json { json(&plan)? } else { text::plan(&plan, options.top as usize) }, code))
}

/// A machine by its name, or by the file it is in.
fn machine(all: &Catalogue, name: &str) -> Result<Profile, String> {
    let path = Path::new(name);
    if path.extension().is_none_or(|it| it != "toml") {
        return all.get(name).map(|it| it.profile.clone());
    }
    let entry = Entry::open(path).map_err(|it| lines(&it))?;
    let found = all.beside(&entry);
    if found.is_empty() { Ok(entry.profile) } else { Err(lines(&found)) }
}

/// Machines by patterns and files; all that there are without any.
fn machines(all: &Catalogue, named: &[String]) -> Result<Vec<Profile>, String> {
    let is_file = |it: &&String| Path::new(it.as_str()).extension().is_some_and(|it| it == "toml");
    let (files, patterns): (Vec<&String>, Vec<&String>) = named.iter().partition(is_file);
    let patterns: Vec<String> = patterns.into_iter().cloned().collect();
    let mut profiles: Vec<Profile> = Vec::new();
    if files.is_empty() || !patterns.is_empty() {
        profiles.extend(all.select(&patterns)?.into_iter().map(|it| it.profile.clone()));
    }
    for file in files {
        let profile = machine(all, file)?;
        profiles.retain(|it| it.name != profile.name);
        profiles.push(profile);
    }
    Ok(profiles)
}

fn write_page(options: &Options, page: impl FnOnce() -> String) -> Result<(), String> {
    let Some(path) = &options.html else { return Ok(()) };
    std::fs::write(path, page()).map_err(|error| format!("{}: {error}", path.display()))
}

/// What was asked for, from the file and the options.
fn question(options: &Options) -> Result<Question, String> {
    let Some(path) = &options.file else {
        let place = |key: &str| format!("--{}", key.replace('_', "-"));
        return resolved(options, options.ask.clone()).map_err(|wrong| words(&wrong, place));
    };
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{origin}: {error}"))?;
    let document = Document::parse(&origin, &text).map_err(|it| it.to_string())?;
    let file: Ask = document.read().map_err(|it| it.to_string())?;
    let said = toml::Table::try_from(&options.ask).unwrap_or_default();
    let place = |key: &str| match document.line_of(key) {
        _ if said.contains_key(key) => format!("--{}", key.replace('_', "-")),
        line if document.has(key) => format!("{origin}:{line}"),
        _ => origin.clone(),
    };
    resolved(options, options.ask.clone().over(file)).map_err(|wrong| words(&wrong, place))
}

/// Turned round, the rate is what is looked for: none need be said.
fn resolved(options: &Options, ask: Ask) -> Result<Question, Vec<Wrong>> {
    let looked_for = options.reverse.is_some() && !ask.has_rate();
    let ask = if looked_for { Ask { records_per_s: Some(Interval::known(1.0)), ..ask } } else { ask };
    ask.resolve()
}

fn words(wrong: &[Wrong], place: impl Fn(&str) -> String) -> String {
    wrong.iter().map(|it| format!("{}: {}", place(it.key), it.words)).collect::<Vec<_>>().join("\n")
}

fn model(path: &Path) -> Result<Model, String> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{origin}: {error}"))?;
    let document = Document::parse(&origin, &text).map_err(|it| it.to_string())?;
    let model: Model = document.read().map_err(|it| it.to_string())?;
    let wrong: Vec<Finding> = model.wrong().into_iter().map(|(path, words)| document.finding(path, words)).collect();
    if wrong.is_empty() { Ok(model) } else { Err(lines(&wrong)) }
}

fn lines(found: &[Finding]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn json<T: serde::Serialize>(it: &T) -> Result<String, String> {
    serde_json::to_string_pretty(it).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::results::tests::scratch;

    fn line(words: &str) -> Result<(String, ExitCode), String> {
        coded(words).map_err(|it| it.words)
    }

    fn coded(words: &str) -> Result<(String, ExitCode), Refused> {
        let argv = std::iter::once("plan").chain(words.split_whitespace());
        let options = Options::try_parse_from(argv);
        run(&options.map_err(|it| Refused { words: it.to_string(), code: USAGE })?)
    }

    const HANDBOOK: &str = "--users 1000000 --records-per-user-day 100 --record-bytes 1000 --peak-factor 20 --replicas 2 --retention-days 3";

    #[test]
    fn the_handbooks_example_is_told_with_methods_sources_reasons_and_what_it_rests_on() {
        let text = line(HANDBOOK).unwrap().0;
        for expected in [
            "handbook",
            "2 x ceil(23.15 MB/s x 2 / 100) + 1",
            "Alibaba",
            "Cloudera",
            "rejected",
            "rests on",
            "to know it better",
            "not measured",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn json_and_html_have_the_plan() {
        let dir = scratch("plan-html");
        let path = dir.join("plan.html");
        let words = format!("{HANDBOOK} --json --html {} --profiles aws-i4i-*", path.display());
        let json: serde_json::Value = serde_json::from_str(&line(&words).unwrap().0).unwrap();
        assert_eq!(json["fits"][0]["brokers_likeliest"], 3);
        assert_eq!(json["question"]["replicas"], 2);
        let html = std::fs::read_to_string(&path).unwrap();
        assert!(
            html.contains("aws-i4i-xlarge")
                && html.contains("Alibaba")
                && !html.contains("http-equiv")
                && !html.contains("src=")
        );
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_was_said() {
        let dir = scratch("plan-wrong");
        let path = dir.join("load.toml");
        let refused = |text: &str, more: &str| {
            std::fs::write(&path, text).unwrap();
            line(&format!("{} {more}", path.display())).unwrap_err()
        };
        assert!(
            refused("schema = 1\nrecords_per_s = 5\nreplicas = 0", "")
                .contains("load.toml:3: replicas is 0; it must be 1 to 32")
        );
        assert!(
            refused("records_per_s = 5\npeak_facotr = 2", "")
                .contains("load.toml:2: there is no key \"peak_facotr\" here; the nearest is \"peak_factor\"")
        );
        assert!(refused("records_per_s = 5", "--record-bytes 0").contains("--record-bytes: record_bytes is 0"));
        assert!(refused("records_per_s = { low = 1, mid = 2 }", "").contains("load.toml:1: "));
        let empty = refused("", "");
        assert!(empty.contains("load.toml: say how much there is") && !empty.contains("--records-per-day"), "{empty}");
        std::fs::write(&path, "records_per_s = 5\nacks = 1\n").unwrap();
        assert!(line(&format!("{} --profiles aws-i4i-2xlarge", path.display())).is_ok(), "acks = 1 needs no quotes");
        assert!(refused("records_per_s = 5\nacks = 2", "").contains("load.toml:2: acks is \"2\"; it must be one of"));
        assert!(line("--records-per-s -5").unwrap_err().contains("records_per_s is -5; it must be above 0"));
        assert!(
            line("--records-per-s 5 --profiles aws-i4i-2xlage").unwrap_err().contains("the nearest is aws-i4i-2xlarge")
        );
        assert!(line("nowhere.toml").unwrap_err().contains("nowhere.toml: No such file"));
        std::fs::write(
            dir.join("m.toml"),
            "schema = 1\nname = \"m\"\nsource = \"s\"\n[cpu]\nms_per_mb_in = -1\nms_per_mb_out = 1\n",
        )
        .unwrap();
        let words = format!("--records-per-s 5 --model {}", dir.join("m.toml").display());
        assert!(line(&words).unwrap_err().contains("m.toml:5: cpu.ms_per_mb_in is -1; it must be 0 or more"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn turned_round_it_says_what_is_carried_at_a_stated_p99() {
        let text = line("--groups 2 --p99-ms-max 20 --reverse aws-i4i-2xlarge --brokers 3").unwrap().0;
        assert!(
            text.contains("3 x aws-i4i-2xlarge") && text.contains("MB/s") && text.contains("short first"),
            "{text}"
        );
        for expected in ["W R (Cloudera)", "what it rests on", "round trip", "retention_days"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let dir = scratch("plan-turned");
        let page = dir.join("r.html");
        let words = format!("--reverse aws-i4i-2xlarge --retention-days 7 --json --html {}", page.display());
        let json: serde_json::Value = serde_json::from_str(&line(&words).unwrap().0).unwrap();
        assert_eq!((&json["bottleneck"], &json["question"]["replicas"]), (&"disk-capacity".into(), &3.into()));
        assert!(std::fs::read_to_string(&page).unwrap().contains("What it rests on"));
        std::fs::remove_dir_all(dir).unwrap();
        let none: serde_json::Value =
            serde_json::from_str(&line("--reverse aws-i4i-2xlarge --brokers 1 --json").unwrap().0).unwrap();
        assert_eq!(none["excuse"]["resource"], "replicas");
        let (text, code) = line("--reverse aws-i4i-2xlarge --brokers 1").unwrap();
        assert!(text.contains("3 brokers are needed for 3 replicas") && code == ExitCode::from(NOTHING_FITS), "{text}");
    }

    #[test]
    fn methods_are_told_where_nothing_fits_and_of_any_machine_that_there_is() {
        let (text, code) = line("--records-per-s 1e9 --profiles aws-t3-medium-gp3-125").unwrap();
        assert_eq!(code, ExitCode::from(NOTHING_FITS));
        for expected in ["no machine fits", "without a machine", "Google", "AKalculator", "Redpanda", "handbook"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let text = line("--records-per-s 5 --profiles aws-i4i-* --methods-of handbook-1gbe-hdd").unwrap().0;
        assert!(text.contains("on handbook-1gbe-hdd") && text.contains("50 % of 32 hardware threads"), "{text}");
        let refused = coded("--records-per-s 5 --methods-of aws-i4i-2xlage").unwrap_err();
        assert_eq!(refused.code, USAGE);
        assert!(refused.words.contains("--methods-of") && refused.words.contains("the nearest is aws-i4i-2xlarge"));
    }

    #[test]
    fn what_is_about_measuring_a_partition_is_refused_without_it_and_a_dry_run_measures_nothing() {
        for option in ["--emulate aws-t3-medium-gp3-125", "--bootstrap-server localhost:9092", "--target ringlog"] {
            let refused = coded(&format!("--records-per-s 5 {option}")).unwrap_err();
            assert_eq!(refused.code, USAGE);
            let name = option.split_whitespace().next().unwrap();
            assert!(refused.words.contains(name) && refused.words.contains("--measure-partition"), "{}", refused.words);
        }
        let words = "--records-per-s 5 --record-bytes 300 --measure-partition --dry-run --bootstrap-server localhost:9";
        let text = line(words).unwrap().0;
        assert!(text.contains("would write records of 300 bytes to one partition of kafka"), "{text}");
        assert!(coded("--records-per-s 5 --dry-run").is_err());
    }

    #[test]
    fn what_a_person_buys_is_told_and_a_machine_may_be_a_file() {
        let dir = scratch("plan-file");
        let all = Catalogue::load(None).unwrap();
        let text = all.get("aws-m7g-2xlarge-gp3-500").unwrap().text.replace("aws-m7g-2xlarge-gp3-500\"", "mine\"");
        let probe = "[probe]\nseconds = 1.0\nsteal_share = 0.5\ndisturbed = [\"the hypervisor took 50 % of a core\"]\n";
        let path = dir.join("mine.toml");
        std::fs::write(&path, text + probe).unwrap();
        let words = format!("--records-per-s 1000 --replicas 3 --retention-days 7 --profiles {}", path.display());
        let text = line(&words).unwrap().0;
        for expected in ["mine", "8 (8)", "864 to buy", "2592", "note: mine was disturbed", "took 50 % of a core"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("aws-m7g"), "only that one was asked for");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
