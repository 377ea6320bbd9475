//! Other people's methods, each with its own constants, beside ours and never averaged with it.
//!
//! W is what producers send at the peak in MB/s on the wire, R the replicas, G the groups, L those that are behind.

use serde::Serialize;

use super::ask::Question;
use super::demand::Demand;
use super::interval::short;
use crate::spec::hardware::Profile;

/// What a method says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Whose it is.
    pub method: &'static str,
    /// Of what.
    pub of: &'static str,
    /// How much; absent where the profile lacks what it asks for.
    pub value: Option<f64>,
    /// Of the value.
    pub unit: &'static str,
    /// How, with the numbers.
    pub formula: String,
    /// Where it is written.
    pub source: &'static str,
}

const HANDBOOK: &str = "the course's handbook; its 100 MB/s a server and 50 % headroom: Alibaba Cloud, ApsaraMQ for Kafka, suggestions for estimating cluster resources";
const AWS: &str = "AWS big data blog, best practices for right-sizing your Apache Kafka clusters, equation 1 at 80 %";
const GOOGLE: &str = "Google Cloud, managed service for Apache Kafka, plan your cluster size";
const CLOUDERA: &str = "Cloudera CDP 7.1.7, Kafka performance tuning, sizing estimation";
const RED_HAT: &str = "AndyYuen/kafka-sizing at 5b1a674 (AMQ Streams)";
const REDPANDA: &str = "Redpanda, manual sizing (sizing.adoc at 3e7b662)";
const NETFLIX: &str = "Netflix-Skunkworks/service-capacity-modeling at dc69307, models/org/netflix/kafka.py";
const AKALCULATOR: &str = "2minutestreaming, Apache Kafka calculator, assumptions";
const CONFLUENT: &str = "Confluent, running Kafka in production; how to choose the number of partitions (J. Rao)";

/// MB of a MiB.
const MIB: f64 = 1.048_576;
/// Netflix's milliseconds of a 2.3 GHz core for a MiB written and read, and how far square-root staffing goes for a tier-1 service.
const NETFLIX_WRITE_S: f64 = 0.030;
const NETFLIX_READ_S: f64 = 0.040;
const NETFLIX_QUEUE: f64 = 1.761;
const NETFLIX_GHZ: f64 = 2.3;

/// What every method says of a load on a machine; without one, what needs none.
#[must_use]
pub fn all(question: &Question, demand: &Demand, profile: Option<&Profile>) -> Vec<Answer> {
    let load = Load {
        w: demand.produced_mb_s,
        r: f64::from(question.replicas),
        g: f64::from(question.groups),
        l: f64::from(question.lagging_groups),
        demand,
        question,
        profile,
    };
    let mut answers = load.handbook();
    answers.push(load.aws());
    answers.extend(load.google());
    answers.extend(load.cloudera());
    answers.extend(load.red_hat());
    answers.extend(load.redpanda());
    answers.extend(load.netflix());
    answers.extend(load.akalculator());
    answers.extend(load.confluent());
    answers
}

struct Load<'a> {
    w: f64,
    r: f64,
    g: f64,
    l: f64,
    demand: &'a Demand,
    question: &'a Question,
    profile: Option<&'a Profile>,
}

fn answer(
    method: &'static str,
    of: &'static str,
    value: f64,
    unit: &'static str,
    formula: String,
    source: &'static str,
) -> Answer {
    Answer { method, of, value: Some(value).filter(|it| it.is_finite()), unit, formula, source }
}

