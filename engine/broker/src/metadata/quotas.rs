//! Quotas of clients as the metadata log has them: what is told of them, and which one holds for whom.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::describe_client_quotas::{
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};
use ringlog_wire::records::metadata::{self, ClientQuotaRecord};

/// Types of an entity's parts.
pub(crate) const USER: &str = "user";
pub(crate) const CLIENT_ID: &str = "client-id";
pub(crate) const IP: &str = "ip";

/// How a filter matches (DescribeClientQuotasRequest).
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

/// Whom quotas are for: the names of its parts, `None` for everybody who has no quota of his own.
pub(crate) type Entity = BTreeMap<String, Option<String>>;

/// All quotas: by entity, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quotas {
    of: BTreeMap<Entity, BTreeMap<String, f64>>,
}

impl Quotas {
    /// Takes a record.
    pub(crate) fn apply(&mut self, record: &ClientQuotaRecord) {
        let parts = record.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone()));
        let entity: Entity = parts.collect();
        if !record.remove {
            self.of.entry(entity).or_default().insert(record.key.clone(), record.value);
        } else if let Some(quotas) = self.of.get_mut(&entity) {
            quotas.remove(&record.key);
            if quotas.is_empty() {
                self.of.remove(&entity);
            }
        }
    }

    /// Whether nobody has any.
    pub(crate) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether anybody has one of this name.
    pub(crate) fn has_any(&self, key: &str) -> bool {
        self.of.values().any(|quotas| quotas.contains_key(key))
    }

    /// An entity's quota of a name.
    pub(crate) fn get(&self, entity: &Entity, key: &str) -> Option<f64> {
        self.of.get(entity)?.get(key).copied()
    }

    /// What gives everybody his.
    pub(crate) fn records(&self) -> impl Iterator<Item = ClientQuotaRecord> + '_ {
        self.of
            .iter()
            .flat_map(|(entity, quotas)| quotas.iter().map(move |(key, value)| record(entity, key, Some(*value))))
    }

    /// Those that a filter lets through (ClientQuotasImage.describe).
    pub(crate) fn describe(&self, request: &DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
        let filter = match Filter::read(request) {
            Ok(filter) => filter,
            Err((error, message)) => {
                return DescribeClientQuotasResponse {
                    error_code: error.0,
                    error_message: Some(message),
                    entries: None,
                    ..Default::default()
                };
            }
        };
        let entries = self.of.iter().filter(|(entity, _)| filter.lets_through(entity)).map(told).collect();
        DescribeClientQuotasResponse { error_message: None, entries: Some(entries), ..Default::default() }
    }
}

