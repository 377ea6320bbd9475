//! AlterConfigs: v0-2, IncrementalAlterConfigs: v0-1. The controller decides; the answer leaves when the records are on the
//! disk.

use ringlog_wire::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse};
use ringlog_wire::messages::incremental_alter_configs::{
    self as incremental, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Answer, Broker, Caller, Incoming, Outcome};
use crate::handlers::Handler;
use crate::metadata::controller::configs::{AlterConfigs, Altered, Change, Resource, Wish};
use crate::metadata::controller::{Call, Decided};
use crate::response::{Asked, Response};

pub(crate) const ALTER: Handler = Handler::new(ApiKey::AlterConfigs, (0, 2), handle);
pub(crate) const INCREMENTAL: Handler = Handler::new(ApiKey::IncrementalAlterConfigs, (0, 1), handle_incremental);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: AlterConfigsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let wish = |resource: ringlog_wire::messages::alter_configs::AlterConfigsResource| {
        let values = resource.configs.into_iter().map(|config| (config.name, config.value)).collect();
        (Resource { kind: resource.resource_type, name: resource.resource_name }, Wish::Replace(values))
    };
    let wishes = request.resources.into_iter().map(wish).collect();
    ask(broker, incoming, (wishes, request.validate_only), answer)
}

fn handle_incremental(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: IncrementalAlterConfigsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let wish = |resource: incremental::AlterConfigsResource| {
        let changes = resource.configs.into_iter().map(change).collect();
        (Resource { kind: resource.resource_type, name: resource.resource_name }, Wish::Change(changes))
    };
    let wishes = request.resources.into_iter().map(wish).collect();
    ask(broker, incoming, (wishes, request.validate_only), answer_incremental)
}

fn change(config: incremental::AlterableConfig) -> (String, Change) {
    let change = match config.config_operation {
        0 => Change::Set(config.value),
        1 => Change::Delete,
        2 => Change::Append(config.value),
        3 => Change::Subtract(config.value),
        other => Change::Unknown(other),
    };
    (config.name, change)
}

fn ask(
    broker: &mut Broker,
    incoming: &Incoming,
    (wishes, validate_only): (Vec<(Resource, Wish)>, bool),
    answer: Answer,
) -> Outcome {
    let request = AlterConfigs { wishes, validate_only, node: broker.image.here().node(broker.shard) };
    let names = request.wishes.iter().map(|(resource, _)| to_name(resource)).collect();
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names, answer };
    broker.calls.push((caller, Call::AlterConfigs(request)));
    Outcome::Later
}

/// A resource as one text, for who answers it without the controller's word.
fn to_name(resource: &Resource) -> String {
    format!("{}:{}", resource.kind, resource.name)
}

/// The resource that [`to_name`] wrote.
fn of_name(text: &str) -> Resource {
    let (kind, name) = text.split_once(':').unwrap_or_default();
    Resource { kind: kind.parse().unwrap_or_default(), name: name.to_owned() }
}

fn altered(names: &[String], decided: Decided) -> Vec<Altered> {
    let refusal = match decided {
        Decided::AlterConfigs(altered) => return altered,
        decided => decided.refusal(),
    };
    names.iter().map(|name| (of_name(name), refusal.code, Some(refusal.message.clone()))).collect()
}

fn answer(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    let told = |(resource, error, message): Altered| AlterConfigsResourceResponse {
        error_code: error.0,
        error_message: message,
        resource_type: resource.kind,
        resource_name: resource.name,
        ..Default::default()
    };
    let responses = altered(&names, decided).into_iter().map(told).collect();
    Response::of(asked, &AlterConfigsResponse { responses, ..Default::default() })
}

fn answer_incremental(asked: Asked, names: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    let told = |(resource, error, message): Altered| incremental::AlterConfigsResourceResponse {
        error_code: error.0,
        error_message: message,
        resource_type: resource.kind,
        resource_name: resource.name,
        ..Default::default()
    };
    let responses = altered(&names, decided).into_iter().map(told).collect();
    Response::of(asked, &IncrementalAlterConfigsResponse { responses, ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_survives_its_way_through_a_name() {
        for (kind, name) in [(2, "t"), (4, ""), (4, "1"), (16, "a:b"), (-1, ":")] {
            let resource = Resource { kind, name: name.to_owned() };
            assert_eq!(of_name(&to_name(&resource)), resource);
        }
    }
}
