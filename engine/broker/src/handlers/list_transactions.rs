//! ListTransactions: v0-2. Transactional ids of this coordinator, by state and producer, from v1 on by how long they have run, from
//! v2 on by a pattern.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::list_transactions::ListTransactionsRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::transaction::TxnRequest;
use crate::handlers::Handler;
use crate::transaction_desk;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::ListTransactions, (0, 2), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<ListTransactionsRequest>() {
        Ok(request) => transaction_desk::handle(broker, incoming, TxnRequest::List(request)),
        Err(refused) => Outcome::Refuse(refused),
    }
}
