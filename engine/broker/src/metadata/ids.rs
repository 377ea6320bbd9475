//! Who is who: node ids are the cluster's, shard numbers are this host's. Neither is an index of the other.

use std::fmt;

/// A broker's id in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub i32);

/// A shard's number in this process, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ShardId(pub usize);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The nodes that this process is: `shards` of them, from `first_node` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    /// Shard 0's node id.
    pub(crate) first_node: NodeId,
    /// How many shards there are.
    pub(crate) shards: usize,
}

impl Here {
    /// A shard's node id.
    #[must_use]
    pub(crate) fn node(self, shard: ShardId) -> NodeId {
        // Settings made sure that the sum fits.
        NodeId(self.first_node.0.saturating_add(i32::try_from(shard.0).unwrap_or(i32::MAX)))
    }

    /// The shard that is this node, if one of ours is.
    #[must_use]
    pub(crate) fn shard(self, node: NodeId) -> Option<ShardId> {
        let shard = usize::try_from(node.0.checked_sub(self.first_node.0)?).ok()?;
        (shard < self.shards).then_some(ShardId(shard))
    }
}
