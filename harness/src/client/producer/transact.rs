//! Transactions as the Java producer has them: initTransactions, beginTransaction, commitTransaction, abortTransaction.

use ringlog_wire::ApiKey;

use super::super::accumulator::nanos;
use super::super::network::VERSION_ANY;
use super::super::transactions::{ADD_PARTITIONS_VERSION_MAX, Ask, Change, State, TransactionError, Transactions};
use super::super::{ClientError, DeliverySink, NodeId, SendError, Topic};
use super::{Producer, decode};

/// What a broker must announce.
const NEEDED: [ApiKey; 3] = [ApiKey::InitProducerId, ApiKey::AddPartitionsToTxn, ApiKey::EndTxn];

impl<S: DeliverySink> Producer<S> {
    /// Takes the `transactional.id` for this producer: fences others that have it, ends what they left open. Waits at
    /// most `max.block.ms`; after a timeout it may be called again.
    pub fn init_transactions(&mut self) -> Result<(), ClientError> {
        self.timed(0, |this| {
            if this.transaction()?.state() != State::Initializing {
                this.transaction()?.init()?;
            }
            this.await_coordinator("InitProducerId")
        })
    }

    /// Begins a transaction. Nothing is sent.
    pub fn begin_transaction(&mut self) -> Result<(), ClientError> {
        self.timed(1, |this| Ok(this.transaction()?.begin()?))
    }

    /// Sends what was taken and commits it, all of it or nothing. Waits at most `max.block.ms`; after a timeout it may
    /// be called again. After an error that [`TransactionError::is_abortable`] the transaction must be aborted.
    pub fn commit_transaction(&mut self) -> Result<(), ClientError> {
        self.timed(2, |this| {
            if this.transaction()?.state() != State::Committing {
                this.transaction()?.commit()?;
            }
            this.await_coordinator("EndTxn(true)")
        })
    }

    /// Gives up what did not go out and aborts the transaction: no reader that wants committed records sees it. Waits at
    /// most `max.block.ms`; after a timeout it may be called again.
    pub fn abort_transaction(&mut self) -> Result<(), ClientError> {
        self.timed(3, |this| {
            if this.transaction()?.state() != State::Aborting {
                this.transaction()?.abort()?;
            }
            this.await_coordinator("EndTxn(false)")
        })
    }

    fn transaction(&mut self) -> Result<&mut Transactions, ClientError> {
        self.transactions.as_mut().ok_or(ClientError::Transaction(TransactionError::NotTransactional))
    }

    fn timed(
        &mut self,
        which: usize,
        call: impl FnOnce(&mut Self) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let start_ns = self.network.driver().read().0;
        let outcome = call(self);
        self.stats.transaction_ns[which] += self.network.driver().read().0.saturating_sub(start_ns);
        outcome
    }

