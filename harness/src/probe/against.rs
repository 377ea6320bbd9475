//! What was measured beside a preset: which numbers are off, and which preset is the nearest.

use crate::spec::hardware::{Catalogue, Entry, Profile};

/// From this share on a number is off.
pub(crate) const OFF_SHARE: f64 = 0.15;

/// A number that both have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Beside {
    /// Its path; quantiles one by one.
    pub field: String,
    /// Here.
    pub here: f64,
    /// There.
    pub there: f64,
    /// What kind of knowledge the preset's number is.
    pub quality: &'static str,
}

impl Beside {
    /// Here, as a multiple of there.
    pub(crate) fn ratio(&self) -> f64 {
        self.here / self.there
    }

    /// Whether it is 15 % off, either way.
    pub(crate) fn is_off(&self) -> bool {
        (self.ratio() - 1.0).abs() >= OFF_SHARE
    }
}

/// Every number that both have, in the order of their names.
pub(crate) fn beside(here: &Profile, there: &Profile) -> Vec<Beside> {
    let others = there.numbers();
    let of = |field: &str| others.iter().find(|it| it.0 == field).map(|it| it.1);
    let quality = |field: &str| {
        let whole = field.rsplit_once('.').map_or(field, |it| it.0);
        there.fact(field).or_else(|| there.fact(whole)).map_or("", |it| it.quality.name())
    };
    let both =
        |(field, here): (String, f64)| of(&field).map(|there| Beside { quality: quality(&field), field, here, there });
    here.numbers().into_iter().filter_map(both).collect()
}

/// The preset that is nearest by threads and memory, threads counting twice.
pub(crate) fn nearest<'a>(here: &Profile, all: &'a Catalogue) -> Option<&'a Entry> {
    let far = |a: f64, b: f64| (a / b).ln().abs();
    let distance = |it: &Entry| {
        let threads = far(it.profile.cpu.threads.into(), here.cpu.threads.into());
        2.0 * threads + far(it.profile.memory.gib, here.memory.gib)
    };
    all.entries().iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_fifteen_percent_off_are_found_and_others_are_not() {
        let all = Catalogue::load(None).unwrap();
        let there = &all.get("2c-24g-ext4").unwrap().profile;
        let mut here = there.clone();
        here.disk[0].seq_read_mb_s *= 1.16;
        here.disk[0].seq_write_mb_s *= 0.86;
        if let Some(times) = &mut here.disk[0].fdatasync_us {
            times.p99 = times.p99.map(|it| it * 0.5);
        }
        let both = beside(&here, there);
        let off: Vec<&str> = both.iter().filter(|it| it.is_off()).map(|it| it.field.as_str()).collect();
        assert_eq!(off, ["disk.0.fdatasync_us.p99", "disk.0.seq_read_mb_s"]);
        assert!(both.iter().any(|it| it.field == "memory.gib" && it.quality == "kernel"));
        assert!(both.iter().any(|it| it.field == "disk.0.fdatasync_us.p50" && it.quality == "measured"));
    }

    #[test]
    fn the_nearest_preset_has_as_many_threads_and_as_much_memory() {
        let all = Catalogue::load(None).unwrap();
        for (name, factor) in [("2c-24g-ext4", 1.1), ("aws-i4i-2xlarge", 1.0), ("raspberry-pi-5-nvme", 0.95)] {
            let mut here = all.get(name).unwrap().profile.clone();
            here.memory.gib *= factor;
            let found = nearest(&here, &all).unwrap();
            assert_eq!((found.profile.cpu.threads, found.profile.memory.gib), {
                let it = &all.get(name).unwrap().profile;
                (it.cpu.threads, it.memory.gib)
            });
        }
    }
}
