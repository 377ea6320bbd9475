//! The coordinators of a shard, by the topic that their state is in: who leads a partition of it, serves what belongs there.

use std::sync::Arc;

use crate::broker::Broker;
use crate::metadata::image::{OFFSETS_TOPIC, Owner, TRANSACTIONS_TOPIC, Topic};
use crate::tasks::About;
use crate::{group_desk, transaction_desk};

/// Which coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coordinator {
    /// Of groups: `__consumer_offsets`.
    Groups,
    /// Of transactions: `__transaction_state`.
    Transactions,
}

impl Coordinator {
    /// The one whose topic this is.
    pub(crate) fn of(topic: &str) -> Option<Self> {
        match topic {
            OFFSETS_TOPIC => Some(Self::Groups),
            TRANSACTIONS_TOPIC => Some(Self::Transactions),
            _ => None,
        }
    }

    /// Its topic's name.
    pub(crate) fn topic(self) -> &'static str {
        match self {
            Self::Groups => OFFSETS_TOPIC,
            Self::Transactions => TRANSACTIONS_TOPIC,
        }
    }

    /// The task that loads one of its partitions.
    pub(crate) fn loading(self, partition: i32) -> About {
        match self {
            Self::Groups => About::LoadOffsets(partition),
            Self::Transactions => About::LoadTransactions(partition),
        }
    }

    /// Whether what belongs to a partition is served here.
    pub(crate) fn leads(self, broker: &Broker, partition: i32) -> bool {
        match self {
            Self::Groups => broker.groups.leads(partition),
            Self::Transactions => broker.transactions.leads(partition),
        }
    }

    /// Whether it is, or will be soon.
    pub(crate) fn expects(self, broker: &Broker, partition: i32) -> bool {
        match self {
            Self::Groups => broker.groups.expects(partition),
            Self::Transactions => broker.transactions.expects(partition),
        }
    }

    /// This shard leads a partition, and opens it soon: until then who asks is told so.
    pub(crate) fn expect(self, broker: &mut Broker, partition: i32) {
        match self {
            Self::Groups => group_desk::expect(broker, partition),
            Self::Transactions => transaction_desk::expect(broker, partition),
        }
    }

    /// Replays whole batches of a partition that is being loaded. Gives how many of the bytes it used.
    pub(crate) fn replay(self, broker: &mut Broker, partition: i32, bytes: &[u8]) -> Result<usize, String> {
        match self {
            Self::Groups => broker.groups.replay(partition, bytes).map_err(|error| error.to_string()),
            Self::Transactions => broker.transactions.replay(partition, bytes).map_err(|error| error.to_string()),
        }
    }

    /// A partition was replayed to its end.
    pub(crate) fn serve(self, broker: &mut Broker, partition: i32) {
        match self {
            Self::Groups => group_desk::serve(broker, partition),
            Self::Transactions => transaction_desk::serve(broker, partition),
        }
    }

    /// What belongs to a partition is not served, and nothing is known of it.
    pub(crate) fn give_up(self, broker: &mut Broker, partition: i32) {
        match self {
            Self::Groups => group_desk::give_up(broker, partition),
            Self::Transactions => transaction_desk::give_up(broker, partition),
        }
    }

    /// This shard does not lead a partition any more.
    pub(crate) fn unload(self, broker: &mut Broker, partition: i32) {
        match self {
            Self::Groups => group_desk::unload(broker, partition),
            Self::Transactions => transaction_desk::unload(broker, partition),
        }
    }

    /// The topic, where it exists, and the partition that an id belongs to.
    pub(crate) fn find(self, broker: &Broker, id: &str) -> Option<(Arc<Topic>, i32)> {
        let topic = broker.image.topic(self.topic())?;
        let count = i32::try_from(topic.partitions.len()).ok()?;
        Some((Arc::clone(topic), crate::coordinator::partition_of(id, count)))
    }

    /// Who coordinates an id.
    pub(crate) fn owner(self, broker: &Broker, id: &str) -> Owner {
        self.find(broker, id)
            .map_or(Owner::Nobody, |(topic, partition)| broker.image.owner(&topic, partition, broker.shard))
    }
}
