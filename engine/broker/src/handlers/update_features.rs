//! UpdateFeatures: v0-2. The controller decides; the answer leaves when the levels are on the disk.

use ringlog_wire::messages::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::{Call, Decided};
use crate::response::{Asked, Response};

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::UpdateFeatures, (0, 2), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: UpdateFeaturesRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let (reply_to, asked) = (incoming.reply_to, incoming.asked);
    let caller = Caller::Request { reply_to, asked, names: Vec::new(), answer };
    broker.calls.push((caller, Call::UpdateFeatures(request, asked.api_version)));
    Outcome::Later
}

fn answer(asked: Asked, _: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    match decided {
        Decided::UpdateFeatures(body) => Response::of(asked, &body),
        decided => {
            let refusal = decided.refusal();
            let (error_code, error_message) = (refusal.code.0, Some(refusal.message));
            Response::of(asked, &UpdateFeaturesResponse { error_code, error_message, ..Default::default() })
        }
    }
}
