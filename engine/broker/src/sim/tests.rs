//! What the simulation itself promises. Seeds that failed once stand here by what they found.

use super::arguments::{Arguments, Parsed};
use super::plan::{Plan, Trouble, Wish};
use super::{Tally, Violation, attempt};

fn outcome(seed: u64, wish: &Wish) -> Result<(u64, u64, u64, u64), String> {
    attempt(seed, wish, None)
        .map(|Tally { hash, events, acknowledged, read }| (hash, events, acknowledged, read))
        .map_err(|Violation(words)| words)
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_last_event() {
    for seed in 0..6 {
        let wish = Wish::default();
        assert_eq!(outcome(seed, &wish), outcome(seed, &wish), "seed {seed}");
    }
}

#[test]
fn a_plan_comes_back_from_its_text_and_runs_as_its_seed_did() {
    for seed in 0..200 {
        let plan = Plan::of(seed, &Wish::default());
        assert_eq!(plan.to_string().parse(), Ok(plan), "seed {seed}");
    }
    for seed in 0..3 {
        let plan = Some(Box::new(Plan::of(seed, &Wish::default())));
        assert_eq!(outcome(seed, &Wish { plan, ..Wish::default() }), outcome(seed, &Wish::default()), "seed {seed}");
    }
}

#[test]
fn a_plan_that_is_wrong_says_where() {
    let good = Plan::of(1, &Wish { troubles: Some(vec![]), ..Wish::default() }).to_string();
    for (line, words) in [
        ("trouble rain at-ns=1 lasts-ns=1 number=1", "\"rain\" is no trouble"),
        ("trouble kill at-ns=x lasts-ns=1 number=1", "at-ns=x: not a value of at-ns"),
        ("member session-ms=5", "member wants pause-ms="),
        ("member session-ms=5 pause-ms=1 age=3", "member has no age"),
        ("committer again", "again is not of the form name=value"),
        ("storm", "a line does not begin with storm"),
    ] {
        let number = good.lines().count() + 1;
        let error = format!("{good}{line}\n").parse::<Plan>().unwrap_err();
        assert!(error.starts_with(&format!("line {number}: ")) && error.contains(words), "{line}: {error}");
    }
    assert!("topics count=1".parse::<Plan>().unwrap_err().contains("line 1: topics wants partitions-max="));
    assert!("# nothing".parse::<Plan>().unwrap_err().contains("a plan wants a line"));
}

/// What seeds found, as plans: whatever the dice are, the broker is well under each of them. That each of them still finds its
/// fault where that is planted: `scripts/plants`.
#[test]
fn the_broker_is_well_under_every_plan_that_was_kept() {
    for (name, text) in KEPT {
        let plan = text.parse::<Plan>().unwrap_or_else(|error| panic!("{name}: {error}"));
        for seed in 0..6 {
            let outcome = outcome(seed, &Wish { plan: Some(Box::new(plan.clone())), ..Wish::default() });
            assert!(outcome.is_ok(), "{name}, seed {seed}: {outcome:?}");
        }
    }
}

const KEPT: [(&str, &str); 9] = [
    ("moved-coordinator", include_str!("kept/moved-coordinator.plan")),
    ("cut-in-a-swap", include_str!("kept/cut-in-a-swap.plan")),
    ("long-polls", include_str!("kept/long-polls.plan")),
    ("late-member", include_str!("kept/late-member.plan")),
    ("killed-in-a-sync", include_str!("kept/killed-in-a-sync.plan")),
    ("late-flushed-entry", include_str!("kept/late-flushed-entry.plan")),
    ("unsynced-snapshot", include_str!("kept/unsynced-snapshot.plan")),
    ("stale-folder", include_str!("kept/stale-folder.plan")),
    ("unsynced-log-dir", include_str!("kept/unsynced-log-dir.plan")),
];

fn parse(line: &str) -> Result<Arguments, String> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match Arguments::parse(&args)? {
        Parsed::Arguments(arguments) => Ok(arguments),
        Parsed::Help => Err("help".to_owned()),
    }
}

#[test]
fn arguments_say_what_is_wrong_with_them() {
    for (line, words) in [
        ("--seed", "--seed wants a value"),
        ("--seed x", "--seed: x is not a number"),
        ("--seeds 3", "--seeds: 3 is not of the form A..B"),
        ("--seeds 3..3", "--seeds: 3..3 has no seeds"),
        ("--shards 9", "--shards: 9 is not from 1 to 8"),
        ("--events kill,rain", "--events: rain is no trouble; --help lists them"),
        ("--sed 1", "--sed is not an option; --help says which there are"),
    ] {
        assert_eq!(parse(line).map(drop), Err(words.to_owned()), "{line}");
    }
}

#[test]
fn arguments_choose_seeds_shards_and_troubles() {
    let parsed = parse("--seeds 5..7 --shards 2 --events kill,cut --go-on").unwrap();
    assert_eq!((parsed.seeds, parsed.wish.shards, parsed.goes_on), (5..7, Some(2), true));
    assert_eq!(parsed.wish.troubles, Some(vec![Trouble::Kill, Trouble::Cut]));
    assert_eq!(parse("--seed 9 --events none").unwrap().wish.troubles, Some(vec![]));
}
