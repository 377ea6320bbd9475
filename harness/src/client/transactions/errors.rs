//! Why a transaction cannot go on, and what that does to its state (TransactionManager.maybeTransitionToErrorState and
//! the request handlers).

use ringlog_wire::ErrorCode;

use super::super::SendError;
use super::{State, Transactions};

/// Why a transaction cannot go on. The texts are the Java client's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// There is no `transactional.id`.
    #[error(
        "Cannot use transactional methods without enabling transactions by setting the transactional.id configuration property"
    )]
    NotTransactional,
    /// initTransactions was not called, or did not end.
    #[error("Cannot add partition to transaction before completing a call to initTransactions")]
    NotInitialized,
    /// A record outside of a transaction.
    #[error("Cannot add partition to transaction while in state  {state}")]
    NotInTransaction {
        /// Kafka's name of the state.
        state: &'static str,
    },
    /// A call that the state does not allow.
    #[error("TransactionalId {id}: Invalid transition attempted from state {from} to state {to}")]
    Transition {
        /// `transactional.id`.
        id: String,
        /// Kafka's name of the state.
        from: &'static str,
        /// Kafka's name of the state that was asked for.
        to: &'static str,
    },
    /// An earlier call timed out and has to be made again first.
    #[error(
        "Cannot attempt operation `{operation}` because the previous call to `{pending}` timed out and must be retried"
    )]
    Pending {
        /// The call.
        operation: &'static str,
        /// The call that timed out.
        pending: &'static str,
    },
    /// The coordinator did not answer in time (`max.block.ms`). The same call may be made again.
    #[error("Timeout expired after {waited_ms}ms while awaiting {operation}")]
    Timeout {
        /// `max.block.ms`.
        waited_ms: u128,
        /// What was waited for.
        operation: &'static str,
    },
    /// Another producer has the same `transactional.id`.
    #[error(
        "Producer with transactionalId '{id}' and {identity} has been fenced by another producer with the same transactionalId"
    )]
    Fenced {
        /// `transactional.id`.
        id: String,
        /// Producer id and epoch in Java's form.
        identity: String,
    },
    /// A batch came in with an epoch that is over: another producer has the same `transactional.id`, or the coordinator
    /// ended the transaction because it took longer than `transaction.timeout.ms`. Aborting tells which.
    #[error("Producer with transactionalId '{id}' and {identity} attempted to produce with an old epoch")]
    OldEpoch {
        /// `transactional.id`.
        id: String,
        /// Producer id and epoch in Java's form.
        identity: String,
    },
    /// The transaction must be aborted; then the next may begin.
    #[error("Cannot execute transactional method because we are in an error state: {cause}")]
    Abortable {
        /// The first error.
        cause: String,
    },
    /// The producer must be closed.
    #[error("Cannot execute transactional method because we are in an error state: {cause}")]
    Fatal {
        /// The first error.
        cause: String,
    },
}

impl TransactionError {
    /// Whether aborting the transaction helps.
    #[must_use]
    pub fn is_abortable(&self) -> bool {
        matches!(self, Self::Abortable { .. } | Self::OldEpoch { .. })
    }
}

/// What an error code of the coordinator or of a batch means for the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Retry,
    /// The coordinator is elsewhere.
    Elsewhere,
    Fenced,
    Fatal,
    /// No handler names it: what that means is up to the request.
    Unexpected,
    Abortable,
    OldEpoch,
    /// Abortable where the epoch can be raised afterwards, else fatal.
    AbortableIfBumped,
}

/// The handlers of InitProducerId, AddPartitionsToTxn, EndTxn and FindCoordinator, which agree but for what they leave
/// out. One difference on purpose: a refused right to InitProducerId is fatal here, for nothing can follow; the Java
/// client lets an abort follow.
pub(super) fn effect_of(error: ErrorCode) -> Effect {
    match error {
        ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => Effect::Elsewhere,
        ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::PRODUCER_FENCED => Effect::Fenced,
        ErrorCode::UNKNOWN_PRODUCER_ID => Effect::AbortableIfBumped,
        ErrorCode::TRANSACTION_ABORTABLE
        | ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::OPERATION_NOT_ATTEMPTED => Effect::Abortable,
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
        | ErrorCode::INVALID_TXN_STATE
        | ErrorCode::INVALID_PRODUCER_ID_MAPPING => Effect::Fatal,
        error if error.is_retriable() => Effect::Retry,
        _ => Effect::Unexpected,
    }
}