impl Load<'_> {
    fn disk_mb_s(&self, each: fn(&crate::spec::hardware::Disk) -> f64) -> f64 {
        let sum = |it: &Profile| it.disk.iter().map(|it| f64::from(it.count) * each(it)).sum();
        self.profile.map_or(f64::NAN, sum)
    }

    fn nic_mb_s(&self) -> f64 {
        self.profile.and_then(|it| it.nic.as_ref()).map_or(f64::NAN, |it| it.baseline_gbps * 125.0)
    }

    /// What all volumes of a machine have together; none where its disks are its own.
    fn road_mb_s(&self) -> Option<f64> {
        let profile = self.profile.filter(|it| it.is_on_volumes())?;
        profile.volume_road.as_ref().map(|it| it.baseline_mb_s)
    }

    fn handbook_servers(&self) -> f64 {
        2.0 * (self.w * self.r / 100.0).ceil() + 1.0
    }

    fn handbook(&self) -> Vec<Answer> {
        let (w, r) = (short(self.w), self.r);
        let servers = self.handbook_servers();
        let day_gb = self.demand.day_gb;
        let disk = self.demand.stored_gb / 0.7;
        let (tp, tc) = (self.question.partition_in_mb_s, self.question.partition_out_mb_s);
        let partitions = (self.w / tp.min(tc)).ceil().max(1.0);
        let leaders = self.demand.partitions;
        let days = self.question.retention_days.mid;
        let say = |of, value, unit, formula| answer("handbook", of, value, unit, formula, HANDBOOK);
        let mut all = vec![
            say("servers", servers, "", format!("2 x ceil({w} MB/s x {r} / 100) + 1")),
            say("disk", disk, "GB", format!("{} GB a day x {r} x {} days / 0.7", short(day_gb), short(days))),
            say(
                "page cache each",
                leaders * 0.25 / servers,
                "GB",
                format!("{leaders} leaders x 1 GB x 25 % / {servers}"),
            ),
            say("heap each", 10.0, "GB", "10 to 15 GB".to_owned()),
            say("partitions", partitions, "", format!("{w} / min(Tp {tp}, Tc {tc})")),
            say("network card", self.w * 8.0 / 1e3, "Gb/s", format!("the peak, {w} MB/s")),
        ];
        if let Some(profile) = self.profile {
            let threads = f64::from(profile.cpu.threads);
            let (io, network, replicas) = handbook_threads(threads);
            all.push(say("num.io.threads", io, "", format!("50 % of {threads} hardware threads, whole")));
            all.push(say("num.network.threads", network, "", "2/3 of the other 50 %, to the nearest".to_owned()));
            all.push(say("num.replica.fetchers", replicas, "", "what is left, 1/3 of the other 50 %".to_owned()));
        }
        all
    }

    /// Brokers that equation 1 needs, before rounding.
    fn aws(&self) -> Answer {
        let storage = self.disk_mb_s(|it| it.seq_write_mb_s);
        let road = self.road_mb_s();
        let nic = self.nic_mb_s();
        let by_storage = self.w * self.r / storage;
        let by_road = road.map_or(0.0, |it| self.w * self.r / it);
        let by_network = self.w * (self.g + self.r - 1.0) / nic;
        let exact = by_storage.max(by_road).max(by_network) / 0.8;
        let brokers = if nic.is_nan() { f64::NAN } else { (exact - 1e-9).ceil().max(self.r) };
        let road = road.map(|it| format!(", W R / EBS {}", short(it))).unwrap_or_default();
        let formula = if nic.is_nan() {
            "max(W R / storage, W R / EBS, W (G + R - 1) / network) / 0.8: needs a machine with a network".to_owned()
        } else {
            format!(
                "max(W R / storage {}{road}, W (G + R - 1) / network {}) / 0.8 = {}, whole, at least R",
                short(storage),
                short(nic),
                short((exact * 100.0).round() / 100.0)
            )
        };
        answer("AWS", "brokers", brokers, "", formula, AWS)
    }

    fn google_vcpu(&self) -> (f64, f64) {
        let writes = self.w * self.r;
        let reads = self.w * self.g + self.w * (self.r - 1.0);
        let equivalent = writes + reads / 4.0;
        (equivalent, (equivalent / 20.0 / 0.5 - 1e-9).ceil().max(3.0))
    }

    fn google(&self) -> Vec<Answer> {
        let (equivalent, vcpu) = self.google_vcpu();
        let formula = format!("(W R + W (G + R - 1) / 4 = {} MB/s) / 20 MB/s / 50 %, at least 3", short(equivalent));
        vec![
            answer("Google", "vCPU", vcpu, "", formula, GOOGLE),
            answer("Google", "memory", vcpu * 4.0, "GiB", "4 GiB for each vCPU".to_owned(), GOOGLE),
        ]
    }

    fn cloudera(&self) -> Vec<Answer> {
        let say = |of, value, unit, formula: &str| answer("Cloudera", of, value, unit, formula.to_owned(), CLOUDERA);
        vec![
            say("network reads", self.w * (self.r + self.g - 1.0), "MB/s", "(R + G - 1) W"),
            say("network writes", self.w * self.r, "MB/s", "W R"),
            say("disks", self.w * (self.r + self.l), "MB/s", "W R + L W"),
            say("page cache for 10 min", self.w * self.r * 600.0 / 1e3, "GB", "M / (W R) = 600 s"),
        ]
    }

    fn red_hat(&self) -> Vec<Answer> {
        // What its tool calls a disk's speed is what a broker gets of it: no more than the road to a volume lets through.
        let (nic, disk) = (self.nic_mb_s(), self.disk_mb_s(|it| it.seq_write_mb_s));
        let disk = self.road_mb_s().map_or(disk, |it| it.min(disk));
        let network = (self.w * self.r).max(self.w * (self.g + self.r - 1.0)) / nic;
        let by_disk = self.w * (self.r + self.l) / disk;
        let brokers = if nic.is_nan() { f64::NAN } else { (network.max(by_disk) / 0.6 * 1.6).max(self.r + 1.0).ceil() };
        let formula = if nic.is_nan() {
            "max(max(W R, W (G + R - 1)) / network, W (R + L) / disk) / 0.6 x 1.6: needs a machine with a network"
                .to_owned()
        } else {
            format!(
                "max(network {}, W (R + L) / disk {} = {}) / 0.6 x 1.6, at least R + 1",
                short(network),
                short(disk),
                short(by_disk)
            )
        };
        vec![
            answer("Red Hat", "brokers", brokers, "", formula, RED_HAT),
            answer("Red Hat", "disk", self.demand.stored_gb * 1.1, "GB", "stored x 1.1".to_owned(), RED_HAT),
        ]
    }

    fn redpanda(&self) -> Vec<Answer> {
        let written = self.w * self.r;
        let say = |of, value, formula: &str| answer("Redpanda", of, value, "", formula.to_owned(), REDPANDA);
        vec![
            say("cores", (written / 100.0).ceil().max(1.0), "W R / 100 MB/s a core (its recommendation)"),
            say("cores at best", (written / 1000.0).ceil().max(1.0), "W R / 1 GB/s a core"),
        ]
    }

    fn netflix_cores(&self) -> f64 {
        let busy = self.w / MIB * NETFLIX_WRITE_S + self.w * self.g / MIB * NETFLIX_READ_S;
        (busy + NETFLIX_QUEUE * busy.sqrt()).ceil()
    }

    fn netflix(&self) -> Vec<Answer> {
        let cores = self.netflix_cores();
        let say = |of, value, unit, formula: &str| answer("Netflix", of, value, unit, formula.to_owned(), NETFLIX);
        let mut all =
            vec![say("cores at 2.3 GHz", cores, "", "a + 1.761 sqrt(a), a = 30 ms a MiB written + 40 ms a MiB read")];
        let cpu = self.profile.map(|it| &it.cpu);
        if let (Some(ghz), Some(ipc)) = (cpu.and_then(|it| it.ghz), cpu.and_then(|it| it.ipc_scale)) {
            let here = (cores * NETFLIX_GHZ / (ghz * ipc)).ceil();
            all.push(answer(
                "Netflix",
                "vCPU here",
                here,
                "",
                format!("{cores} x 2.3 GHz / ({ghz} GHz x {ipc})"),
                NETFLIX,
            ));
        }
        let out = self.w * (self.g + self.r - 1.0);
        all.push(say(
            "network",
            (self.w * self.r).max(out) * 1.4 * 8.0 / 1e3,
            "Gb/s",
            "max(in, out) x 1.4, to recover a node",
        ));
        all.push(say("disk", self.demand.stored_gb * 2.5, "GB", "stored x 2.5: at most 40 % full"));
        all.push(say("page cache", self.w / MIB * 600.0 / 1024.0, "GiB", "W x 600 s"));
        all
    }

    fn akalculator(&self) -> Vec<Answer> {
        let (in_mib, out_mib) = (self.w / MIB, self.w * self.g / MIB);
        let vcpu = (in_mib / 5.0).max(out_mib / 15.0).ceil();
        let say =
            |of, value, unit, formula: &str| answer("AKalculator", of, value, unit, formula.to_owned(), AKALCULATOR);
        vec![
            say("vCPU", vcpu, "", "5 MiB/s in and 15 MiB/s out for each"),
            say("disk", self.demand.stored_gb / 0.5, "GB", "at most half full"),
        ]
    }

    fn confluent(&self) -> Vec<Answer> {
        let (tp, tc) = (self.question.partition_in_mb_s, self.question.partition_out_mb_s);
        let say = |of, value, unit, formula: String| answer("Confluent", of, value, unit, formula, CONFLUENT);
        vec![
            say("page cache", self.w * self.r * 30.0 / 1e3, "GB", "W R x 30 s".to_owned()),
            say(
                "partitions",
                (self.w / tp).max(self.w / tc).ceil().max(1.0),
                "",
                format!("max(W / Tp {tp}, W / Tc {tc})"),
            ),
        ]
    }
}

/// Half of the threads for the disk, and of the other half two thirds for the network, the rest for replicas: each at least 1, and of
/// four threads or more no more than there are.
fn handbook_threads(threads: f64) -> (f64, f64, f64) {
    let io = (threads / 2.0).floor().max(1.0);
    let others = threads - io;
    let network = (others * 2.0 / 3.0).round().max(1.0);
    (io, network, (others - network).max(1.0))
}
