//! `ringlog completions SHELL` and `ringlog man`: every verb and its options, as one tree.
//!
//! ```text
//!   verbs with a clap parser      their own commands
//!   broker, sim, the perf tools   the options that their help texts list
//!   VERBS                         what each is, in a few words
//! ```

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, ValueEnum as _};
use clap_complete::Shell;

use super::{
    bench, compare, consumer_perf, e2e_latency, export, fit, history, plan, probe, producer_perf, profile, report,
    rerun, sweep,
};
use crate::yardstick;

/// A verb of the binary that is not the harness', and its help text.
pub type Foreign<'a> = (&'a str, &'a str);

/// Prints what a shell completes `ringlog` with.
pub(crate) fn completions(args: &[String], foreign: &[Foreign<'_>]) -> ExitCode {
    let wanted = match args {
        [shell] => Shell::from_str(shell, true).ok(),
        _ => None,
    };
    let Some(shell) = wanted else {
        let names: Vec<String> = Shell::value_variants().iter().map(ToString::to_string).collect();
        errln!("usage: ringlog completions SHELL, with one of {}", names.join(", "));
        errln!("for bash: ringlog completions bash > /etc/bash_completion.d/ringlog");
        return ExitCode::from(2);
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tree(foreign), "ringlog", &mut script);
    crate::out::product(String::from_utf8_lossy(&script).trim_end(), ExitCode::SUCCESS)
}

/// Prints the man page, in roff.
pub(crate) fn man(args: &[String], foreign: &[Foreign<'_>]) -> ExitCode {
    if !args.is_empty() {
        errln!("usage: ringlog man > ringlog.1, to be looked at with man ./ringlog.1");
        return ExitCode::from(2);
    }
    match page(foreign) {
        Ok(page) => crate::out::product(String::from_utf8_lossy(&page).trim_end(), ExitCode::SUCCESS),
        Err(error) => {
            errln!("ringlog man: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The page of the binary, and a section for each verb's options.
fn page(foreign: &[Foreign<'_>]) -> std::io::Result<Vec<u8>> {
    let mut tree = tree(foreign);
    tree.build();
    let mut page = Vec::new();
    let whole = clap_mangen::Man::new(tree.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_subcommands_section(&mut page)?;
    for verb in tree.get_subcommands() {
        let name = verb.get_name().to_uppercase();
        page.extend_from_slice(format!(".SH \"RINGLOG {name}\"\n").as_bytes());
        let mut options = Vec::new();
        clap_mangen::Man::new(verb.clone()).render_options_section(&mut options)?;
        // Its heading would stand fifteen times.
        let text = String::from_utf8_lossy(&options).replace(".SH OPTIONS\n", "");
        page.extend_from_slice(text.as_bytes());
    }
    Ok(page)
}

/// All verbs.
fn tree(foreign: &[Foreign<'_>]) -> Command {
    let own = [
        ("bench", bench::command()),
        ("sweep", sweep::command()),
        ("report", report::command()),
        ("rerun", rerun::command()),
        ("export", export::command()),
        ("compare", compare::command()),
        ("history", history::command()),
        ("producer-perf", of_help(&producer_perf::help())),
        ("consumer-perf", of_help(&consumer_perf::help())),
        ("e2e-latency", of_help(&e2e_latency::help())),
        ("fit", fit::command()),
        ("plan", plan::command()),
        ("probe", probe::command()),
        ("profile", profile::command()),
        ("null-broker", yardstick::command()),
        (
            "completions",
            Command::new("").arg(Arg::new("SHELL").value_parser(clap::value_parser!(Shell)).required(true)),
        ),
        ("man", Command::new("")),
    ];
    let foreign = foreign.iter().map(|(name, help)| ((*name).to_owned(), of_help(help)));
    let own = own.into_iter().map(|(name, command)| (name.to_owned(), command));
    let verbs = foreign.chain(own).map(|(name, command)| {
        let words = crate::VERBS.lines().find_map(|line| line.trim_start().strip_prefix(&name)?.strip_prefix(' '));
        command
            .name(name.clone())
            .bin_name(format!("ringlog {name}"))
            .about(words.unwrap_or_default().trim().to_owned())
    });
    Command::new("ringlog")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A Kafka-wire-compatible broker, and instruments that measure any")
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommands(verbs)
}

/// A command with the options that a help text lists:
///
/// ```text
///   --name VALUE   words                 --name VALUE
///                  more words                  words
/// ```
fn of_help(text: &str) -> Command {
    let mut options: Vec<(String, String)> = Vec::new();
    let mut is_option = false;
    for line in text.lines() {
        let words = line.trim();
        if words.starts_with("--") {
            let (form, words) = words.split_once("  ").unwrap_or((words, ""));
            options.push((form.to_owned(), words.trim().to_owned()));
            is_option = true;
        } else if is_option && line.starts_with("     ") {
            if let Some((_, known)) = options.last_mut() {
                *known = format!("{known} {words}").trim().to_owned();
            }
        } else {
            is_option = false;
        }
    }
    options.iter().filter(|(form, _)| form != "--help").fold(Command::new(""), |command, (form, words)| {
        let (name, value) = form.split_once(' ').unwrap_or((form, ""));
        let name = name.trim_start_matches('-').to_owned();
        let arg = Arg::new(name.clone()).long(name).help(words.clone());
        let value = value.trim_matches(['<', '>', '[', ']']).to_owned();
        command.arg(if value.is_empty() {
            arg.action(ArgAction::SetTrue)
        } else {
            arg.action(ArgAction::Append).value_name(value)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKER: Foreign<'static> = (
        "broker",
        "Usage: ringlog broker\n\n  --config FILE  settings\n                 of Kafka\n  --check        says\n  --help         this\n\nWithout\n",
    );

    #[test]
    fn options_of_a_help_text_have_their_values_and_words() {
        let command = of_help(BROKER.1);
        let seen: Vec<_> = command
            .get_arguments()
            .map(|arg| (arg.get_long(), arg.get_action().takes_values(), arg.get_help().map(ToString::to_string)))
            .collect();
        let words = |text: &str| Some(text.to_owned());
        assert_eq!(seen, [(Some("config"), true, words("settings of Kafka")), (Some("check"), false, words("says"))]);
    }

    #[test]
    fn every_verb_of_the_list_is_in_the_tree_and_says_what_it_is() {
        let sim = ("sim", "  --seed N  one\n");
        let tree = tree(&[BROKER, sim]);
        tree.clone().debug_assert();
        let listed = crate::VERBS
            .lines()
            .filter(|line| line.starts_with("  "))
            .filter_map(|line| line.split_whitespace().next());
        let mut listed: Vec<&str> = listed.collect();
        let mut there: Vec<&str> = tree.get_subcommands().map(Command::get_name).collect();
        listed.sort_unstable();
        there.sort_unstable();
        assert_eq!(listed, there);
        assert!(tree.get_subcommands().all(|verb| verb.get_about().is_some_and(|about| !about.to_string().is_empty())));
    }

    #[test]
    fn shells_and_the_page_know_options_of_clap_and_of_help_texts() {
        let page = String::from_utf8(page(&[BROKER]).expect("a page")).expect("text");
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut tree(&[BROKER]), "ringlog", &mut script);
        let script = String::from_utf8(script).expect("text");
        for option in ["config", "num-records", "time-max"] {
            assert!(script.contains(&format!("--{option}")), "{option}");
            assert!(page.contains(&option.replace('-', "\\-")), "{option}: {page}");
        }
    }
}
