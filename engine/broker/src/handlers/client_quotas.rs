//! DescribeClientQuotas: v0-1, from the image; AlterClientQuotas: v0-1, which the controller decides. Rates of bytes,
//! of time and of connections hold clients back at each shard ([`crate::throttle`]), changes of topics at the controller
//! ([`crate::metadata::controller::mutations`]).

use ringlog_wire::messages::alter_client_quotas::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use ringlog_wire::messages::describe_client_quotas::DescribeClientQuotasRequest;
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::{Call, Decided, quotas};
use crate::metadata::quotas::Entity;
use crate::response::{Asked, Response};

pub(crate) const DESCRIBE: Handler = Handler::new(ApiKey::DescribeClientQuotas, (0, 1), describe);
pub(crate) const ALTER: Handler = Handler::new(ApiKey::AlterClientQuotas, (0, 1), alter);

fn describe(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    match incoming.decode::<DescribeClientQuotasRequest>() {
        Ok(request) => Response::of(incoming.asked, &broker.image.quotas().describe(&request)).into(),
        Err(refused) => Outcome::Refuse(refused),
    }
}

fn alter(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: AlterClientQuotasRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let entity = |entry: &ringlog_wire::messages::alter_client_quotas::EntryData| {
        to_name(entry.entity.iter().map(|part| (part.entity_type.as_str(), part.entity_name.as_deref())))
    };
    let names = request.entries.iter().map(entity).collect();
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names, answer };
    broker.calls.push((caller, Call::AlterClientQuotas(request)));
    Outcome::Later
}

fn answer(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    match decided {
        Decided::AlterClientQuotas(body) => Response::of(asked, &body),
        decided => {
            let refusal = decided.refusal();
            let entries = names.iter().map(|name| quotas::told(of_name(name), Some(refusal.clone()))).collect();
            Response::of(asked, &AlterClientQuotasResponse { entries, ..Default::default() })
        }
    }
}

/// Between the parts of an entity, and between a part's type and its name, in [`to_name`].
const PART: char = '\u{1}';
const NAME: char = '\u{2}';

/// An entity as one text, for who answers it without the controller's word.
fn to_name<'a>(parts: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let part = |(kind, name): (&str, Option<&str>)| match name {
        Some(name) => format!("{kind}{NAME}{name}"),
        None => kind.to_owned(),
    };
    parts.map(part).collect::<Vec<_>>().join(&PART.to_string())
}

/// The entity that [`to_name`] wrote.
fn of_name(text: &str) -> Entity {
    let part = |part: &str| match part.split_once(NAME) {
        Some((kind, name)) => (kind.to_owned(), Some(name.to_owned())),
        None => (part.to_owned(), None),
    };
    text.split(PART).filter(|part| !part.is_empty()).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_survives_its_way_through_a_name() {
        for parts in [&[("user", Some("u")), ("client-id", None)][..], &[("ip", Some(""))], &[]] {
            let entity: Entity =
                parts.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect();
            assert_eq!(of_name(&to_name(parts.iter().copied())), entity);
        }
    }
}
