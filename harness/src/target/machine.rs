//! Who sits where: the client keeps a core of its own, brokers get the others.

/// The places on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats {
    /// The client's core; `None` where there is only one.
    pub client: Option<usize>,
    /// The core of a broker with one thread; `None` where there is only one, or where the broker has several threads
    /// and seats them itself.
    pub broker: Option<usize>,
    /// The null broker's core.
    pub null_broker: Option<usize>,
    /// Shards of the broker that we start.
    pub shards: u32,
    /// Whether client and broker share a core.
    pub shared: bool,
}

impl Seats {
    /// Seats for these cores: the last one is the client's, shards take the first ones (as the broker pins them).
    #[must_use]
    pub fn on(cores: &[usize], shards: Option<u32>) -> Self {
        let spare = u32::try_from(cores.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let shards = shards.unwrap_or(spare.max(1));
        let (first, last) = (cores.first().copied(), cores.last().copied().filter(|_| cores.len() > 1));
        Self {
            client: last,
            broker: first.filter(|_| shards == 1 && last.is_some()),
            null_broker: first.filter(|_| last.is_some()),
            shards,
            shared: shards > spare,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_keeps_the_last_core_and_shards_fill_the_others() {
        let seats = Seats::on(&[0, 1, 2, 3], None);
        assert_eq!((seats.client, seats.broker, seats.null_broker), (Some(3), None, Some(0)));
        assert_eq!((seats.shards, seats.shared), (3, false));
    }

    #[test]
    fn two_cores_are_one_for_each() {
        let seats = Seats::on(&[4, 6], None);
        assert_eq!((seats.client, seats.broker, seats.shards, seats.shared), (Some(6), Some(4), 1, false));
    }

    #[test]
    fn one_core_is_shared_and_nobody_is_pinned() {
        let seats = Seats::on(&[0], None);
        assert_eq!((seats.client, seats.broker, seats.shards, seats.shared), (None, None, 1, true));
    }

    #[test]
    fn more_shards_than_spare_cores_share_the_clients() {
        assert!(Seats::on(&[0, 1], Some(2)).shared);
    }
}