impl Transactions {
    /// TransactionManager.maybeFailWithError.
    pub(super) fn check_error(&self) -> Result<(), TransactionError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// TransactionManager.throwIfPendingState: the calls that wait are made again before any other.
    pub(super) fn check_pending(&self, operation: &'static str) -> Result<(), TransactionError> {
        let pending = match self.state {
            State::Initializing => "initTransactions",
            State::Committing => "commitTransaction",
            State::Aborting => "abortTransaction",
            _ => return Ok(()),
        };
        Err(TransactionError::Pending { operation, pending })
    }

    pub(super) fn fail(&mut self, effect: Effect, cause: String) {
        match effect {
            Effect::Fenced => {
                let (id, identity) = self.who();
                self.fatal(TransactionError::Fenced { id, identity });
            }
            Effect::OldEpoch => {
                let (id, identity) = self.who();
                self.bump_wanted |= !self.is_v2;
                self.abortable(TransactionError::OldEpoch { id, identity });
            }
            Effect::AbortableIfBumped if !self.bumps_epochs && !self.is_v2 => {
                self.fatal(TransactionError::Fatal { cause });
            }
            Effect::AbortableIfBumped => {
                self.bump_wanted |= !self.is_v2;
                self.abortable(TransactionError::Abortable { cause });
            }
            Effect::Abortable => self.abortable(TransactionError::Abortable { cause }),
            Effect::Retry | Effect::Elsewhere | Effect::Fatal | Effect::Unexpected => {
                self.fatal(TransactionError::Fatal { cause })
            }
        }
    }

    /// The transactional id, and the producer id and epoch as Java prints them.
    fn who(&self) -> (String, String) {
        let (producer_id, epoch) = self.identity.unwrap_or((-1, -1));
        (self.id.clone(), format!("ProducerIdAndEpoch(producerId={producer_id}, epoch={epoch})"))
    }

    fn fatal(&mut self, error: TransactionError) {
        if self.state == State::FatalError {
            return;
        }
        self.state = State::FatalError;
        self.error = Some(error);
        self.wants.clear();
    }

    /// TransactionManager.transitionToAbortableError: an abort under way goes on.
    fn abortable(&mut self, error: TransactionError) {
        if matches!(self.state, State::Aborting | State::FatalError | State::AbortableError) {
            return;
        }
        self.state = State::AbortableError;
        self.error = Some(error);
        self.wants.clear();
        self.new_partitions.clear();
        self.asked_partitions.clear();
    }

    /// A broker lacks what transactions need.
    pub(crate) fn refuse(&mut self, cause: String) {
        self.asked = false;
        self.fatal(TransactionError::Fatal { cause });
    }

    /// A batch of the transaction was given up (TransactionManager.handleFailedBatch).
    pub(crate) fn batch_failed(&mut self, error: &SendError) {
        let effect = match error {
            SendError::Broker { code, .. } => match ErrorCode(*code) {
                ErrorCode::PRODUCER_FENCED => Effect::Fenced,
                ErrorCode::INVALID_PRODUCER_EPOCH if self.bumps_epochs || self.is_v2 => Effect::OldEpoch,
                ErrorCode::CLUSTER_AUTHORIZATION_FAILED
                | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                | ErrorCode::UNSUPPORTED_VERSION
                | ErrorCode::INVALID_PRODUCER_ID_MAPPING => Effect::Fatal,
                _ => Effect::AbortableIfBumped,
            },
            _ => Effect::AbortableIfBumped,
        };
        self.fail(effect, error.to_string());
    }
}
