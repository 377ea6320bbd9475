//! What is told of a run beside its figures: the machine's line, warnings, the manifest, what each row repeats.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::origin;
use super::progress::Stays;
use crate::host::{HostFacts, PathFacts};
use crate::results::columns::Row;
use crate::results::manifest::{self, Manifest};
use crate::run::Plan;
use crate::run::bottleneck::DISTURBANCES;
use crate::target::machine::Seats;
use crate::target::start::{Running, seat};
use crate::target::{Role, Start, Target};

/// Nothing about the machine was emulated.
const NATIVE: &str = "native";
/// What stands between the subjects' names in a folder's.
const VERSUS: &str = "-vs-";

pub(super) fn machine_line(host: &HostFacts, storage: &PathFacts, seats: &Seats, plan: &Plan) -> String {
    let cpu = host.cpu_model.as_deref().unwrap_or("unknown processor");
    let what = format!("{}; the client on core {}", target_name(plan), seat(seats.client));
    format!("{}: {cpu}, {}; {what}", host.hardware_name(storage), host.virtualisation)
}

fn subjects(plan: &Plan) -> impl Iterator<Item = &Target> {
    plan.targets.iter().filter(|it| it.role == Role::Subject)
}

/// The subjects' names as one.
fn target_name(plan: &Plan) -> String {
    subjects(plan).map(|it| it.name.as_str()).collect::<Vec<_>>().join(VERSUS)
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

pub(super) fn warnings_of(host: &HostFacts, seats: &Seats, plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if build() == "debug" {
        warnings.push("this is a debug build: run with `cargo run --release`".to_owned());
    }
    if seats.shared {
        warnings.push(format!("{} shard(s) and the client share {} core(s)", seats.shards, host.cores));
    }
    for target in subjects(plan) {
        // An endpoint may know it: where it does not, the columns are empty.
        if target.metrics.is_empty() && matches!(&target.start, Start::Remote { pids, .. } if pids.is_empty()) {
            let advice = "give --broker-pid where it runs on this machine, --metrics-from where it runs on another";
            warnings.push(format!("{}: its processor time is not known: {advice}", target.name));
        }
    }
    if host.cgroup.cpu_quota_cores.is_some_and(|quota| quota < host.cores as f64) {
        warnings.push("a control group limits processor time: expect stalls of tens of milliseconds".to_owned());
    }
    if host.free_page_reporting {
        let words = "the hypervisor takes freed pages back: appends pay for first touches, so broker CPU per MB is above \
                     what a machine that keeps its pages shows";
        warnings.push(words.to_owned());
    }
    warnings
}

/// Topics that brokers did not delete: which, why, and how they go.
pub(super) fn left_topics(plan: &Plan, stays: &[Stays]) -> Vec<String> {
    let of = |target: &Target| {
        let own: Vec<&Stays> = stays.iter().filter(|it| it.target == target.name).collect();
        let first = own.first()?;
        let topics: Vec<&str> = own.iter().map(|it| it.topic.as_str()).collect();
        let all = format!("{} topic(s) of this run are left on {}: {}", own.len(), target.name, topics.join(", "));
        let Start::Remote { client, .. } = &target.start else {
            return Some(format!("{all} ({}); they go with its folder", first.why));
        };
        let advice = match &first.why {
            why if why.contains("TOPIC_DELETION_DISABLED") => "set delete.topic.enable=true on its brokers, and then: ",
            why if why.contains("AUTHORIZATION_FAILED") => "let the client's user delete topics, or as one who may: ",
            _ => "",
        };
        let servers = client.get("bootstrap.servers").unwrap_or_default();
        let command = format!("kafka-topics.sh --bootstrap-server {servers} --delete --topic '{}'", topics.join("|"));
        Some(format!("{all} ({}); to remove them: {advice}{command}", first.why))
    };
    plan.subjects().filter_map(of).collect()
}

/// A disturbance in words.
pub(super) fn meaning(note: &str) -> &'static str {
    let known = DISTURBANCES.iter().find(|it| it.0 == note).map(|it| it.1);
    known.unwrap_or(match note {
        "debug-build" => "numbers of a debug build are not worth keeping",
        "retries" => "records were sent again after a refusal",
        "metrics-silent" => "an endpoint of --metrics-from did not answer: what it would have said is empty",
        "not-recovered" => {
            "after its events the stated time for 99 of 100 records was not kept again before the trial's end"
        }
        "throttled" => {
            "the broker made the clients hold back (throttle_ms): the figures show a quota, or what its disk takes"
        }
        "dropped-records" => "records were due and never sent, not even in as long again",
        _ => "see harness/docs/method.md",
    })
}

/// What every row of a run repeats.
pub(super) fn template(host: &HostFacts, storage: &PathFacts) -> Row {
    let source = Source::of_this_program();
    Row {
        commit: source.commit.unwrap_or_default(),
        branch: source.branch.unwrap_or_default(),
        build: build().to_owned(),
        profile: host.hardware_name(storage),
        fidelity: NATIVE.to_owned(),
        ..Row::default()
    }
}

