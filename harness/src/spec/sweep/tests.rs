use super::*;

const PLAIN: &str = r#"
schema = 1
name = "plain"
what = "a test"

[[part]]
name = "p"
what = "a part"

[part.workload]
kind = "produce"
record_bytes = 1000
measured_s = 1.0

[part.workload.producer]
acks = "1"

[part.vary]
"linger.ms" = [0, 50]
"batch.size" = [4096, 16384, 32768]
"#;

fn read(text: &str) -> Result<Sweep, String> {
    Sweep::read("x.toml", text, 1).map_err(|error| error.to_string())
}

fn refused(from: &str, to: &str) -> String {
    assert!(PLAIN.contains(from), "{from}");
    read(&PLAIN.replacen(from, to, 1)).unwrap_err()
}

fn line_of(text: &str, part: &str) -> String {
    let at = text.lines().position(|line| line.contains(part)).unwrap();
    format!("x.toml:{}:", at + 1)
}

#[test]
fn lists_make_every_combination_in_the_order_of_the_file() {
    let sweep = read(PLAIN).unwrap();
    let words: Vec<String> = sweep.cells.iter().map(SweepCell::words).collect();
    assert_eq!(
        words[..4],
        [
            "linger.ms=0 batch.size=4096",
            "linger.ms=0 batch.size=16384",
            "linger.ms=0 batch.size=32768",
            "linger.ms=50 batch.size=4096",
        ]
    );
    assert_eq!(sweep.cells.len(), 6);
    assert_eq!(sweep.cells[1].workload.name, "p/linger.ms=0/batch.size=16384");
    assert_eq!(sweep.cells[1].workload.producer["batch.size"], "16384");
    assert_eq!(sweep.cells[1].workload.producer["acks"], "1", "what is fixed stays");
    assert!(sweep.cells.iter().all(|it| it.reader.is_none() && it.ladder.is_none()));
}

#[test]
fn one_factor_goes_from_the_first_values_and_a_sample_is_the_seeds() {
    let one = PLAIN.replace("what = \"a part\"", "how = \"one-factor\"");
    let words: Vec<String> = read(&one).unwrap().cells.iter().map(SweepCell::words).collect();
    assert_eq!(
        words,
        [
            "linger.ms=0 batch.size=4096",
            "linger.ms=50 batch.size=4096",
            "linger.ms=0 batch.size=16384",
            "linger.ms=0 batch.size=32768",
        ]
    );
    let sample = PLAIN.replace("what = \"a part\"", "how = \"sample\"\nsamples = 3");
    let drawn =
        |seed| -> Vec<String> { Sweep::read("x", &sample, seed).unwrap().cells.iter().map(SweepCell::words).collect() };
    assert_eq!(drawn(1).len(), 3);
    assert_eq!(drawn(1), drawn(1));
    assert!((2..9).any(|seed| drawn(seed) != drawn(1)));
}

#[test]
fn a_consumers_setting_makes_what_is_read_a_row_and_a_topics_setting_goes_to_the_topic() {
    let text = PLAIN.replace("\"linger.ms\" = [0, 50]", "\"fetch.min.bytes\" = [1, 100000]\n\"flush.messages\" = [1]");
    let sweep = read(&text).unwrap();
    let cell = &sweep.cells[3];
    assert_eq!(cell.workload.topic["flush.messages"], "1");
    assert_eq!(cell.workload.flush().as_deref(), Some("flush.messages=1"));
    let reader = cell.reader.as_ref().unwrap();
    assert_eq!(reader.consumer["fetch.min.bytes"], "100000");
    assert_eq!(reader.name, format!("{}/read", cell.workload.name));
}

#[test]
fn a_typo_is_shown_with_its_line_and_the_nearest_key() {
    let told = refused("\"batch.size\"", "\"batch.sise\"");
    assert!(told.starts_with(&line_of(PLAIN, "batch.size")) && told.contains("\"batch.size\""), "{told}");
    let told = refused("record_bytes", "record_byte");
    assert!(told.starts_with(&line_of(PLAIN, "record_bytes")) && told.contains("\"record_bytes\""), "{told}");
    let told = refused("acks", "ack");
    assert!(told.starts_with(&line_of(PLAIN, "acks")) && told.contains("\"acks\""), "{told}");
    let told = refused("[part.vary]", "[part.varry]");
    assert!(told.starts_with(&line_of(PLAIN, "[part.vary]")) && told.contains("\"vary\""), "{told}");
}

