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
    /// What the model does not have, and what stands in its place.
    pub taken: Vec<String>,
    /// Machines that fit, the cheapest first; those without a price after them, by their number.
    pub fits: Vec<Fit>,
    /// Machines that do not, with the reason.
    pub rejected: Vec<Rejected>,
    /// Other people's methods, on one machine.
    pub methods: Methods,
}

/// Other people's methods.
#[derive(Clone, Debug, Serialize)]
pub struct Methods {
    /// The machine: the one that was asked for, else the first that fits; without one, methods that need none.
    pub profile: Option<String>,
    /// What they say.
    pub answers: Vec<Answer>,
}

/// A machine that fits.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// Its profile.
    pub profile: String,
    /// How many, what decides it: enough for the share of draws that was asked for, and for the likeliest values.
    pub sized: Sized,
    /// How many the likeliest values need.
    pub brokers_likeliest: u32,
    /// How sure that is.
    pub spread: Spread,
    /// All of them, their volumes included.
    pub usd_per_year: Option<f64>,
    /// What one has, for one broker.
    pub machine: Machine,
    /// Threads of one.
    pub threads: u32,
    /// Cores of one.
    pub cores: u32,
    /// Memory of one.
    pub memory_gib: f64,
    /// Disk of one: what it has, or of a volume what is to be bought, so that it is no fuller than it may be.
    pub disk_gb: f64,
}

/// A machine that does not fit.
#[derive(Clone, Debug, Serialize)]
pub struct Rejected {
    /// Its profile.
    pub profile: String,
    /// Why.
    pub excuse: Excuse,
}

/// Plans a load for each of the machines. `of_model` is the profile that the model was measured on, `methods_of` the machine that other
/// people's methods are asked about: without one the first that fits.
#[must_use]
pub fn plan(
    question: &Question,
    model: &Model,
    of_model: Option<&Profile>,
    (profiles, methods_of): (&[&Profile], Option<&Profile>),
    seed: u64,
) -> Plan {
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
    let first = fits.first().and_then(|it| profiles.iter().find(|profile| profile.name == it.profile)).copied();
    let of = methods_of.or(first);
    let methods = Methods { profile: of.map(|it| it.name.clone()), answers: methods::all(question, &demand, of) };
    let taken = demand::taken(question, model);
    Plan { schema: 1, question: question.clone(), demand, model: model.clone(), taken, fits, rejected, methods }
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
    let likeliest = size::size(question, &demand, &machine, &inputs)?;
    let spread = draws::spread(question, &machine, &intervals, draws, likeliest.brokers);
    let brokers_likeliest = likeliest.brokers;
    let sized = match &spread.enough {
        None => return Err(too_few_draws(question, &spread)),
        Some(it) if it.brokers > likeliest.brokers => {
            size::at(question, &demand, &machine, &inputs, (it.brokers, it.bottleneck))?
        }
        Some(_) => likeliest,
    };
    Ok(Fit {
        profile: profile.name.clone(),
        usd_per_year: usd_per_year(question, profile, &sized),
        threads: profile.cpu.threads,
        cores: profile.cpu.cores,
        memory_gib: profile.memory.gib,
        disk_gb: disk_gb(question, &machine, &sized),
        brokers_likeliest,
        sized,
        spread,
        machine,
    })
}

/// No number is enough in as many draws as were asked for.
fn too_few_draws(question: &Question, spread: &Spread) -> Excuse {
    let (resource, why) =
        spread.hopeless.as_ref().map_or((size::Resource::Replicas, ""), |it| (it.resource, it.words.as_str()));
    let words = format!(
        "in {:.0} % of the draws of what is not known no number is enough, {:.0} % are allowed (confidence {}): {why}",
        spread.overload_share * 100.0,
        (1.0 - question.confidence) * 100.0,
        question.confidence
    );
    Excuse { resource, words }
}

/// What one has on its disks; volumes are bought as large as they must be.
fn disk_gb(question: &Question, machine: &Machine, sized: &Sized) -> f64 {
    if machine.grows { sized.disk_gb_each / question.shares.disk_full } else { machine.disk_gb }
}

/// Machines by the hour, volumes as large as they must be.
fn usd_per_year(question: &Question, profile: &Profile, sized: &Sized) -> Option<f64> {
    let price = profile.price.as_ref()?;
    let volume_gb = if profile.is_on_volumes() { sized.disk_gb_each / question.shares.disk_full } else { 0.0 };
    let volume = volume_gb * price.volume_usd_per_gb_month.unwrap_or(0.0) + price.volume_usd_per_month.unwrap_or(0.0);
    Some(f64::from(sized.brokers) * (price.usd_per_hour * YEAR_H + volume * MONTHS))
}
