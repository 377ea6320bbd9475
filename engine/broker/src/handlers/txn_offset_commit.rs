//! TxnOffsetCommit: v0-5. Offsets that count once a transaction is committed. The transaction's coordinator is asked first whether
//! the group's partition is part of it ([`crate::transaction_checks`]); under v5 (KIP-890) it becomes so.

use std::sync::Arc;

use ringlog_io::Slice;
use ringlog_wire::ApiKey;
use ringlog_wire::messages::txn_offset_commit::TxnOffsetCommitRequest;

use crate::broker::{Broker, Incoming, Outcome};
use crate::coordinator::group::GroupRequest;
use crate::coordinator::transaction::Claim;
use crate::coordinators::Coordinator;
use crate::group_desk;
use crate::handlers::Handler;
use crate::transaction_checks::{self, Held};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::TxnOffsetCommit, (0, 5), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: TxnOffsetCommitRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let found = Coordinator::Groups.find(broker, &request.group_id);
    let led = found.filter(|(_, partition)| Coordinator::Groups.leads(broker, *partition));
    let place = led.and_then(|(topic, partition)| broker.place(&topic, partition).ok());
    match place {
        Some(place) => {
            let claim = Claim {
                transactional_id: request.transactional_id.clone(),
                producer_id: request.producer_id,
                producer_epoch: request.producer_epoch,
                is_tv2: incoming.asked.api_version >= transaction_checks::COMMIT_TV2_FROM,
            };
            transaction_checks::admit(broker, place, claim, Held::Commit(Box::new((without_frame(incoming), request))));
            Outcome::Later
        }
        // The coordinator of groups says why.
        None => group_desk::handle(broker, incoming, GroupRequest::TxnOffsetCommit(request)),
    }
}

/// A request that was read, and waits: its bytes may go.
fn without_frame(incoming: &Incoming) -> Incoming {
    Incoming {
        asked: incoming.asked,
        client_id: incoming.client_id.clone(),
        client_host: Arc::clone(&incoming.client_host),
        frame: Slice::from(Vec::new()),
        body_at: 0,
        decode_bytes: incoming.decode_bytes,
        reply_to: incoming.reply_to,
    }
}
