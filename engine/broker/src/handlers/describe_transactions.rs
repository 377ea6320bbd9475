//! DescribeTransactions: v0. What transactional ids of this coordinator are at.

use ringlog_wire::ApiKey;
use ringlog_wire::messages::describe_transactions::DescribeTransactionsRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::transaction::TxnRequest;
use crate::handlers::{Handler, each_once};
use crate::transaction_desk;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DescribeTransactions, (0, 0), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<DescribeTransactionsRequest>() {
        Ok(mut request) => {
            each_once(&mut request.transactional_ids, Clone::clone);
            transaction_desk::handle(broker, incoming, TxnRequest::Describe(request))
        }
        Err(refused) => Outcome::Refuse(refused),
    }
}
