//! Whether the machine was left alone while it was measured. A disturbed probe is kept, and says so.

use super::{Rate, Step};
use crate::host::Usage;

/// Above this share of a core's time the hypervisor's taking disturbs: as bench's rows have it.
const STEAL_SHARE_MAX: f64 = 0.02;
/// Above this share of a core, other processes disturb a step that needs the cores.
const OTHERS_SHARE_MAX: f64 = 0.10;
/// By how much the fifths of a step of the processor may differ.
const SPREAD_MAX: f64 = 0.15;

/// What was seen beside the measuring.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quiet {
    wall_s: f64,
    steal_s: f64,
    others_s: Option<f64>,
    pressure_cpu_s: Option<f64>,
    pressure_io_s: Option<f64>,
    /// What disturbed it, a line each.
    pub disturbed: Vec<String>,
}

impl Quiet {
    /// Takes what was used during a step.
    pub(super) fn note(&mut self, step: &Step, usage: &Usage) {
        let others_s = usage.machine_cpu_ns.map(|it| it.saturating_sub(usage.client.cpu_ns) as f64 / 1e9);
        let steal = usage.steal_share();
        let others = others_s.filter(|_| usage.wall_s > 0.0).map_or(0.0, |it| it / usage.wall_s);
        if steal > STEAL_SHARE_MAX {
            self.disturbed.push(format!("{}: the hypervisor took {:.0} % of a core", step.what, steal * 100.0));
        }
        if step.needs_quiet_cores && others > OTHERS_SHARE_MAX {
            let others = others * 100.0;
            self.disturbed.push(format!("{}: others on this machine used {others:.0} % of a core", step.what));
        }
        let seconds = |us: Option<u64>| us.map(|it| it as f64 / 1e6);
        let add = |sum: &mut Option<f64>, it: Option<f64>| {
            if let Some(it) = it {
                *sum = Some(sum.unwrap_or(0.0) + it);
            }
        };
        self.wall_s += usage.wall_s;
        self.steal_s += usage.steal_ms as f64 / 1e3;
        add(&mut self.others_s, others_s);
        add(&mut self.pressure_cpu_s, seconds(usage.pressure_cpu_us));
        add(&mut self.pressure_io_s, seconds(usage.pressure_io_us));
    }

    /// A build without optimisation measures itself, not the machine.
    pub(super) fn note_build(&mut self, is_debug: bool) {
        if is_debug {
            let words = "this program was built without optimisation: build it with --release";
            self.disturbed.push(words.to_owned());
        }
    }

    /// Takes how even the rates were of what only the processor does.
    pub(super) fn note_rates(&mut self, rates: &[(&str, Option<Rate>)]) {
        for (what, rate) in rates {
            if let Some(rate) = rate.filter(|it| it.spread() > SPREAD_MAX) {
                let (least, greatest) = (rate.least_per_s / 1e6, rate.greatest_per_s / 1e6);
                self.disturbed
                    .push(format!("{what}: between {least:.0} and {greatest:.0} MB/s within its own seconds"));
            }
        }
    }

    /// What the hypervisor took, of one core.
    pub(super) fn steal_share(&self) -> f64 {
        self.share(Some(self.steal_s)).unwrap_or(0.0)
    }

    /// What others used, of one core.
    pub(super) fn others_share(&self) -> Option<f64> {
        self.share(self.others_s)
    }

    /// Waiting for a core, and for a disk.
    pub(super) fn pressure_shares(&self) -> (Option<f64>, Option<f64>) {
        (self.share(self.pressure_cpu_s), self.share(self.pressure_io_s))
    }

    /// With three digits behind the point.
    fn share(&self, seconds: Option<f64>) -> Option<f64> {
        seconds.filter(|_| self.wall_s > 0.0).map(|it| (it / self.wall_s * 1e3).round() / 1e3)
    }
}
