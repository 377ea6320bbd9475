//! AlterClientQuotas (ClientQuotaControlManager): which quotas whom can be given, in Kafka's words.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, EntityData, EntryResult, OpData,
};

use super::super::quotas::{CLIENT_ID, Entity, IP, USER, record};
use super::Draft;
use super::create::Refusal;

/// A quota's kind, as far as its values differ.
enum Kind {
    Whole { max: f64, name: &'static str },
    Any,
}

const INT: Kind = Kind::Whole { max: i32::MAX as f64, name: "an INT" };
const LONG: Kind = Kind::Whole { max: i64::MAX as f64, name: "a LONG" };

/// Quotas of users and clients, and of addresses.
const OF_CLIENTS: &[(&str, Kind)] = &[
    ("producer_byte_rate", LONG),
    ("consumer_byte_rate", LONG),
    ("request_percentage", Kind::Any),
    ("controller_mutation_rate", Kind::Any),
];
const OF_ADDRESSES: &[(&str, Kind)] = &[("connection_creation_rate", INT)];

pub(super) fn alter_client_quotas(request: AlterClientQuotasRequest, draft: &mut Draft) -> AlterClientQuotasResponse {
    let mut dry_run = Draft::new(&draft.image);
    let target = if request.validate_only { &mut dry_run } else { draft };
    let mut results: BTreeMap<Entity, Result<(), Refusal>> = BTreeMap::new();
    for entry in request.entries {
        let entity: Entity = entry.entity.into_iter().map(|part| (part.entity_type, part.entity_name)).collect();
        match results.entry(entity) {
            Entry::Occupied(mut there) => {
                let message = format!("Ignoring duplicate entity {}", text(there.key()));
                *there.get_mut() = invalid(message);
            }
            Entry::Vacant(place) => {
                let result = alter(place.key(), &entry.ops, target);
                place.insert(result);
            }
        }
    }
    let entries = results.into_iter().map(|(entity, result)| told(entity, result.err())).collect();
    AlterClientQuotasResponse { entries, ..Default::default() }
}

/// An entity's part of the answer.
pub(crate) fn told(entity: Entity, refusal: Option<Refusal>) -> EntryResult {
    let part = |(entity_type, entity_name)| EntityData { entity_type, entity_name, ..Default::default() };
    EntryResult {
        error_code: refusal.as_ref().map_or(0, |refusal| refusal.code.0),
        error_message: refusal.map(|refusal| refusal.message),
        entity: entity.into_iter().map(part).collect(),
        ..Default::default()
    }
}

fn alter(entity: &Entity, ops: &[OpData], draft: &mut Draft) -> Result<(), Refusal> {
    let mut changes: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    for op in ops {
        if changes.insert(&op.key, (!op.remove).then_some(op.value)).is_some() {
            return invalid(format!("Ignoring duplicate entity {}", text(entity)));
        }
    }
    let known = keys_of(entity)?;
    let mut records = Vec::new();
    for (key, value) in changes {
        let now = draft.image.quotas().get(entity, key);
        if let Some(value) = value {
            check(known, key, value)?;
        }
        if now != value {
            records.push(record(entity, key, value));
        }
    }
    records.into_iter().for_each(|record| draft.push(record));
    Ok(())
}

/// The quotas that an entity of these parts can have.
fn keys_of(entity: &Entity) -> Result<&'static [(&'static str, Kind)], Refusal> {
    if entity.is_empty() {
        return invalid("Invalid empty client quota entity");
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return invalid(format!("Unhandled client quota entity type: {kind}"));
        }
        if name.as_deref() == Some("") {
            return invalid(format!("Empty {kind} not supported"));
        }
    }
    match entity.get(IP) {
        None => Ok(OF_CLIENTS),
        Some(_) if entity.len() > 1 => {
            invalid("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId")
        }
        Some(Some(address)) if !is_address(address) => {
            invalid(format!("{address} is not a valid IP or resolvable host."))
        }
        Some(_) => Ok(OF_ADDRESSES),
    }
}

/// Names of other hosts are not looked up here.
fn is_address(text: &str) -> bool {
    text == "localhost" || text.parse::<IpAddr>().is_ok()
}

fn check(known: &[(&str, Kind)], key: &str, value: f64) -> Result<(), Refusal> {
    let Some((_, kind)) = known.iter().find(|(name, _)| *name == key) else {
        return invalid(format!("Invalid configuration key {key}"));
    };
    if value.is_nan() || value <= 0.0 {
        return invalid(format!("Quota {key} must be greater than 0"));
    }
    match kind {
        Kind::Whole { max, name } if value > *max => {
            invalid(format!("Proposed value for {key} is too large for {name}."))
        }
        Kind::Whole { .. } if value.fract() > 1e-6 => invalid(format!("{key} cannot be a fractional value.")),
        _ => Ok(()),
    }
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::INVALID_REQUEST, message))
}

