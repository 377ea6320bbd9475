//! How many brokers of one machine a demand needs: each resource for itself, then what is left when brokers are gone.
//!
//! ```text
//!   N of a resource = demand / (what one broker has x share to plan with)
//!   N = the greatest of them, whole, and at least the replicas and a quorum of 2 f + 1
//!   then N grows until N - f survivors stay below 90 % with the dead brokers' data on its way to a new one,
//!   and until 99 of 100 answers are below the wanted time
//! ```

use serde::Serialize;

use super::ask::Question;
use super::demand::{Demand, Input, Inputs};
use super::machine::Machine;

/// No cluster is larger.
const BROKERS_MAX: f64 = 2000.0;
/// Bytes of an MB.
const MB: f64 = 1e6;
/// Share of a resource's time in which answers can still be foretold.
const BUSY_MAX: f64 = 0.999;

/// What can be short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Processor.
    Cpu,
    /// Network, towards brokers.
    NetworkIn,
    /// Network, from brokers.
    NetworkOut,
    /// Disk, writing.
    DiskWrite,
    /// Disk, reading.
    DiskRead,
    /// The road to volumes.
    VolumeRoad,
    /// Capacity.
    DiskCapacity,
    /// Memory for what was just written.
    Memory,
    /// Partitions.
    Partitions,
    /// Replicas need brokers of their own.
    Replicas,
    /// What is left when brokers are gone.
    Survivors,
    /// The wanted latency.
    Latency,
}

impl Resource {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::NetworkIn => "network in",
            Self::NetworkOut => "network out",
            Self::DiskWrite => "disk writes",
            Self::DiskRead => "disk reads",
            Self::VolumeRoad => "road to volumes",
            Self::DiskCapacity => "disk capacity",
            Self::Memory => "memory",
            Self::Partitions => "partitions",
            Self::Replicas => "replicas and quorum",
            Self::Survivors => "survivors",
            Self::Latency => "latency",
        }
    }
}

impl Resource {
    /// What is asked of all brokers, for people; the sources stand in harness/docs/plan.md.
    #[must_use]
    pub fn how(self) -> &'static str {
        match self {
            Self::Cpu => "W x cost in + W (R - 1) x replicated + W (G + R - 1) x out, by the model",
            Self::NetworkIn => "W R (Cloudera)",
            Self::NetworkOut => "W (G + R - 1) (Cloudera; AWS equation 1)",
            Self::DiskWrite => "W R (Cloudera)",
            Self::DiskRead => "W L (Cloudera)",
            Self::VolumeRoad => "W R + W L, what lasts of the machine's road to all its volumes",
            Self::DiskCapacity => "mean W x retention x R (handbook)",
            Self::Memory => "W R x cache seconds (Confluent)",
            Self::Partitions => "leaders x R (Amazon MSK's most for a broker)",
            Self::Replicas => "a broker for each replica, and 2 f + 1 for a quorum",
            Self::Survivors => "what is left when f brokers are gone",
            Self::Latency => "the wanted p99",
        }
    }
}

/// One resource of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Need {
    /// Which.
    pub resource: Resource,
    /// Of the whole cluster.
    pub demand: f64,
    /// What one broker has.
    pub each: f64,
    /// Of both.
    pub unit: &'static str,
    /// Share to plan with.
    pub share_max: f64,
    /// Brokers, not rounded.
    pub brokers: f64,
}

/// Why a machine is not for this load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Excuse {
    /// What is short.
    pub resource: Resource,
    /// In words.
    pub words: String,
}

/// A cluster of one machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sized {
    /// How many.
    pub brokers: u32,
    /// The same, not rounded and without failures: for what it depends on.
    pub exact: f64,
    /// What decides it.
    pub bottleneck: Resource,
    /// Each resource.
    pub needs: Vec<Need>,
    /// Shares in use with all brokers there.
    pub in_use: Vec<(Resource, f64)>,
    /// Shares in use when brokers are gone and data is on its way.
    pub after_failure: Vec<(Resource, f64)>,
    /// The dead broker's data on its way, MB/s.
    pub recovery_mb_s: f64,
    /// 99 of 100 answers to producers, about; absent where they wait for a disk of which no fdatasync is known.
    pub p99_ms: Option<f64>,
    /// Whether it is the least that it can be: only half of the disk's fdatasync are known.
    pub p99_is_least: bool,
    /// On each broker.
    pub disk_gb_each: f64,
}

/// What so many brokers are like under a demand; `bottleneck` is what their number was chosen for.
pub fn at(
    question: &Question,
    demand: &Demand,
    machine: &Machine,
    inputs: &Inputs,
    (brokers, bottleneck): (u32, Resource),
) -> Result<Sized, Excuse> {
    let needs = needs(question, demand, machine, inputs)?;
    let exact = needs.iter().map(|it| it.brokers).fold(0.0, f64::max);
    let cluster = Cluster { question, demand, machine, needs: &needs, brokers: brokers.into() };
    Ok(cluster.sized(exact, bottleneck, cluster.after_failure(), cluster.p99_ms(inputs)))
}

