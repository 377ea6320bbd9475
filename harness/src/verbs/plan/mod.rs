//! `ringlog plan`: which machines, and how many, for this load; or turned round, what machines carry.
//!
//! ```text
//!   file, options -> Ask -> Question      Catalogue -> profiles      --model -> Model (or what others published)
//!   plan::plan -> Plan -> text | JSON | HTML           --reverse: plan::reverse -> Carried -> text | JSON
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

use crate::plan::ask::{Ask, Question, Wrong};
use crate::plan::interval::Interval;
use crate::plan::machine::Machine;
use crate::plan::model::Model;
use crate::plan::{self, demand, draws, reverse};
use crate::spec::document::{Document, Finding};
use crate::spec::hardware::{Catalogue, Profile};
use options::Options;

/// Nothing fits.
const NOTHING_FITS: u8 = 3;

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
        Ok((text, code)) => {
            outln!("{}", text.trim_end());
            code
        }
        Err(words) => {
            errln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(String, ExitCode), String> {
    let mut question = question(options)?;
    let all = Catalogue::load(options.profile_dir.as_deref()).map_err(|it| lines(&it))?;
    let model = options.model.as_deref().map_or_else(|| Ok(Model::published()), model)?;
    let of_model = match &model.profile {
        Some(name) => all.get(name).ok().map(|it| &it.profile),
        None => None,
    };
    let turned = options.reverse.as_deref().map(|it| all.get(it)).transpose()?;
    let profiles: Vec<&Profile> = all.select(&options.profiles)?.into_iter().map(|it| &it.profile).collect();
    // Minutes are spent only once nothing else can be wrong.
    if options.measure_partition {
        let found = partition::measure(&question, &options.targets, &options.place)?;
        errln!("{}", found.told);
        question.set_partition(found.in_mb_s, found.out_mb_s);
    }
    if let Some(entry) = turned {
        return turned_round(options, &question, &model, of_model, &entry.profile);
    }
    let plan = plan::plan(&question, &model, of_model, &profiles, options.place.seed);
    let code = if plan.fits.is_empty() { ExitCode::from(NOTHING_FITS) } else { ExitCode::SUCCESS };
    if let Some(path) = &options.html {
        std::fs::write(path, html::page(&plan)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let text = if options.json {
        json(&plan)?
    } else {
        text::plan(&plan, options.top as usize, options.methods_of.as_deref())
    };
    Ok((text, code))
}

fn turned_round(
    options: &Options,
    question: &Question,
    model: &Model,
    from: Option<&Profile>,
    profile: &Profile,
) -> Result<(String, ExitCode), String> {
    let machine = Machine::of(profile, model, from);
    let intervals = demand::intervals(question, model, machine.network_sure, machine.disk_sure);
    let of = |share: f64| {
        let inputs = draws::inputs(&intervals, &[share; demand::INPUTS.len()]);
        reverse::carried(question, &machine, &inputs, options.brokers)
    };
    let mids = reverse::carried(question, &machine, &draws::mids(&intervals), options.brokers);
    match mids {
        Err(excuse) => {
            Ok((format!("{} x {}: {}", options.brokers, profile.name, excuse.words), ExitCode::from(NOTHING_FITS)))
        }
        Ok(carried) if options.json => Ok((json(&carried)?, ExitCode::SUCCESS)),
        Ok(carried) => {
            // Costs at their 95th percentile carry least.
            let least = of(0.95).map(|it| it.produced_mb_s).ok();
            Ok((text::carried(&profile.name, question, &carried, least, &machine), ExitCode::SUCCESS))
        }
    }
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
    let place = |key: &str| match document.line_of(key) {
        line if document.has(key) => format!("{origin}:{line}"),
        _ => format!("--{}", key.replace('_', "-")),
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
        let argv = std::iter::once("plan").chain(words.split_whitespace());
        run(&Options::try_parse_from(argv).map_err(|it| it.to_string())?)
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
        assert_eq!(json["fits"][0]["sized"]["brokers"], 3);
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
        let (text, code) = line("--reverse aws-i4i-2xlarge --brokers 1").unwrap();
        assert!(text.contains("3 brokers are needed for 3 replicas") && code == ExitCode::from(NOTHING_FITS), "{text}");
    }
}