/// As Kafka writes an entity.
fn text(entity: &Entity) -> String {
    let parts = entity.iter().map(|(kind, name)| format!("{kind}={}", name.as_deref().unwrap_or("null")));
    format!("ClientQuotaEntity(entries={{{}}})", parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::alter_client_quotas::EntryData;

    use super::*;
    use crate::metadata::controller::{Call, Controller, Decided};
    use crate::metadata::fixtures::{decide, settings, start};

    type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

    fn entry(entity: Parts<'_>, ops: &[(&str, Option<f64>)]) -> EntryData {
        let part = |(kind, name): &(&str, Option<&str>)| EntityData {
            entity_type: (*kind).to_owned(),
            entity_name: name.map(str::to_owned),
            ..Default::default()
        };
        let op = |(key, value): &(&str, Option<f64>)| OpData {
            key: (*key).to_owned(),
            value: value.unwrap_or_default(),
            remove: value.is_none(),
            ..Default::default()
        };
        EntryData { entity: entity.iter().map(part).collect(), ops: ops.iter().map(op).collect(), ..Default::default() }
    }

    fn ask(controller: &mut Controller, entries: Vec<EntryData>, validate_only: bool) -> (usize, Vec<(i16, String)>) {
        let request = AlterClientQuotasRequest { entries, validate_only, ..Default::default() };
        let proposal = decide(controller, Call::AlterClientQuotas(request));
        let Decided::AlterClientQuotas(response) = proposal.outcome else { panic!() };
        let told = response.entries.into_iter().map(|one| (one.error_code, one.error_message.unwrap_or_default()));
        (proposal.records.len(), told.collect())
    }

    #[test]
    fn quotas_are_set_changed_and_removed_and_what_is_as_it_was_is_no_record() {
        let mut controller = start(settings(), None).0;
        let both: Parts<'_> = &[("user", Some("u")), ("client-id", None)];
        let set = || entry(both, &[("producer_byte_rate", Some(1000.0)), ("request_percentage", Some(0.5))]);
        assert_eq!(ask(&mut controller, vec![set()], true), (0, vec![(0, String::new())]));
        assert_eq!(ask(&mut controller, vec![set()], false), (2, vec![(0, String::new())]));
        assert_eq!(ask(&mut controller, vec![set()], false).0, 0);
        let change = entry(both, &[("producer_byte_rate", Some(2000.0)), ("request_percentage", None)]);
        assert_eq!(ask(&mut controller, vec![change], false).0, 2);
        let entity = both.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect();
        let quotas = controller.image().quotas();
        let found = (quotas.get(&entity, "producer_byte_rate"), quotas.get(&entity, "request_percentage"));
        assert_eq!(found, (Some(2000.0), None));
    }

    #[test]
    fn quotas_that_nobody_can_have_are_refused_in_kafkas_words() {
        let user: Parts<'_> = &[("user", Some("u"))];
        for (entity, key, value, message) in [
            (&[][..], "producer_byte_rate", 1.0, "Invalid empty client quota entity"),
            (&[("x", Some("u"))], "producer_byte_rate", 1.0, "Unhandled client quota entity type: x"),
            (&[("user", Some(""))], "producer_byte_rate", 1.0, "Empty user not supported"),
            (&[("ip", None), ("user", None)], "producer_byte_rate", 1.0, "Invalid quota entity combination"),
            (&[("ip", Some("1.2.3"))], "connection_creation_rate", 1.0, "1.2.3 is not a valid IP or resolvable host."),
            (&[("ip", None)], "producer_byte_rate", 1.0, "Invalid configuration key producer_byte_rate"),
            (user, "connection_creation_rate", 1.0, "Invalid configuration key connection_creation_rate"),
            (user, "producer_byte_rate", 0.0, "Quota producer_byte_rate must be greater than 0"),
            (user, "request_percentage", f64::NAN, "Quota request_percentage must be greater than 0"),
            (user, "producer_byte_rate", 1.5, "producer_byte_rate cannot be a fractional value."),
            (user, "producer_byte_rate", 1e30, "Proposed value for producer_byte_rate is too large for a LONG."),
            (&[("ip", None)], "connection_creation_rate", 1e12, "is too large for an INT."),
        ] {
            let mut controller = start(settings(), None).0;
            let (records, told) = ask(&mut controller, vec![entry(entity, &[(key, Some(value))])], false);
            assert_eq!((records, told[0].0), (0, 42), "{}", told[0].1);
            assert!(told[0].1.contains(message), "{}", told[0].1);
        }
        let mut controller = start(settings(), None).0;
        let twice = vec![entry(user, &[("producer_byte_rate", Some(1.0))]), entry(user, &[])];
        let told = ask(&mut controller, twice, false).1;
        assert_eq!(told, [(42, "Ignoring duplicate entity ClientQuotaEntity(entries={user=u})".to_owned())]);
    }
}