    /// Until the coordinator has done what was asked, an error stands in the way, or `max.block.ms` is over.
    fn await_coordinator(&mut self, operation: &'static str) -> Result<(), ClientError> {
        let max_block = self.config.max_block;
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(max_block));
        self.accumulator.set_flushing(true);
        let outcome = loop {
            let transactions = self.transaction()?;
            if let Some(error) = transactions.error() {
                break Err(error.clone().into());
            }
            if transactions.is_idle() {
                break Ok(());
            }
            match self.wait_turn(deadline_ns) {
                Err(error) => break Err(error),
                Ok(true) => {}
                Ok(false) => {
                    break Err(TransactionError::Timeout { waited_ms: max_block.as_millis(), operation }.into());
                }
            }
        };
        self.accumulator.set_flushing(false);
        outcome
    }

    /// What `close` does with a transaction that is still open.
    pub(super) fn abort_open_transaction(&mut self) {
        let open = [State::InTransaction, State::AbortableError];
        if self.transactions.as_ref().is_some_and(|transactions| open.contains(&transactions.state()))
            && let Err(error) = self.abort_transaction()
        {
            tracing::warn!(%error, "the transaction that was open could not be aborted");
        }
    }

    pub(super) fn transactions_due_ns(&self) -> Option<u64> {
        self.transactions.as_ref().and_then(Transactions::due_ns)
    }

    /// Gives up what will not go out any more, and asks the coordinator for what is due.
    pub(super) fn work_on_transaction(&mut self, now_ns: u64) -> Result<(), ClientError> {
        let Some(transactions) = &mut self.transactions else { return Ok(()) };
        let (state, unfinished) = (transactions.state(), self.accumulator.unfinished() > 0);
        if unfinished {
            self.give_up_unsent(state);
        }
        loop {
            let Some(transactions) = &mut self.transactions else { return Ok(()) };
            let accumulator = &self.accumulator;
            let name = |topic: Topic| accumulator.name(topic).to_owned();
            let ask = transactions.next(now_ns, accumulator.unfinished() > 0, &name);
            self.take_changes();
            let Some(ask) = ask else { return Ok(()) };
            if !self.send_ask(ask)? {
                return Ok(());
            }
        }
    }

    /// RecordAccumulator.abortUndrainedBatches. After an error, what was to be tried again is given up too: the next
    /// transaction has another epoch, under which nothing of this one can come in late.
    fn give_up_unsent(&mut self, state: State) {
        let error = self.transactions.as_ref().and_then(|transactions| transactions.error().cloned());
        let (batches, error) = match (state, error) {
            (State::Aborting, _) => (self.accumulator.take_undrained(), SendError::Aborted),
            (State::AbortableError | State::FatalError, Some(error)) => {
                (self.accumulator.take_all(), SendError::Transaction(error))
            }
            _ => return,
        };
        batches.into_iter().for_each(|batch| self.report_failed(batch, &error));
    }

    /// True where it was sent.
    fn send_ask(&mut self, ask: Ask) -> Result<bool, ClientError> {
        let coordinator = self.transactions.as_ref().and_then(Transactions::coordinator);
        let node = match ask {
            Ask::FindCoordinator(_) => self.network.any_node(),
            _ => coordinator,
        };
        let Some(node) = node.filter(|node| self.network.is_ready(*node)) else {
            self.transaction()?.not_sent();
            return Ok(false);
        };
        if let Err(lacks) = self.learn_protocol(node) {
            self.transaction()?.refuse(lacks);
            return Ok(false);
        }
        let any = (0, true, VERSION_ANY);
        match ask {
            Ask::FindCoordinator(request) => self.network.send_with(node, &request, Vec::new(), any),
            Ask::InitProducerId(request) => self.network.send_with(node, &request, Vec::new(), any),
            Ask::AddPartitions(request) => {
                self.network.send_with(node, &request, Vec::new(), (0, true, ADD_PARTITIONS_VERSION_MAX))
            }
            Ask::EndTxn(request, version_max) => {
                self.network.send_with(node, &request, Vec::new(), (0, true, version_max))
            }
        }?;
        Ok(true)
    }

    /// Which protocol the node speaks; what it lacks, where it has no transactions.
    fn learn_protocol(&mut self, node: NodeId) -> Result<(), String> {
        let Some(versions) = self.network.versions(node) else { return Ok(()) };
        let lacks: Vec<&str> =
            NEEDED.iter().filter(|api| versions.choose(**api).is_err()).map(|api| api.name()).collect();
        if !lacks.is_empty() {
            let lacks = lacks.join(", ");
            return Err(format!("the broker has no transactions: it does not announce {lacks}; use one that does"));
        }
        let identity = versions.choose(ApiKey::InitProducerId).unwrap_or(0);
        let level = versions.feature("transaction.version");
        if let Some(transactions) = &mut self.transactions {
            transactions.learn(identity, level);
        }
        Ok(())
    }

    fn take_changes(&mut self) {
        let changes = self.transactions.as_mut().map(Transactions::take_changes).unwrap_or_default();
        for change in changes {
            match change {
                Change::Identity(id, epoch) => self.accumulator.set_identity(id, epoch),
                Change::Entered(partitions) => {
                    partitions.into_iter().for_each(|(topic, at)| self.accumulator.enter_transaction(topic, at));
                }
                Change::Left => self.accumulator.leave_transaction(),
            }
        }
    }

    /// A connection ended: if it was the coordinator's, there may be another.
    pub(super) fn check_coordinator(&mut self, now_ns: u64) {
        let Some(node) = self.transactions.as_ref().and_then(Transactions::coordinator) else { return };
        if self.network.versions(node).is_none()
            && let Some(transactions) = &mut self.transactions
        {
            transactions.forget_coordinator(now_ns);
        }
    }

    pub(super) fn coordinator_lost(&mut self, now_ns: u64) {
        if let Some(transactions) = &mut self.transactions {
            transactions.lost(now_ns);
        }
    }

    pub(super) fn on_coordinator(
        &mut self,
        api: ApiKey,
        version: i16,
        body: &[u8],
        now_ns: u64,
    ) -> Result<(), ClientError> {
        let Some(transactions) = &mut self.transactions else { return Ok(()) };
        match api {
            ApiKey::FindCoordinator => {
                let found = transactions.on_found(&decode(body, version)?, now_ns);
                if let Some(found) = found
                    && let Ok(port) = u16::try_from(found.port)
                {
                    self.network.set_node(found.node, &found.host, port);
                }
            }
            ApiKey::InitProducerId => transactions.on_identity(&decode(body, version)?, now_ns),
            ApiKey::AddPartitionsToTxn => transactions.on_added(&decode(body, version)?, now_ns),
            ApiKey::EndTxn => transactions.on_ended(&decode(body, version)?, now_ns),
            _ => {}
        }
        self.take_changes();
        Ok(())
    }
}
