//! InitProducerId: v0-5. A producer id out of this shard's stock; the controller gives out the next block when the stock is empty,
//! and who asks waits for that. One with a transactional id goes on to its coordinator.

use std::collections::VecDeque;
use std::ops::Range;

use ringlog_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ringlog_wire::{ApiKey, ErrorCode};

use super::Handler;
use crate::broker::{Broker, Caller, Incoming, Outcome, ReplyTo};
use crate::coordinator::transaction::TxnRequest;
use crate::metadata::controller::{Call, Decided};
use crate::response::{Asked, Response};
use crate::transaction_desk;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::InitProducerId, (0, 5), handle);

/// Producer ids that this shard may give out, and who waits for more.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    blocks: VecDeque<Range<i64>>,
    /// A block is on its way.
    is_ordered: bool,
    waiting: Vec<(ReplyTo, Asked, InitProducerIdRequest)>,
}

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: InitProducerIdRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    if request.transactional_id.is_some() && !broker.producer_ids.is_empty() {
        return transaction_desk::handle(broker, incoming, TxnRequest::InitProducerId(request));
    }
    if request.transactional_id.is_none()
        && let Some(body) = answer(&request, &mut broker.producer_ids)
    {
        return Response::of(incoming.asked, &body).into();
    }
    broker.producer_ids.waiting.push((incoming.reply_to, incoming.asked, request));
    order(broker);
    Outcome::Later
}

/// Asks the controller for a block, where none is on its way.
pub(crate) fn order(broker: &mut Broker) {
    if !std::mem::replace(&mut broker.producer_ids.is_ordered, true) {
        let node = broker.image.here().node(broker.shard);
        broker.calls.push((Caller::ProducerIds, Call::ProducerIds(node)));
    }
}

/// The controller answered: gives ids to who waits. Who comes away with none asks again.
pub(crate) fn block_came(broker: &mut Broker, decided: Decided) {
    broker.producer_ids.is_ordered = false;
    let error = match decided {
        Decided::ProducerIds(ids) => {
            broker.producer_ids.refill(ids);
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        }
        decided => decided.refusal().code,
    };
    for (to, asked, request) in std::mem::take(&mut broker.producer_ids.waiting) {
        if request.transactional_id.is_some() {
            transaction_desk::ask(broker, to, asked, TxnRequest::InitProducerId(request));
            continue;
        }
        let body = broker.producer_ids.take().map_or_else(|| refused(error), given);
        broker.reply(to, asked, &body);
    }
}

impl Stock {
    fn is_empty(&self) -> bool {
        self.blocks.iter().all(Range::is_empty)
    }

    /// The next id, if there is one.
    pub(crate) fn take(&mut self) -> Option<i64> {
        while let Some(block) = self.blocks.front_mut() {
            if let Some(id) = block.next() {
                return Some(id);
            }
            self.blocks.pop_front();
        }
        None
    }

    /// Takes a block that the controller gave.
    pub(crate) fn refill(&mut self, block: Range<i64>) {
        self.blocks.push_back(block);
    }
}

/// Answers who has no transactional id, or `None` where the stock is empty: ask the controller for a block, refill, ask again.
pub(crate) fn answer(request: &InitProducerIdRequest, stock: &mut Stock) -> Option<InitProducerIdResponse> {
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return Some(refused(ErrorCode::INVALID_REQUEST));
    }
    stock.take().map(given)
}

fn given(producer_id: i64) -> InitProducerIdResponse {
    InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
}

/// An answer without an id.
pub(crate) fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.0,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> InitProducerIdRequest {
        InitProducerIdRequest { transactional_id: None, ..Default::default() }
    }

    #[test]
    fn ids_come_from_the_stock_and_never_twice() {
        let mut stock = Stock::default();
        assert_eq!(answer(&ask(), &mut stock), None);
        stock.refill(1000..1002);
        stock.refill(5000..5001);
        let ids: Vec<_> = (0..3).map(|_| answer(&ask(), &mut stock).unwrap().producer_id).collect();
        assert_eq!(ids, [1000, 1001, 5000]);
        assert_eq!(answer(&ask(), &mut stock), None);
    }

    #[test]
    fn what_is_not_there_is_refused_without_an_id() {
        let mut stock = Stock::default();
        stock.refill(0..10);
        let error = |request: &InitProducerIdRequest, stock: &mut Stock| answer(request, stock).unwrap().error_code;
        let odd = InitProducerIdRequest { producer_id: 5, ..ask() };
        assert_eq!(error(&odd, &mut stock), ErrorCode::INVALID_REQUEST.0);
        assert_eq!(stock.take(), Some(0));
    }
}