/// What a manifest says before the first trial.
pub(super) fn manifest(
    plan: &Plan,
    host: HostFacts,
    storage: PathFacts,
    seats: &Seats,
    running: &BTreeMap<String, Running>,
    began: jiff::Timestamp,
) -> Manifest {
    Manifest {
        schema: manifest::SCHEMA,
        began: began.to_string(),
        target: target_name(plan),
        hardware: host.hardware_name(&storage),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: Source::of_this_program().commit,
        build: build().to_owned(),
        command: command(),
        broker: cores(seats),
        program_sha256: origin::own_sha256(),
        targets: plan
            .targets
            .iter()
            .filter_map(|it| Some((it.name.clone(), facts(it, running.get(&it.name)?))))
            .collect(),
        workloads: workload_tables(plan),
        host,
        storage,
        ..Manifest::default()
    }
}

/// What a target said of itself, and how it was had.
fn facts(target: &Target, running: &Running) -> BTreeMap<String, String> {
    running.facts.clone().into_iter().chain(origin::facts(target)).collect()
}

fn cores(seats: &Seats) -> BTreeMap<String, String> {
    let cores = [("client_core", seats.client), ("broker_core", seats.broker), ("null_broker_core", seats.null_broker)];
    cores.into_iter().map(|(key, core)| (key.to_owned(), seat(core))).collect()
}

/// The command line; of the program's path only its name, which is all that means something elsewhere.
fn command() -> Vec<String> {
    let name = |path: String| Path::new(&path).file_name().map_or(path.clone(), |it| it.to_string_lossy().into_owned());
    std::env::args().enumerate().map(|(at, it)| if at == 0 { name(it) } else { it }).collect()
}

fn workload_tables(plan: &Plan) -> BTreeMap<String, toml::Table> {
    let all = plan.cells.iter().flat_map(|it| std::iter::once(&it.workload).chain(&it.reader));
    all.map(|it| (it.name.clone(), toml::Table::try_from(it).unwrap_or_default())).collect()
}

/// Where this program's source stands.
#[derive(Default)]
struct Source {
    commit: Option<String>,
    branch: Option<String>,
}

impl Source {
    /// The tree that holds this program, or else the working directory where that is this project.
    fn of_this_program() -> Self {
        let built_in = option_env!("RINGLOG_COMMIT").map(str::to_owned);
        let ours = |dir: &&Path| dir.join("harness/bin/ringlog.rs").exists();
        let program = std::env::current_exe().unwrap_or_default();
        let here = std::env::current_dir().unwrap_or_default();
        let Some(root) = program.ancestors().find(ours).or_else(|| here.ancestors().find(ours)) else {
            return Self { commit: built_in, branch: None };
        };
        let dirty = git(root, &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|it| !it.is_empty());
        let commit = manifest::commit_of(root).map(|it| if dirty { format!("{it}-dirty") } else { it });
        Self {
            commit: built_in.or(commit),
            branch: git(root, &["branch", "--show-current"]).filter(|it| !it.is_empty()),
        }
    }
}

/// What git says; `None` where there is none.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::properties::Properties;

    #[test]
    fn topics_that_stay_are_told_with_the_way_to_remove_them() {
        let mut client = Properties::new();
        client.set("bootstrap.servers", "h:1");
        let target = Target::new("k", Start::Remote { client, pids: Vec::new() });
        let plan = Plan { cells: Vec::new(), targets: vec![target], seed: 1 };
        let stays = |topic: &str| Stays {
            target: "k".to_owned(),
            topic: topic.to_owned(),
            why: format!("deleting topic {topic}: TOPIC_DELETION_DISABLED (73)"),
        };
        let told = left_topics(&plan, &[stays("a"), stays("b")]);
        assert_eq!(told.len(), 1);
        for part in ["2 topic(s)", "on k: a, b", "delete.topic.enable=true", "--bootstrap-server h:1", "--topic 'a|b'"]
        {
            assert!(told[0].contains(part), "{part}: {}", told[0]);
        }
        assert!(left_topics(&plan, &[]).is_empty());
    }

    #[test]
    fn a_broker_whose_endpoint_is_asked_is_not_said_to_be_unknown() {
        let mut target = Target::new("k", Start::Remote { client: Properties::new(), pids: Vec::new() });
        let told = |target: &Target| {
            let plan = Plan { cells: Vec::new(), targets: vec![target.clone()], seed: 1 };
            let warnings = warnings_of(&HostFacts::default(), &Seats::on(&[0, 1], None), &plan);
            warnings.iter().any(|it| it.contains("its processor time is not known"))
        };
        assert!(told(&target));
        target.metrics = vec!["http://h:1/metrics".to_owned()];
        assert!(!told(&target));
    }
}