/// How many are needed.
pub fn size(question: &Question, demand: &Demand, machine: &Machine, inputs: &Inputs) -> Result<Sized, Excuse> {
    let needs = needs(question, demand, machine, inputs)?;
    if let Some(max) = question.p99_ms_max.filter(|_| question.flush_every_batch && machine.flush_ms.is_none()) {
        let words = format!(
            "answers wait for the disk, and its fdatasync is not known (disk.N.fdatasync_us): nobody can say that {max} ms are kept; \
             `ringlog probe` on one of these measures it"
        );
        return Err(Excuse { resource: Resource::Latency, words });
    }
    // Replicas need brokers of their own; a quorum of controllers that outlives f needs 2 f + 1 (KRaft).
    let least = f64::from(question.replicas.max(2 * question.failures + 1));
    let Some(worst) = needs.iter().max_by(|a, b| a.brokers.total_cmp(&b.brokers)) else {
        return Err(Excuse { resource: Resource::Replicas, words: "nothing is asked for".to_owned() });
    };
    let (mut bottleneck, exact) = (worst.resource, worst.brokers);
    let mut brokers = exact.ceil().max(1.0);
    if brokers < least {
        (brokers, bottleneck) = (least, Resource::Replicas);
    }
    loop {
        if brokers > BROKERS_MAX {
            let words = format!("{} needs more than {BROKERS_MAX} brokers", bottleneck.words());
            return Err(Excuse { resource: bottleneck, words });
        }
        let cluster = Cluster { question, demand, machine, needs: &needs, brokers };
        let after = cluster.after_failure();
        let short = question.failures > 0 && after.iter().any(|it| it.1 > question.shares.survivors);
        let p99_ms = cluster.p99_ms(inputs);
        let late = question.p99_ms_max.zip(p99_ms).is_some_and(|(max, it)| it > max);
        if !short && !late {
            return Ok(cluster.sized(exact, bottleneck, after, p99_ms));
        }
        if late && cluster.floor_ms().unwrap_or(0.0) > question.p99_ms_max.unwrap_or(f64::INFINITY) {
            return Err(cluster.too_slow());
        }
        bottleneck = if short { Resource::Survivors } else { Resource::Latency };
        brokers = (brokers + 1.0).max((brokers * 1.01).floor());
    }
}

/// Each resource for itself.
fn needs(question: &Question, demand: &Demand, machine: &Machine, inputs: &Inputs) -> Result<Vec<Need>, Excuse> {
    let shares = question.shares;
    let (network, disk) = (inputs.get(Input::Network), inputs.get(Input::Disk));
    let heap_gb = question.heap_gib * 1.073_741_824;
    let cache_gb = machine.memory_gb - heap_gb;
    let fresh_gb = demand.produced_mb_s * f64::from(question.replicas) * question.cache_s / 1e3;
    if cache_gb <= 0.0 {
        let words = format!(
            "{:.1} GB of memory are not more than the broker's own {heap_gb:.1} GB (heap_gib)",
            machine.memory_gb
        );
        return Err(Excuse { resource: Resource::Memory, words });
    }
    let mut all = Vec::new();
    let mut add = |resource, demand: f64, each: f64, unit, share_max: f64| {
        all.push(Need { resource, demand, each, unit, share_max, brokers: demand / (each * share_max) });
    };
    add(Resource::Cpu, demand.cpu_ms_s, machine.threads * machine.speed * 1e3, "thread-ms/s", shares.cpu);
    if let Some(net) = machine.net_mb_s {
        add(Resource::NetworkIn, demand.net_in_mb_s, net * network, "MB/s", shares.network);
        add(Resource::NetworkOut, demand.net_out_mb_s, net * network, "MB/s", shares.network);
    }
    add(Resource::DiskWrite, demand.disk_write_mb_s, machine.disk_write_mb_s * disk, "MB/s", shares.disk);
    add(Resource::DiskRead, demand.disk_read_mb_s, machine.disk_read_mb_s * disk, "MB/s", shares.disk);
    if let Some(road) = machine.road_mb_s {
        add(Resource::VolumeRoad, demand.disk_write_mb_s + demand.disk_read_mb_s, road, "MB/s", shares.disk);
    }
    add(Resource::DiskCapacity, demand.stored_gb, machine.disk_gb, "GB", shares.disk_full);
    add(Resource::Memory, fresh_gb, cache_gb, "GB", 1.0);
    let replicas = demand.partitions * f64::from(question.replicas);
    add(Resource::Partitions, replicas, machine.replicas_max, "replicas", 1.0);
    Ok(all)
}

/// So many brokers under one demand.
struct Cluster<'a> {
    question: &'a Question,
    demand: &'a Demand,
    machine: &'a Machine,
    needs: &'a [Need],
    brokers: f64,
}

