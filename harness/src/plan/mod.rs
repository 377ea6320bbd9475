//! From a load to machines, and back. Arithmetic only: no clock, no files, the same answer for the same question.
//!
//! ```text
//!   Ask (TOML, options) -> Question (every value, every default with its source)
//!   Question x Model x Profile -> intervals -> mids -----> Demand -> size -> brokers, bottleneck, survivors
//!                                           -> draws ----> Demand -> size -> P5, P50, P95, what it depends on
//!   Demand x Profile -> methods: other people's, side by side
//! ```

pub mod ask;
pub mod demand;
pub mod draws;
pub mod interval;
pub mod machine;
pub mod methods;
pub mod model;
pub mod reverse;
pub mod size;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::spec::hardware::Profile;
use ask::Question;
use demand::{Demand, INPUTS};
use draws::Spread;
use interval::Interval;
use machine::Machine;
use methods::Answer;
use model::Model;
use size::{Excuse, Sized};

/// Hours of a year and of a month.
const YEAR_H: f64 = 8760.0;
const MONTHS: f64 = 12.0;

/// A load on machines.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Version of this document: 1.
    pub schema: u32,
    /// The load with every value.
    pub question: Question,
    /// Of the whole cluster at the peak, from the likeliest of each.
    pub demand: Demand,
    /// What work costs, and where that comes from.
    pub model: Model,
    /// Machines that fit, the cheapest first; those without a price after them, by their number.
    pub fits: Vec<Fit>,
    /// Machines that do not, with the reason.
    pub rejected: Vec<Rejected>,
}

/// A machine that fits.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// Its profile.
    pub profile: String,
    /// How many, what decides it.
    pub sized: Sized,
    /// How sure that is.
    pub spread: Spread,
    /// All of them, their volumes included.
    pub usd_per_year: Option<f64>,
    /// What one has, for one broker.
    pub machine: Machine,
    /// Threads of one.
    pub threads: u32,
    /// What other methods say on this machine.
    pub methods: Vec<Answer>,
}

/// A machine that does not fit.
#[derive(Clone, Debug, Serialize)]
pub struct Rejected {
    /// Its profile.
    pub profile: String,
    /// Why.
    pub excuse: Excuse,
}

/// Plans a load for each of the machines. `of_model` is the profile that the model was measured on.
#[must_use]
pub fn plan(question: &Question, model: &Model, of_model: Option<&Profile>, profiles: &[&Profile], seed: u64) -> Plan {
    let draws = draws::draws(seed);
    let sure = Interval::known(1.0);
    let demand = Demand::of(question, &draws::mids(&demand::intervals(question, model, sure, sure)));
    let (mut fits, mut rejected) = (Vec::new(), Vec::new());
    for profile in profiles {
        match fit(question, model, of_model, profile, &draws) {
            Ok(it) => fits.push(it),
            Err(excuse) => rejected.push(Rejected { profile: profile.name.clone(), excuse }),
        }
    }
    let order = |it: &Fit| (it.usd_per_year.unwrap_or(f64::INFINITY), it.sized.brokers);
    fits.sort_by(|a, b| {
        order(a).0.total_cmp(&order(b).0).then(order(a).1.cmp(&order(b).1)).then(a.profile.cmp(&b.profile))
    });
    Plan { schema: 1, question: question.clone(), demand, model: model.clone(), fits, rejected }
}

fn fit(
    question: &Question,
    model: &Model,
    of_model: Option<&Profile>,
    profile: &Profile,
    draws: &[[f64; INPUTS.len()]],
) -> Result<Fit, Excuse> {
    let machine = Machine::of(profile, model, of_model);
    let intervals = demand::intervals(question, model, machine.network_sure, machine.disk_sure);
    let inputs = draws::mids(&intervals);
    let demand = Demand::of(question, &inputs);
    let sized = size::size(question, &demand, &machine, &inputs)?;
    let spread = draws::spread(question, &machine, &intervals, draws, sized.brokers);
    Ok(Fit {
        profile: profile.name.clone(),
        usd_per_year: usd_per_year(question, profile, &sized),
        threads: profile.cpu.threads,
        methods: methods::all(question, &demand, profile),
        sized,
        spread,
        machine,
    })
}

/// Machines by the hour, volumes as large as they must be.
fn usd_per_year(question: &Question, profile: &Profile, sized: &Sized) -> Option<f64> {
    let price = profile.price.as_ref()?;
    let volume_gb = if profile.is_on_volumes() { sized.disk_gb_each / question.shares.disk_full } else { 0.0 };
    let volume = volume_gb * price.volume_usd_per_gb_month.unwrap_or(0.0) + price.volume_usd_per_month.unwrap_or(0.0);
    Some(f64::from(sized.brokers) * (price.usd_per_hour * YEAR_H + volume * MONTHS))
}
