//! What a workload cannot be: refused with its limit.

use super::{Kind, Workload, WorkloadError};
use crate::load::clients::CLIENTS_MAX;
use crate::load::schedule::Arrivals;
use crate::load::shapes::{KeyShape, Sizes};
use crate::measure::ledger::STAMP_LEN;

/// Most by which values can be made compressible.
const COMPRESSIBILITY_MAX: f64 = 1000.0;

impl Workload {
    /// Refuses what cannot be, with the limit.
    pub(crate) fn check(&self) -> Result<(), WorkloadError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if self.schema != 1 {
            return Err(self.invalid(format!("schema is {}, this version reads 1", self.schema)));
        }
        if !positive(self.measured_s) || !self.warmup_s.is_finite() || self.warmup_s < 0.0 {
            return Err(self.invalid("measured_s must be above 0 and warmup_s not below 0".to_owned()));
        }
        if self.name.is_empty() {
            return Err(self.invalid("it needs a name".to_owned()));
        }
        if self.warmup_s_max.is_some_and(|most| !positive(most) || most < self.warmup_s) {
            return Err(self.invalid("warmup_s_max must be above 0, and not below warmup_s".to_owned()));
        }
        if !positive(self.steady_cv_max) || self.records_max == Some(0) {
            return Err(self.invalid("steady_cv_max and records_max must be above 0".to_owned()));
        }
        if [self.replication_factor, self.replication_factor_max].into_iter().flatten().any(|it| it < 1) {
            return Err(self.invalid("replication_factor and replication_factor_max must be 1 or more".to_owned()));
        }
        if !(1..=10_000).contains(&self.partitions) || !(1..=1000).contains(&self.rounds) {
            return Err(self.invalid("partitions must be 1 to 10000 and rounds 1 to 1000".to_owned()));
        }
        self.check_shapes()?;
        self.check_transactions()?;
        match self.kind {
            Kind::Consume if self.of.is_none() => Err(self.invalid("a consume workload needs of = \"..\"".to_owned())),
            Kind::Consume => Ok(()),
            Kind::Latency if !self.rate_records_s.is_some_and(positive) => {
                Err(self.invalid("a latency workload needs rate_records_s above 0".to_owned()))
            }
            Kind::Produce | Kind::Latency => self.check_record_bytes(),
        }
    }

    fn check_shapes(&self) -> Result<(), WorkloadError> {
        // Options and keys of profiles have one grammar, and texts of their own.
        let invalid = |reason: String| {
            self.invalid(reason.replace("--record-size-dist", "record_size_dist").replace("--keys", "keys"))
        };
        if !(1..=CLIENTS_MAX).contains(&(self.clients as usize)) {
            return Err(self.invalid(format!("clients is {}; it must be 1 to {CLIENTS_MAX}", self.clients)));
        }
        if self.compressibility.is_some_and(|ratio| !(1.0..=COMPRESSIBILITY_MAX).contains(&ratio)) {
            return Err(self.invalid(format!("compressibility must be 1 to {COMPRESSIBILITY_MAX}")));
        }
        if arrivals(&self.arrivals).is_none() {
            return Err(self.invalid(format!("arrivals is {:?}; it must be constant or poisson", self.arrivals)));
        }
        self.record_size_dist.as_deref().map_or(Ok(()), |text| Sizes::parse(text).map(|_| ())).map_err(invalid)?;
        KeyShape::parse(&self.keys).map(|_| ()).map_err(invalid)?;
        self.check_events()?;
        self.check_readers()
    }

    /// Whether they go with the producer's other settings is Kafka's rule, and refused where those are read.
    fn check_transactions(&self) -> Result<(), WorkloadError> {
        if [self.transaction_records, self.transaction_ms].contains(&Some(0)) {
            return Err(self.invalid("transaction_records and transaction_ms must be 1 or more".to_owned()));
        }
        if self.has_transactions() && self.kind == Kind::Consume {
            return Err(self.invalid("transactions belong to a workload that writes".to_owned()));
        }
        if self.producer.contains_key("transactional.id") && !self.has_transactions() {
            let reason =
                "[producer] has a transactional.id: say with transaction_records or transaction_ms when to commit";
            return Err(self.invalid(reason.to_owned()));
        }
        Ok(())
    }

    fn check_record_bytes(&self) -> Result<(), WorkloadError> {
        let (least, most) = (STAMP_LEN, 100 << 20);
        if (least..=most).contains(&(self.record_bytes as usize)) {
            return Ok(());
        }
        Err(self.invalid(format!("record_bytes is {}; it must be {least} to {most}", self.record_bytes)))
    }

    pub(in crate::spec) fn invalid(&self, reason: String) -> WorkloadError {
        WorkloadError::Invalid { name: self.name.clone(), reason }
    }
}

/// Gaps of a schedule, from a profile's word.
pub(super) fn arrivals(text: &str) -> Option<Arrivals> {
    match text {
        "constant" => Some(Arrivals::Constant),
        "poisson" => Some(Arrivals::Poisson),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::workload::load::{BUILT_IN, parse};

    #[test]
    fn values_that_cannot_be_are_refused_with_the_limit() {
        let refused = |at: usize, key: &str, line: &str| {
            let begin = format!("{key} = ");
            let lines = BUILT_IN[at].1.lines().map(|it| if it.starts_with(&begin) { line } else { it });
            parse("x", &lines.collect::<Vec<_>>().join("\n")).unwrap_err().to_string()
        };
        assert!(refused(0, "record_bytes", "record_bytes = 8").contains("must be 16"));
        assert!(refused(0, "measured_s", "measured_s = 0.0").contains("above 0"));
        assert!(refused(2, "of", "").contains("needs of"));
        assert!(refused(3, "rate_records_s", "").contains("rate_records_s"));
        assert!(refused(0, "rounds", "groups = 200\nconsumers = 2").contains("400 clients"));
        assert!(refused(0, "rounds", "groups = 1\nconsumers = 2").contains("consumers must be 1 at most"));
        assert!(refused(0, "rounds", "transaction_records = 0").contains("must be 1 or more"));
        assert!(refused(2, "measured_s", "measured_s = 1.0\ntransaction_ms = 5").contains("a workload that writes"));
        assert!(refused(0, "\"linger.ms\"", "\"transactional.id\" = \"mine\"").contains("when to commit"));
        assert!(refused(2, "measured_s", "measured_s = 1.0\ngroups = 1").contains("a workload that writes"));
    }
}
