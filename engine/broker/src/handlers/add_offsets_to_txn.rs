//! AddOffsetsToTxn: v0-4. The partition of `__consumer_offsets` that a group belongs to becomes part of a transaction.

use ringlog_wire::messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::coordinator::transaction::TxnRequest;
use crate::coordinators::Coordinator;
use crate::handlers::Handler;
use crate::metadata::controller::Call;
use crate::response::Response;
use crate::transaction_desk;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::AddOffsetsToTxn, (0, 4), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: AddOffsetsToTxnRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    match Coordinator::Groups.find(broker, &request.group_id) {
        Some((topic, partition)) => {
            let partition = (topic.name.to_string(), partition);
            transaction_desk::handle(broker, incoming, TxnRequest::AddOffsets(request, partition))
        }
        // Nobody has asked for a group yet: its topic is made, and the client asks again.
        None => {
            let topic = Coordinator::Groups.topic().to_owned();
            broker.calls.push((Caller::Nobody, Call::AutoCreate(vec![topic])));
            let error_code = ErrorCode::COORDINATOR_NOT_AVAILABLE.0;
            Response::of(incoming.asked, &AddOffsetsToTxnResponse { error_code, ..Default::default() }).into()
        }
    }
}
