//! Produce, walked through: names and partitions are noted, of the records only the count in the batch header is read.

use std::rc::Rc;

use ringlog_wire::messages::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use ringlog_wire::{ApiKey, Uuid};

use super::control::{self, Shared};
use super::stream::{Broken, Header, Inlet};

/// The version from which a topic is told by its id.
const TOPIC_ID_FROM: i16 = 13;
/// Longest topic name that Kafka allows.
const NAME_BYTES_MAX: usize = 249;
/// The last offset delta stands here in a batch (KIP-98): base offset 8, length 4, epoch 4, magic 1, CRC 4, attributes 2.
const LAST_DELTA_AT: usize = 23;

/// Walks through the body and appends the answer.
pub(super) async fn answer(inlet: &mut Inlet, shared: &Rc<Shared>, header: Header) -> Result<(), Broken> {
    let walk = Walk { inlet, flexible: ApiKey::Produce.is_flexible(header.version), version: header.version };
    let (acks, response) = walk.body(shared).await?;
    if acks == 0 { Ok(()) } else { control::frame(&mut inlet.outlet, header, &response) }
}

struct Walk<'a> {
    inlet: &'a mut Inlet,
    flexible: bool,
    version: i16,
}

impl Walk<'_> {
    async fn body(mut self, shared: &Shared) -> Result<(i16, ProduceResponse), Broken> {
        let transactional_id = self.string_length().await?.unwrap_or(0);
        self.inlet.skip(transactional_id).await?;
        let acks = self.inlet.i16().await?;
        self.inlet.i32().await?;
        let mut response = ProduceResponse::default();
        for _ in 0..self.array_length().await? {
            response.responses.push(self.topic(shared).await?);
        }
        self.tags().await?;
        Ok((acks, response))
    }

    async fn topic(&mut self, shared: &Shared) -> Result<TopicProduceResponse, Broken> {
        let mut topic = TopicProduceResponse::default();
        if self.version >= TOPIC_ID_FROM {
            topic.topic_id = Uuid(self.inlet.bytes().await?);
        } else {
            let len = self.string_length().await?.unwrap_or(0);
            let name = self.inlet.vec(len, NAME_BYTES_MAX).await?;
            topic.name = String::from_utf8(name).map_err(|error| Broken::Malformed(error.to_string()))?;
        }
        for _ in 0..self.array_length().await? {
            let index = self.inlet.i32().await?;
            let records = self.records().await?;
            self.tags().await?;
            let base_offset = shared.appended(&topic.name, topic.topic_id, index, records);
            topic.partition_responses.push(answer_of(index, base_offset));
        }
        self.tags().await?;
        Ok(topic)
    }

    /// Walks past a partition's records and gives their count (a Produce request has one batch a partition).
    async fn records(&mut self) -> Result<i64, Broken> {
        let len = if self.flexible {
            self.inlet.uvarint().await?.saturating_sub(1) as usize
        } else {
            usize::try_from(self.inlet.i32().await?).unwrap_or(0)
        };
        if len < LAST_DELTA_AT + 4 {
            self.inlet.skip(len).await?;
            return Ok(0);
        }
        self.inlet.skip(LAST_DELTA_AT).await?;
        let last_delta = self.inlet.i32().await?;
        self.inlet.skip(len - LAST_DELTA_AT - 4).await?;
        Ok(i64::from(last_delta).max(0) + 1)
    }

    async fn string_length(&mut self) -> Result<Option<usize>, Broken> {
        if self.flexible {
            return Ok(self.inlet.uvarint().await?.checked_sub(1).map(|it| it as usize));
        }
        Ok(usize::try_from(self.inlet.i16().await?).ok())
    }

    /// Elements of an array; more than there are bytes left is a lie.
    async fn array_length(&mut self) -> Result<usize, Broken> {
        let len = if self.flexible {
            self.inlet.uvarint().await?.saturating_sub(1) as usize
        } else {
            usize::try_from(self.inlet.i32().await?).unwrap_or(0)
        };
        if len > self.inlet.frame_left() {
            return Err(Broken::Malformed(format!("an array of {len} in {} bytes", self.inlet.frame_left())));
        }
        Ok(len)
    }

    async fn tags(&mut self) -> Result<(), Broken> {
        if self.flexible { self.inlet.tags().await } else { Ok(()) }
    }
}

fn answer_of(index: i32, base_offset: i64) -> PartitionProduceResponse {
    PartitionProduceResponse { index, base_offset, log_start_offset: 0, ..PartitionProduceResponse::default() }
}