/// What gives an entity this quota; `None` takes it away.
pub(crate) fn record(entity: &Entity, key: &str, value: Option<f64>) -> ClientQuotaRecord {
    let part = |(kind, name): (&String, &Option<String>)| metadata::EntityData {
        entity_type: kind.clone(),
        entity_name: name.clone(),
        ..Default::default()
    };
    ClientQuotaRecord {
        entity: entity.iter().map(part).collect(),
        key: key.to_owned(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
        ..Default::default()
    }
}

/// An entity of these parts.
#[cfg(test)]
pub(crate) fn entity_of(parts: &[(&str, Option<&str>)]) -> Entity {
    parts.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect()
}

fn told((entity, quotas): (&Entity, &BTreeMap<String, f64>)) -> EntryData {
    let part = |(kind, name): (&String, &Option<String>)| EntityData {
        entity_type: kind.clone(),
        entity_name: name.clone(),
        ..Default::default()
    };
    let value = |(key, value): (&String, &f64)| ValueData { key: key.clone(), value: *value, ..Default::default() };
    EntryData {
        entity: entity.iter().map(part).collect(),
        values: quotas.iter().map(value).collect(),
        ..Default::default()
    }
}

/// What entities are to have: this name (`None`: the default), or any.
struct Filter {
    parts: BTreeMap<String, Wanted>,
    is_strict: bool,
}

enum Wanted {
    Name(Option<String>),
    Any,
}

impl Filter {
    /// Reads a filter, or says in Kafka's words why it is none.
    fn read(request: &DescribeClientQuotasRequest) -> Result<Self, (ErrorCode, String)> {
        let invalid = |message: String| Err((ErrorCode::INVALID_REQUEST, message));
        let mut parts = BTreeMap::new();
        for component in &request.components {
            let kind = component.entity_type.as_str();
            if kind.is_empty() {
                return invalid("Invalid empty entity type.".to_owned());
            }
            if parts.contains_key(kind) {
                return invalid(format!("Entity type {kind} cannot appear more than once in the filter."));
            }
            if ![IP, USER, CLIENT_ID].contains(&kind) {
                return Err((ErrorCode::UNSUPPORTED_VERSION, format!("Unsupported entity type {kind}")));
            }
            let wanted = match (component.match_type, &component.r#match) {
                (EXACT, Some(name)) => Wanted::Name(Some(name.clone())),
                (EXACT, None) => {
                    return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned());
                }
                (DEFAULT, None) => Wanted::Name(None),
                (SPECIFIED, None) => Wanted::Any,
                (DEFAULT | SPECIFIED, Some(_)) => {
                    let kind = if component.match_type == DEFAULT { "DEFAULT" } else { "SPECIFIED" };
                    return invalid(format!("Request specified MATCH_TYPE_{kind}, but also specified a match string."));
                }
                (other, _) => return invalid(format!("Unknown match type {other}")),
            };
            parts.insert(kind.to_owned(), wanted);
        }
        if parts.contains_key(IP) && parts.len() > 1 {
            return invalid(
                "Invalid entity filter component combination. IP filter component should not be used with user or \
                 clientId filter component."
                    .to_owned(),
            );
        }
        Ok(Self { parts, is_strict: request.strict })
    }

    fn lets_through(&self, entity: &Entity) -> bool {
        let fits = |(kind, wanted): (&String, &Wanted)| match (entity.get(kind), wanted) {
            (Some(name), Wanted::Name(wanted)) => name == wanted,
            (Some(_), Wanted::Any) => true,
            (None, _) => false,
        };
        self.parts.iter().all(fits) && !(self.is_strict && entity.len() != self.parts.len())
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::describe_client_quotas::ComponentData;

    use super::*;

    fn record(entity: &[(&str, Option<&str>)], key: &str, value: Option<f64>) -> ClientQuotaRecord {
        super::record(&entity_of(entity), key, value)
    }

    fn quotas() -> Quotas {
        let mut quotas = Quotas::default();
        for entity in [
            &[(USER, Some("u"))][..],
            &[(USER, None)],
            &[(USER, Some("u")), (CLIENT_ID, Some("c"))],
            &[(CLIENT_ID, None)],
        ] {
            quotas.apply(&record(entity, "producer_byte_rate", Some(5.0)));
        }
        quotas
    }

    fn ask(strict: bool, filter: &[(&str, i8, Option<&str>)]) -> Result<usize, String> {
        let component = |(kind, match_type, name): &(&str, i8, Option<&str>)| ComponentData {
            entity_type: (*kind).to_owned(),
            match_type: *match_type,
            r#match: name.map(str::to_owned),
            ..Default::default()
        };
        let components = filter.iter().map(component).collect();
        let told = quotas().describe(&DescribeClientQuotasRequest { components, strict, ..Default::default() });
        told.entries
            .map(|entries| entries.len())
            .ok_or_else(|| format!("{} {}", told.error_code, told.error_message.unwrap()))
    }

    #[test]
    fn a_filter_lets_through_what_has_its_parts_and_where_it_is_strict_no_others() {
        assert_eq!(ask(false, &[]), Ok(4));
        assert_eq!(ask(false, &[(USER, EXACT, Some("u"))]), Ok(2));
        assert_eq!(ask(true, &[(USER, EXACT, Some("u"))]), Ok(1));
        assert_eq!(ask(true, &[(USER, DEFAULT, None)]), Ok(1));
        assert_eq!(ask(true, &[(USER, SPECIFIED, None)]), Ok(2));
        assert_eq!(ask(false, &[(USER, SPECIFIED, None), (CLIENT_ID, SPECIFIED, None)]), Ok(1));
        assert_eq!(ask(false, &[(IP, SPECIFIED, None)]), Ok(0));
    }

    #[test]
    fn a_filter_that_is_none_is_refused_in_kafkas_words() {
        for (filter, due) in [
            (&[("", 0, Some("u"))][..], "42 Invalid empty entity type."),
            (
                &[(USER, 0, Some("u")), (USER, 1, None)],
                "42 Entity type user cannot appear more than once in the filter.",
            ),
            (&[("x", 0, Some("u"))], "35 Unsupported entity type x"),
            (&[(USER, 0, None)], "42 Request specified MATCH_TYPE_EXACT, but set match string to null."),
            (&[(USER, 2, Some("u"))], "42 Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."),
            (&[(USER, 3, None)], "42 Unknown match type 3"),
            (&[(USER, 1, None), (IP, 1, None)], "42 Invalid entity filter component combination."),
        ] {
            let said = ask(false, filter).unwrap_err();
            assert!(said.starts_with(due), "{said}");
        }
    }

    #[test]
    fn an_entity_without_quotas_is_gone() {
        let mut quotas = Quotas::default();
        let entity = [(USER, Some("u"))];
        quotas.apply(&record(&entity, "producer_byte_rate", Some(5.0)));
        quotas.apply(&record(&entity, "consumer_byte_rate", Some(6.0)));
        quotas.apply(&record(&entity, "producer_byte_rate", None));
        let of_user = Entity::from([(USER.to_owned(), Some("u".to_owned()))]);
        assert_eq!(
            (quotas.get(&of_user, "producer_byte_rate"), quotas.get(&of_user, "consumer_byte_rate")),
            (None, Some(6.0))
        );
        quotas.apply(&record(&entity, "consumer_byte_rate", None));
        assert_eq!(quotas, Quotas::default());
    }
}
