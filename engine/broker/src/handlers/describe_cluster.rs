//! DescribeCluster: v0-2. v1: the client says whether it wants brokers (1) or controllers (2). v2: fenced brokers too.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use crate::handlers::metadata::CLUSTER_OPERATIONS;
use crate::metadata::image::{Image, Node};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers from the image.
pub(crate) fn answer(request: &DescribeClusterRequest, image: &Image) -> DescribeClusterResponse {
    let mut response = DescribeClusterResponse {
        cluster_id: image.cluster_id().to_owned(),
        controller_id: image.controller().0,
        endpoint_type: BROKERS,
        ..DescribeClusterResponse::default()
    };
    match request.endpoint_type {
        BROKERS => {
            let shown = image.brokers().filter(|broker| request.include_fenced_brokers || !broker.fenced);
            response.brokers = shown.map(broker).collect();
            if request.include_cluster_authorized_operations {
                response.cluster_authorized_operations = CLUSTER_OPERATIONS;
            }
        }
        CONTROLLERS => {
            response.error_code = ErrorCode::MISMATCHED_ENDPOINT_TYPE.0;
            response.error_message = Some(
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .into(),
            );
        }
        other => {
            response.error_code = ErrorCode::UNSUPPORTED_ENDPOINT_TYPE.0;
            response.error_message = Some(format!("Unsupported endpoint type {other}"));
        }
    }
    response
}

fn broker(broker: &Node) -> DescribeClusterBroker {
    DescribeClusterBroker {
        broker_id: broker.node.0,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        rack: broker.rack.clone(),
        is_fenced: broker.fenced,
        ..DescribeClusterBroker::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::fixtures::image;

    #[test]
    fn every_shard_is_a_broker() {
        let response = answer(&DescribeClusterRequest::default(), &image());
        assert_eq!(response.brokers.iter().map(|broker| broker.broker_id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((response.error_code, response.cluster_authorized_operations), (0, i32::MIN));
    }

    #[test]
    fn controllers_are_not_here() {
        let ask = |endpoint_type| DescribeClusterRequest { endpoint_type, ..Default::default() };
        assert_eq!(answer(&ask(2), &image()).error_code, ErrorCode::MISMATCHED_ENDPOINT_TYPE.0);
        assert_eq!(answer(&ask(7), &image()).error_code, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE.0);
    }
}
