//! Requests on their way through a turn: taken from their connections, handled, and, when what they wait for has happened,
//! answered; until nothing more follows from it.

use ringlog_io::Slice;
use ringlog_wire::ApiKey;
use ringlog_wire::codec::Reader;
use ringlog_wire::header::RequestHeader;

use super::Shard;
use crate::broker::{Broker, Incoming, Outcome};
use crate::connection::Refused;
use crate::front::Asking;
use crate::handlers::{self, api_versions};
use crate::lists::give_back;
use crate::metrics::meter::Phase;
use crate::openings;
use crate::response::Asked;

impl Shard {
    /// Handles the requests of a connection that are here.
    pub(super) fn handle_requests(&mut self, place: u32) {
        loop {
            let (takes_produces, broker) = (self.broker.takes_produces(), &mut self.broker);
            let admits = |frame: &Slice| openings::admits(broker, frame, place);
            let Some(asking) = self.front.next_request(place, takes_produces, admits) else { break };
            self.handle_request(asking);
        }
    }

    fn handle_request(&mut self, asking: Asking) {
        let reply_to = asking.reply_to;
        self.broker.watch.enter(Phase::Check);
        match dispatch(&mut self.broker, asking) {
            Outcome::Reply(response) => self.front.deliver(reply_to, Ok(response)),
            Outcome::Refuse(refused) => self.front.deliver(reply_to, Err(refused)),
            Outcome::Later => {}
        }
        self.broker.watch.enter(Phase::Read);
    }

    /// Writes what is staged, answers what can be answered, and goes on with requests that waited for that: until nothing
    /// of it is left.
    pub(super) fn settle(&mut self) {
        loop {
            self.calls.post(&mut self.broker, &self.bus);
            self.broker.finish_turn();
            self.broker.watch.enter(Phase::Send);
            while !self.broker.replies.is_empty() {
                let mut replies = std::mem::take(&mut self.broker.replies);
                replies.drain(..).for_each(|(reply_to, result)| self.front.deliver(reply_to, result));
                give_back(&mut self.broker.replies, replies);
            }
            let resumed = self.front.resume_touched();
            self.forget_closed();
            resumed.iter().for_each(|place| self.handle_requests(*place));
            let goes_on = !resumed.is_empty() || !self.broker.is_settled();
            self.front.resumed(resumed);
            if !goes_on {
                break;
            }
        }
    }

    pub(super) fn forget_closed(&mut self) {
        while let Some((place, generation)) = self.front.take_closed() {
            self.broker.forget_connection(place, generation);
        }
    }
}

/// Finds the handler of a request, and lets it work.
fn dispatch(broker: &mut Broker, asking: Asking) -> Outcome {
    let Asking { frame, host: client_host, reply_to } = asking;
    let decode_bytes = broker.budget.decode_bytes;
    let mut reader = Reader::within(&frame, decode_bytes);
    let header = match RequestHeader::decode(&mut reader) {
        Ok(header) => header,
        Err(error) => return Outcome::Refuse(Refused::Header(error)),
    };
    let body_at = reader.position();
    let refused = Refused::Unsupported { key: header.api_key, version: header.api_version };
    let Ok(api) = header.api() else { return Outcome::Refuse(refused) };
    let (api_version, correlation_id) = (header.api_version, header.correlation_id);
    let wait_ms = broker.throttle.requested(header.client_id.as_deref(), broker.now);
    let asked = Asked { api, api_version, correlation_id, wait_ms };
    let Some(handler) = handlers::find(api, asked.api_version) else {
        return if api == ApiKey::ApiVersions { api_versions::unsupported(asked) } else { Outcome::Refuse(refused) };
    };
    broker.watch.did.request(api);
    let incoming = Incoming { asked, client_id: header.client_id, client_host, frame, body_at, decode_bytes, reply_to };
    (handler.handle)(broker, &incoming)
}