impl Cluster<'_> {
    fn disk_gb_each(&self) -> f64 {
        self.demand.stored_gb / self.brokers
    }

    /// What a broker that lost its disk must be sent, or one that comes back has missed.
    fn recovery_mb_s(&self) -> f64 {
        let gone = f64::from(self.question.failures);
        if self.machine.loses_disk {
            gone * self.disk_gb_each() * 1e3 / (self.question.recovery_hours * 3600.0)
        } else {
            0.0
        }
    }

    /// Shares in use of what goes by time, with `brokers` there and `extra` MB/s more on network and disk.
    fn shares(&self, brokers: f64, extra: f64) -> Vec<(Resource, f64)> {
        let by_time = self.needs.iter().filter_map(|need| {
            let extra = match need.resource {
                Resource::Cpu => 0.0,
                Resource::NetworkIn | Resource::NetworkOut | Resource::DiskWrite | Resource::DiskRead => extra,
                Resource::VolumeRoad => 2.0 * extra,
                _ => return None,
            };
            Some((need.resource, (need.demand + extra) / (brokers * need.each)))
        });
        by_time.collect()
    }

    fn after_failure(&self) -> Vec<(Resource, f64)> {
        let left = self.brokers - f64::from(self.question.failures);
        if left < 1.0 {
            return vec![(Resource::Replicas, f64::INFINITY)];
        }
        self.shares(left, self.recovery_mb_s())
    }

    /// What an answer takes on an idle cluster: waiting for the batch, round trips, the disk where it is waited for; `None` where that
    /// is not known.
    fn floor_ms(&self) -> Option<f64> {
        let trips = if self.question.acks_all { 2.0 } else { 1.0 };
        let flush = if self.question.flush_every_batch { self.machine.flush_ms? } else { 0.0 };
        Some(self.question.linger_ms + trips * self.machine.rtt_ms + flush)
    }

    /// What an idle cluster takes, and for each resource the time in service and waiting. Waiting is that of M/M/1: 99 of 100 wait
    /// less than s ln(100 u) / (1 - u), u the share in use; on a processor with c threads a c-th of it. The sum is an upper bound of
    /// the sum's 99th percentile where service times are no heavier than exponential.
    fn p99_ms(&self, inputs: &Inputs) -> Option<f64> {
        let batch_mb = inputs.get(Input::BatchBytes) / MB;
        let mut sum = self.floor_ms()?;
        for need in self.needs {
            let share = need.demand / (self.brokers * need.each);
            let (service_ms, servers) = match need.resource {
                Resource::Cpu => {
                    (self.cpu_ms_mb(inputs) * batch_mb / self.machine.speed, self.machine.threads.max(1.0))
                }
                Resource::NetworkIn | Resource::NetworkOut => (batch_mb / need.each * 1e3, 1.0),
                Resource::DiskWrite if self.question.flush_every_batch => (batch_mb / need.each * 1e3, 1.0),
                _ => continue,
            };
            if share >= BUSY_MAX {
                return Some(f64::INFINITY);
            }
            sum += service_ms * (1.0 + (100.0 * share).max(1.0).ln() / (1.0 - share) / servers);
        }
        Some(sum)
    }

    /// Processor time that an answer waits for: the leader's, and with acks=all a follower's and the leader's for it.
    fn cpu_ms_mb(&self, inputs: &Inputs) -> f64 {
        let leader = inputs.get(Input::CpuIn) + inputs.get(Input::CpuCodec) * inputs.get(Input::CompressionRatio);
        let follower = inputs.get(Input::CpuOut) + inputs.get(Input::CpuReplicated);
        let waits_for = if self.question.acks_all && self.question.replicas > 1 { leader + follower } else { leader };
        waits_for * inputs.get(Input::Missed)
    }

    fn too_slow(&self) -> Excuse {
        let flush = self.machine.flush_ms.filter(|_| self.question.flush_every_batch);
        let flush =
            flush.map(|it| format!(", fdatasync {it:.2} ms ({})", self.machine.flush_quantile)).unwrap_or_default();
        let max = self.question.p99_ms_max.unwrap_or_default();
        let words = format!(
            "an answer takes {:.2} ms on an idle cluster (linger {} ms, round trips of {} ms{flush}), {max} ms are wanted",
            self.floor_ms().unwrap_or(f64::NAN),
            self.question.linger_ms,
            self.machine.rtt_ms
        );
        Excuse { resource: Resource::Latency, words }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to BROKERS_MAX")]
    fn sized(
        &self,
        exact: f64,
        bottleneck: Resource,
        after_failure: Vec<(Resource, f64)>,
        p99_ms: Option<f64>,
    ) -> Sized {
        let mut in_use = self.shares(self.brokers, 0.0);
        let of = |it: &Need| (it.resource, it.demand / (self.brokers * it.each));
        in_use.extend(
            self.needs
                .iter()
                .filter(|it| matches!(it.resource, Resource::DiskCapacity | Resource::Memory | Resource::Partitions))
                .map(of),
        );
        Sized {
            brokers: self.brokers as u32,
            exact,
            bottleneck,
            needs: self.needs.to_vec(),
            in_use,
            after_failure,
            recovery_mb_s: self.recovery_mb_s(),
            p99_ms,
            p99_is_least: self.question.flush_every_batch && self.machine.flush_quantile != "p99",
            disk_gb_each: self.disk_gb_each(),
        }
    }
}
