//! The parser's and the checks' words, and the order of properties.

use super::*;

const GOOD: &str = "--topic t --num-records 10 --throughput -1 --record-size 100 --bootstrap-server h:1";

fn parse_line(line: &str) -> Result<Options, String> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse(&args).map_err(|stop| match stop {
        Stop::Help => "help".into(),
        Stop::Error(message) => message,
    })
}

#[test]
fn abbreviations_and_equals_signs_are_taken() {
    let options = parse_line("--top t --num=10 --thr -1 --record-s 10 --boot h:1").unwrap();
    assert_eq!((options.records, options.throughput), (10, -1.0));
    assert_eq!(options.payload, PayloadSource::Random(10));
    assert_eq!(parse_line(&format!("{GOOD} --throughput=1e3")).unwrap().throughput, 1000.0);
    assert_eq!(parse_line(&format!("{GOOD} --throughput .5")).unwrap().throughput, 0.5);
}

#[test]
fn the_parser_s_messages_are_argparse4j_s() {
    let cases = [
        ("--num-records 1 --throughput 1 --record-size 1", "argument --topic is required"),
        (
            "--topic t --num-records 1 --throughput 1",
            "one of the arguments --record-size --payload-file --payload-monotonic is required",
        ),
        (
            "--topic t --record-size 1 --payload-monotonic",
            "argument --payload-monotonic: not allowed with argument --record-size",
        ),
        ("--num-records abc", "argument --num-records: could not convert 'abc' to Long (For input string: \"abc\")"),
        ("--record-size 1.5", "argument --record-size: could not convert '1.5' to Integer (For input string: \"1.5\")"),
        ("--throughput x", "argument --throughput: could not convert 'x' to Double (For input string: \"x\")"),
        ("--topic", "argument --topic: expected one argument"),
        ("--topic --num-records 1", "argument --topic: expected one argument"),
        ("--producer-props --topic t", "argument --producer-props: expected 1 argument(s)"),
        (
            "--key-distribution zipf",
            "argument --key-distribution: invalid choice: 'zipf' (choose from {none,range,random})",
        ),
        ("extra --topic t", "unrecognized arguments: 'extra --topic t'"),
    ];
    for (line, wanted) in cases {
        assert_eq!(parse_line(line).unwrap_err(), wanted, "{line}");
    }
    assert!(parse_line("--test").unwrap_err().starts_with("unrecognized arguments: '--test'\nDid you mean:"));
    assert!(parse_line("--pay x").unwrap_err().starts_with("ambiguous option: --pay could match"));
    assert_eq!(parse_line("-h").unwrap_err(), "help");
}

#[test]
fn the_checks_come_in_kafka_s_order_with_its_texts() {
    let cases = [
        ("--num-records 0 --record-size 0", "--num-records should be greater than zero."),
        (
            "--warmup-records 10",
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        ),
        ("--record-size 0", "--record-size should be greater than zero."),
        (
            "--producer-props a=b --command-property c=d",
            "--command-property and --producer-props cannot be specified together.",
        ),
        (
            "--producer.config a --command-config c",
            "--command-config and --producer.config cannot be specified together.",
        ),
        ("--transaction-duration-ms 0", "--transaction-duration-ms should be greater than zero."),
        ("--reporting-interval 0", "--reporting-interval should be greater than zero."),
        ("--record-key-range 0", "--record-key-range should be greater than zero."),
        ("--key-distribution range", "--record-key-range is required when --key-distribution is 'range' or 'random'."),
        (
            "--record-key-range 5",
            "--key-distribution must be 'range' or 'random' when --record-key-range is specified.",
        ),
    ];
    for (more, wanted) in cases {
        assert_eq!(parse_line(&format!("{GOOD} {more}")).unwrap_err(), wanted, "{more}");
    }
    let without = GOOD.replace("--bootstrap-server h:1", "");
    assert!(parse_line(&without).unwrap_err().starts_with("At least one of --bootstrap-server"));
    assert_eq!(parse_line(&format!("{GOOD} --warmup-records -5")).unwrap().warmup_records, 0);
}

#[test]
fn version_3_9_has_its_own_options_program_and_check() {
    let args = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(parser(&args("--compat 3.9 -h")).program, "producer-performance");
    assert_eq!(parser(&args("-h")).program, "kafka-producer-perf-test");
    assert!(is_empty(&args("--compat 3.9")) && is_empty(&[]) && !is_empty(&args("-h")));
    let old = GOOD.replace("--bootstrap-server h:1", "--compat 3.9");
    let wanted = "Either --producer-props or --producer.config must be specified.";
    assert_eq!(parse_line(&old).unwrap_err(), wanted);
    assert_eq!(parse_line(&format!("{old} --producer-props a=b")).unwrap().notices.len(), 0);
    let unknown = parse_line(&format!("{old} --warmup-records 1")).unwrap_err();
    assert!(unknown.starts_with("unrecognized arguments: '--warmup-records'"), "{unknown}");
}

#[test]
fn properties_have_kafka_s_precedence() {
    let line = format!("{GOOD} --producer-props acks=1 bootstrap.servers=x:1 --producer-props linger.ms=7 client.id=c");
    let properties = parse_line(&line).unwrap().properties().unwrap();
    assert_eq!(properties.get("bootstrap.servers"), Some("h:1"));
    assert_eq!(properties.get("acks"), None, "the second list replaces the first");
    assert_eq!((properties.get("linger.ms"), properties.get("client.id")), (Some("7"), Some("c")));
    let jaas = parse_line(&format!("{GOOD} --command-property a=b=c")).unwrap();
    assert_eq!(jaas.properties().unwrap().get("a"), Some("b=c"));
    for bad in ["key=", "key"] {
        let options = parse_line(&format!("{GOOD} --command-property {bad}")).unwrap();
        assert_eq!(options.properties().unwrap_err(), format!("Invalid property: {bad}"));
    }
}

#[test]
fn an_abbreviation_is_an_option_of_4_3_before_it_is_one_of_4_4() {
    let line = "--topic t --num 5 --thr -1 --bootstrap-server h:1";
    assert_eq!(parse_line(&format!("{line} --record 7")).unwrap().payload, PayloadSource::Random(7));
    let keyed = parse_line(&format!("{line} --record-size 7 --record-k 3 --key range --rand 9")).unwrap();
    assert_eq!((keyed.keys, keyed.seed), (Keys::Range(3), 9), "those that are nobody else's");
}

#[test]
fn a_delimiter_has_a_line_end_put_in_only_where_it_is_the_whole_value() {
    let of = |given: &str| {
        let args = "--topic t --num-records 5 --throughput -1 --bootstrap-server h:1 --payload-file f";
        let mut args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        args.extend((!given.is_empty()).then(|| format!("--payload-delimiter={given}")));
        match parse(&args).unwrap().payload {
            PayloadSource::File { delimiter, .. } => delimiter,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([of(""), of("\\n")], ["\n", "\n"]);
    assert_eq!([of("a\\n"), of("[^\\n]"), of("--")], ["a\\n", "[^\\n]", "--"]);
}