#[test]
fn a_combination_that_cannot_be_is_refused_with_what_to_do() {
    let cases = [
        ("acks = \"1\"", "acks = \"1\"\n\"enable.idempotence\" = \"true\"", "Must set acks to all"),
        ("acks = \"1\"", "\"max.in.flight.requests.per.connection\" = \"9\"", "at most 5"),
        ("record_bytes = 1000", "record_bytes = 2000000", "max.request.size = 1048576"),
        ("acks = \"1\"", "\"compression.type\" = \"zstd\"\n\"compression.zstd.level\" = \"40\"", "between"),
        ("\"linger.ms\" = [0, 50]", "\"compression.type\" = [\"zst\"]", "String must be one of"),
        ("\"linger.ms\" = [0, 50]", "\"linger.ms\" = []", "a list with a value"),
        ("\"linger.ms\" = [0, 50]", "partitions = [0]", "partitions must be 1"),
        ("\"linger.ms\" = [0, 50]", "rate_records_s = [1]", "[part.rate]"),
        ("what = \"a part\"", "rate = { records_s = [1.0] }", "kind must be \"latency\""),
        ("what = \"a part\"", "how = \"sample\"", "samples = "),
        ("schema = 1", "schema = 2", "this version reads 1"),
    ];
    for (from, to, wanted) in cases {
        let told = refused(from, to);
        assert!(told.starts_with("x.toml:") && told.contains(wanted), "{to}: {told}");
    }
}

#[test]
fn a_ladder_has_its_rates_in_the_names_of_its_workloads() {
    let text =
        PLAIN.replace("\"produce\"", "\"latency\"") + "[part.rate]\nrecords_s = [1000.0, 2500.5]\np99_ms = 10.0\n";
    let cell = &read(&text).unwrap().cells[0];
    let ladder = cell.ladder.as_ref().unwrap();
    assert_eq!((ladder.sent_share_min, ladder.bisections, ladder.p99_ms), (0.995, 4, Some(10.0)));
    let own = cell.at_rate(2500.5);
    assert_eq!(own.name, "p/linger.ms=0/batch.size=4096@2500.5");
    assert_eq!((own.rate_records_s, without_rate(&own.name)), (Some(2500.5), cell.workload.name.as_str()));
    let falling = text.replace("[1000.0, 2500.5]", "[2.0, 1.0]");
    assert!(read(&falling).unwrap_err().contains("each above the one before"));
}

#[test]
fn every_preset_can_be_run_and_its_references_are_of_its_cells() {
    for name in presets::names() {
        let sweep = presets::read(name, 1).unwrap().unwrap_or_else(|error| panic!("{error}"));
        assert!(sweep.name == name || name == "omb");
        for reference in &sweep.references {
            let text = |key: &str| reference.get(key).and_then(toml::Value::as_str).unwrap_or_default();
            let is_own = |it: &SweepCell| it.part == text("part") && it.words() == text("cell");
            assert!(sweep.cells.iter().any(is_own), "{name}: {reference:?}");
            assert!(crate::results::columns::COLUMNS.iter().any(|it| it.name == text("column")), "{reference:?}");
            assert!(
                !text("source").is_empty()
                    && !text("unit").is_empty()
                    && reference["value"]
                        .as_float()
                        .or_else(|| reference["value"].as_integer().map(|it| it as f64))
                        .is_some()
            );
        }
    }
    assert!(presets::list().contains("course"));
}

#[test]
fn an_openmessaging_workload_is_read_and_what_is_not_known_of_it_is_refused() {
    let text = "name: two topics\n\ntopics: 2\npartitionsPerTopic: 8\nmessageSize: 1024\npayloadFile: \"payload/payload-1Kb.data\"\n\
                subscriptionsPerTopic: 1\nconsumerPerSubscription: 1\nproducersPerTopic: 1\nproducerRate: 50000\n\
                consumerBacklogSizeGB: 0\ntestDurationMinutes: 15\n";
    let sweep = omb::read("w.yaml", text, 1).unwrap();
    let workload = &sweep.cells[0].workload;
    assert_eq!((workload.partitions, workload.clients, workload.record_bytes), (16, 2, 1024));
    assert_eq!((workload.rate_records_s, workload.measured_s, workload.warmup_s), (Some(50_000.0), 900.0, 60.0));
    assert_eq!(workload.producer["batch.size"], "1048576");
    assert_eq!((workload.groups, workload.consumers, workload.catch_up), (1, 2, 0));
    let behind = omb::read("w.yaml", &text.replace("SizeGB: 0", "SizeGB: 2"), 1).unwrap();
    assert_eq!((behind.cells[0].workload.backlog_megabytes, behind.cells[0].workload.catch_up), (2000, 1));
    let told = omb::read("w.yaml", &text.replace("messageSize", "messageSise"), 1).unwrap_err().to_string();
    assert!(told.starts_with("w.yaml:5") && told.contains("messageSise"), "{told}");
    let told = omb::read("w.yaml", &format!("{text}keyDistributor: KEY_SQUARE\n"), 1).unwrap_err().to_string();
    assert!(told.contains("KEY_ROUND_ROBIN"), "{told}");
}
