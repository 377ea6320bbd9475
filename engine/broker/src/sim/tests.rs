//! What the simulation itself promises. Seeds that failed once stand here by what they found.

use super::arguments::{Arguments, Parsed};
use super::plan::{Trouble, Wish};
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
