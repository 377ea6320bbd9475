//! What comes by itself: transactions that were open for too long are aborted, a completion that could not be written is
//! written again, and ids that nobody uses are forgotten.

use ringlog_io::Nanos;

use super::state::Transaction;
use super::{Asker, Effect, Moment, TransactionCoordinator};

pub(super) fn after(at: Moment, ms: i32) -> Nanos {
    Nanos(at.now.0.saturating_add(u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)))
}

impl TransactionCoordinator {
    /// While there are ids, they are looked at again and again.
    pub(super) fn set_timers(&mut self, at: Moment) {
        if self.ids.is_empty() {
            (self.abort_at, self.expire_at) = (None, None);
            return;
        }
        let (abort_ms, expire_ms) = (self.settings.abort_interval_ms, self.settings.expire_interval_ms);
        self.abort_at.get_or_insert_with(|| after(at, abort_ms));
        self.expire_at.get_or_insert_with(|| after(at, expire_ms));
    }

    /// When [`Self::tick`] has something to do, `None` while there are no ids.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        let refusal = self.waits.front().map(|(until, _)| *until);
        [self.abort_at, self.expire_at, refusal].into_iter().flatten().min()
    }

    /// Looks at what is due.
    pub(crate) fn tick(&mut self, at: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.turn_away(at, &mut effects);
        if self.abort_at.take_if(|due| *due <= at.now).is_some() {
            let is_tv2 = self.is_tv2();
            self.change_where(|id, at| timed_out(id, is_tv2, at), at, &mut effects);
            self.change_where(unfinished, at, &mut effects);
        }
        if self.expire_at.take_if(|due| *due <= at.now).is_some() {
            let expiration_ms = i64::from(self.settings.id_expiration_ms);
            self.change_where(|id, at| expired(id, at, expiration_ms), at, &mut effects);
        }
        self.set_timers(at);
        effects
    }

    /// Changes every id that is served and has no change under way, where `plan` says to what.
    fn change_where(
        &mut self,
        plan: impl Fn(&Transaction, Moment) -> Option<Transaction>,
        at: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let is_free = |partition: i32| self.owned.is_active(partition);
        let free = self.ids.iter().filter(|(_, known)| known.change.is_none() && is_free(known.partition));
        let planned: Vec<(String, Transaction)> =
            free.filter_map(|(id, known)| Some((id.clone(), plan(&known.now, at)?))).collect();
        for (id, next) in planned {
            self.change(&id, next, Asker::Nobody, at, effects);
        }
    }
}

fn timed_out(transaction: &Transaction, is_tv2: bool, at: Moment) -> Option<Transaction> {
    transaction.is_timed_out(at.wall_ms).then(|| transaction.fenced(is_tv2, at.wall_ms))
}

/// All its markers are written, and that it is complete is not in the log.
fn unfinished(transaction: &Transaction, at: Moment) -> Option<Transaction> {
    let is_marked = transaction.state.is_prepared() && transaction.partitions.is_empty();
    is_marked.then(|| transaction.completed(at.wall_ms))
}

fn expired(transaction: &Transaction, at: Moment, expiration_ms: i64) -> Option<Transaction> {
    let is_old = transaction.update_ms.saturating_add(expiration_ms) <= at.wall_ms;
    (transaction.state.is_at_rest() && is_old).then(|| transaction.dead())
}
