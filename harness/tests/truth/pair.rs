//! The reference and then what is measured against it, right after each other.
//!
//! A reference that is disturbed says that the machine is: then the pair is run again, and at the third time it is
//! inconclusive, for that reason. Where a number of ours does not hold the reference runs once more: between two that hold it
//! has failed. What is asked of ours is what it always was: one run, within 5 %, that nothing disturbed.

use std::time::Instant;

use crate::checks::report::{Fault, Report, Told};

const ATTEMPTS: u32 = 3;

/// One of a pair.
pub(crate) struct Check<'a> {
    pub(crate) name: String,
    pub(crate) is_reference: bool,
    pub(crate) run: Box<dyn FnMut() -> Told + 'a>,
}

/// Runs those that the report wants.
pub(crate) fn pair(report: &mut Report<'_>, mut checks: Vec<Check<'_>>) {
    checks.retain(|it| report.wants(&it.name));
    let mut reason = String::new();
    for attempt in 1..=ATTEMPTS {
        match once(&mut checks) {
            Ok(told) => {
                for (check, (said, started)) in checks.iter().zip(told) {
                    report.tell(&check.name, &said, Some(started));
                }
                return;
            }
            Err((at, why)) => {
                reason = format!("the reference was disturbed {attempt} times of {ATTEMPTS}: {why}");
                report.line(&format!("   {}: {reason}", checks[at].name));
            }
        }
    }
    checks.iter().for_each(|it| report.inconclusive(&it.name, &reason));
}

/// What each said, or at which of them the reference was found to be disturbed.
fn once(checks: &mut [Check<'_>]) -> Result<Vec<(Told, Instant)>, (usize, String)> {
    let mut told = Vec::new();
    for at in 0..checks.len() {
        let started = Instant::now();
        let said = (checks[at].run)();
        if let Err(Fault::Disturbed(why)) = &said {
            let disturbed = if checks[at].is_reference { Some(why.clone()) } else { disturbed_now(checks) };
            if let Some(why) = disturbed {
                return Err((at, why));
            }
        }
        told.push((said, started));
    }
    Ok(told)
}

/// Why the reference does not hold now, if it does not.
fn disturbed_now(checks: &mut [Check<'_>]) -> Option<String> {
    checks.iter_mut().filter(|it| it.is_reference).find_map(|it| match (it.run)() {
        Err(Fault::Disturbed(why)) => Some(why),
        Ok(_) | Err(Fault::Failed(_)) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one of a pair says, run after run.
    #[derive(Clone, Copy)]
    enum Run {
        Quiet,
        Far,
        Broken,
    }
    use Run::{Broken, Far, Quiet};

    /// A name, what the reference and ours do, run after run; what passed, failed, and was inconclusive.
    type Case<'a> = (&'a str, &'a [Run], &'a [Run], [usize; 3]);

    fn runs(of: &[Run]) -> Box<dyn FnMut() -> Told> {
        let mut left = of.to_vec();
        Box::new(move || match left.remove(0) {
            Quiet => Ok(String::new()),
            Far => Err(Fault::Disturbed("8 % off".to_owned())),
            Broken => Err(Fault::Failed("exit code 1".to_owned())),
        })
    }

    #[test]
    fn a_reference_that_is_disturbed_is_told_apart_from_a_tool_that_lies() {
        let cases: [Case<'_>; 9] = [
            ("both hold", &[Quiet], &[Quiet], [2, 0, 0]),
            ("ours does not hold between two references that do", &[Quiet, Quiet], &[Far], [1, 1, 0]),
            ("the reference is disturbed right after ours", &[Quiet, Far, Quiet], &[Far, Quiet], [2, 0, 0]),
            ("ours breaks", &[Quiet], &[Broken], [1, 1, 0]),
            ("the reference is disturbed, and quiet the second time", &[Far, Quiet], &[Quiet], [2, 0, 0]),
            ("quiet the third time, and ours does not hold", &[Far, Far, Quiet, Quiet], &[Far], [1, 1, 0]),
            ("disturbed three times", &[Far, Far, Far], &[], [0, 0, 2]),
            ("the reference breaks", &[Broken], &[Quiet], [1, 1, 0]),
            ("the reference breaks after ours did not hold", &[Quiet, Broken], &[Far], [1, 1, 0]),
        ];
        for (name, reference, ours, wanted) in cases {
            let mut out = Vec::new();
            let mut report = Report::new(None, &mut out);
            let check = |name: &str, of: &[Run]| Check {
                name: name.to_owned(),
                is_reference: name == "reference",
                run: runs(of),
            };
            pair(&mut report, vec![check("reference", reference), check("ours", ours)]);
            assert_eq!([&report.passed, &report.failed, &report.undecided].map(Vec::len), wanted, "{name}");
            let exit = format!("{:?}", report.close());
            assert_eq!(exit.contains("(0)"), wanted[1] == 0 && wanted[0] > 0, "{name}: {exit}");
        }
    }
}
