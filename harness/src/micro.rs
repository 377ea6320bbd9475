//! Doors for `benches/client.rs`, which measures what a record costs inside our producer. Nothing else uses them.

use ringlog_io::Buf;

use crate::client::accumulator::{Accumulator, Limits};
use crate::client::batch::RecordBytes;
use crate::client::config::ProducerConfig;
use crate::client::properties::Properties;
use crate::client::random::SplittableRandom;
use crate::client::{Mark, Topic};
use crate::producer_perf::letters::Letters;

/// The node that leads the one partition.
const NODE: i32 = 1;
