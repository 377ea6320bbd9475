//! What became of a topic that did not give back what was written to it.

use std::time::Duration;

use super::{Place, admin};
use crate::client::properties::Properties;
use crate::measure::ledger::LedgerFile;

/// How long the brokers may take to say what became of the topic.
const DESCRIBED_MAX: Duration = Duration::from_secs(10);

/// What became of the ledger's topic meanwhile, where it is not the one any more that the records were written to: what is
/// missing then is no broker's loss. `None` where it is, or where nobody knows.
pub(crate) fn lost_topic(way: Properties, ledger: &LedgerFile) -> Option<String> {
    let place = Place { properties: way, ..Place::default() };
    let found = admin(&place, DESCRIBED_MAX).and_then(|mut admin| admin.describe_topic(&ledger.topic)).ok()?;
    let name = &ledger.topic;
    match (found.map(|it| it.id), ledger.topic_id) {
        (None, _) => {
            Some(format!("topic {name} was deleted by somebody else: what is missing is no loss of the broker's"))
        }
        (Some(now), Some(then)) if !now.is_zero() && now != then => Some(format!(
            "topic {name} was deleted by somebody else and made anew (its id was {then}, and is {now}): what is missing is no \
             loss of the broker's"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::faulty::{Fault, start};

    #[test]
    fn a_topic_that_was_made_anew_is_told_from_a_loss() {
        let mut way = Properties::new();
        way.set("bootstrap.servers", &start(Fault::None));
        let place = Place { properties: way.clone(), ..Place::default() };
        let now = admin(&place, DESCRIBED_MAX).unwrap().describe_topic("t").unwrap().expect("it has every topic");
        let ledger = |topic_id| LedgerFile { topic: "t".into(), topic_id, ..LedgerFile::default() };
        assert_eq!(lost_topic(way.clone(), &ledger(Some(now.id))), None);
        assert_eq!(lost_topic(way.clone(), &ledger(None)), None, "nobody knows");
        let told = lost_topic(way, &ledger(Some(ringlog_wire::Uuid([7; 16])))).unwrap_or_default();
        assert!(told.contains("made anew") && told.contains(&now.id.to_string()), "{told}");
    }
}
