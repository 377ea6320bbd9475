//! SaslHandshake: v0-1, SaslAuthenticate: v0-2, on a listener that needs neither: ILLEGAL_SASL_STATE, and the connection
//! lives on (KafkaApis.handleSaslHandshakeRequest and handleSaslAuthenticateRequest; a listener that authenticates takes
//! these two before anything comes here).

use ringlog_wire::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use ringlog_wire::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, Outcome};
use crate::handlers::Handler;
use crate::response::Response;

pub(crate) const HANDSHAKE: Handler = Handler::new(ApiKey::SaslHandshake, (0, 1), handshake);
pub(crate) const AUTHENTICATE: Handler = Handler::new(ApiKey::SaslAuthenticate, (0, 2), authenticate);

fn handshake(_: &mut Broker, incoming: &Incoming) -> Outcome {
    if let Err(refused) = incoming.decode::<SaslHandshakeRequest>() {
        return Outcome::Refuse(refused);
    }
    let answer = SaslHandshakeResponse { error_code: ErrorCode::ILLEGAL_SASL_STATE.0, ..Default::default() };
    Response::of(incoming.asked, &answer).into()
}

fn authenticate(_: &mut Broker, incoming: &Incoming) -> Outcome {
    if let Err(refused) = incoming.decode::<SaslAuthenticateRequest>() {
        return Outcome::Refuse(refused);
    }
    let answer = SaslAuthenticateResponse {
        error_code: ErrorCode::ILLEGAL_SASL_STATE.0,
        error_message: Some("SaslAuthenticate request received after successful authentication".to_owned()),
        ..Default::default()
    };
    Response::of(incoming.asked, &answer).into()
}
