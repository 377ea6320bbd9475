//! Keeps a run on the disk: a trial's rows and histograms before the next one begins.

use std::time::SystemTime;

use crate::results::columns::Row;
use crate::results::latency::LatencyWriter;
use crate::results::rows::RowWriter;
use crate::results::{ResultsError, RunFolder};
use crate::run::Keep;

/// The files of a run's folder.
pub(super) struct Keeper {
    rows: RowWriter,
    latencies: LatencyWriter,
}

impl Keeper {
    /// For a new run that began then.
    pub(super) fn create(folder: &RunFolder, began: SystemTime) -> Result<Self, ResultsError> {
        Ok(Self { rows: RowWriter::create(folder)?, latencies: LatencyWriter::create(folder, began) })
    }

    /// For one that began then and was stopped; gives its rows.
    pub(super) fn resume(folder: &RunFolder, began: SystemTime) -> Result<(Self, Vec<Row>), ResultsError> {
        let (rows, kept) = RowWriter::resume(folder)?;
        Ok((Self { rows, latencies: LatencyWriter::resume(folder, began)? }, kept))
    }
}

impl Keep for Keeper {
    /// Histograms first: a row whose histograms are missing would be half a row.
    fn keep(&mut self, rows: &[Row], lines: &[u8]) -> Result<(), ResultsError> {
        self.latencies.append(lines)?;
        self.rows.append(rows)
    }
}
