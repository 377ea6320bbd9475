//! EndTxn: v0-5. A transaction is committed or aborted; the answer comes when that is decided, its markers follow. v5 is of version 2 of
//! transactions (KIP-890): the answer has the producer's id and epoch from then on.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::end_txn::EndTxnRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::transaction::TxnRequest;
use crate::handlers::Handler;
use crate::transaction_desk;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::EndTxn, (0, 5), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<EndTxnRequest>() {
        Ok(request) => transaction_desk::handle(broker, incoming, TxnRequest::EndTxn(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}
