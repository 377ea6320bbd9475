//! A broker in memory that can be told to do wrong, and the proof that the bench notices.
//!
//! It keeps batches in a list and acknowledges every one; at the batch that it is told it loses it, keeps it twice, keeps
//! it after the next one, or changes a byte of it. Or it is honest and slow, in a known way.

#![allow(clippy::unwrap_used, reason = "a test double: what it cannot do ends the test")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlog_wire::codec::{Reader, Records};
use ringlog_wire::header::RequestHeader;
use ringlog_wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use ringlog_wire::messages::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use ringlog_wire::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use ringlog_wire::{ApiKey, ErrorCode, Uuid};

use crate::yardstick::control::{self, Shared, decoded, frame, frame_around, topic_id};
use crate::yardstick::stream::Header;

/// What it does to the batch of this number (counted over all partitions).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    Lose(usize),
    Double(usize),
    Swap(usize),
    Change(usize),
    /// Keeps it, and answers so much later.
    Late(usize, Duration),
    /// Not a batch: topics are not deleted.
    Undeletable,
    /// Every batch is kept, and each request of batches is answered so much later.
    Slow(Duration),
    /// Every batch is kept, and a connection takes so many bytes of them in a second.
    Narrow(u64),
}

/// A partition's batches and its end.
#[derive(Default)]
struct Log {
    batches: Vec<(i64, Vec<u8>)>,
    end: i64,
}

struct Broker {
    fault: Fault,
    port: u16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    logs: BTreeMap<(Uuid, i32), Log>,
    seen: usize,
    held_back: Option<Vec<u8>>,
}

/// Starts one and gives its address. It lives until the test process ends.
pub(crate) fn start(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = Arc::new(Broker { fault, port, state: Mutex::default() });
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let broker = Arc::clone(&broker);
            std::thread::spawn(move || broker.serve(socket));
        }
    });
    format!("127.0.0.1:{port}")
}

impl Broker {
    fn serve(&self, mut socket: TcpStream) -> Option<()> {
        let shared = Shared::new(self.port, 1);
        socket.set_nodelay(true).ok()?;
        loop {
            let mut len = [0; 4];
            socket.read_exact(&mut len).ok()?;
            let mut request = vec![0; u32::from_be_bytes(len) as usize];
            socket.read_exact(&mut request).ok()?;
            let mut reader = Reader::new(&request);
            let header = RequestHeader::decode(&mut reader).unwrap();
            let body = &request[reader.position()..];
            let api = header.api().unwrap();
            let header = Header { api, version: header.api_version, correlation_id: header.correlation_id };
            socket.write_all(&self.answer(&shared, header, body)).ok()?;
        }
    }

    fn answer(&self, shared: &Shared, header: Header, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match header.api {
            ApiKey::Produce => frame(&mut out, header, &self.produce(&decoded(header, body).unwrap(), body)).unwrap(),
            ApiKey::DeleteTopics if matches!(self.fault, Fault::Undeletable) => {
                frame(&mut out, header, &refused(&decoded(header, body).unwrap())).unwrap();
            }
            ApiKey::Fetch => self.fetch(&mut out, header, &decoded(header, body).unwrap()),
            _ => control::answer(&mut out, shared, header, body).unwrap(),
        }
        out
    }

    fn produce(&self, request: &ProduceRequest, body: &[u8]) -> ProduceResponse {
        match self.fault {
            Fault::Slow(time) => std::thread::sleep(time),
            Fault::Narrow(bytes_s) => std::thread::sleep(Duration::from_secs_f64(body.len() as f64 / bytes_s as f64)),
            _ => {}
        }
        let mut state = self.state.lock().unwrap();
        let mut response = ProduceResponse::default();
        for topic in &request.topic_data {
            let mut answer = TopicProduceResponse {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                ..TopicProduceResponse::default()
            };
            for partition in &topic.partition_data {
                let batch = partition.records.bytes(body).unwrap().to_vec();
                let key = (id_of(&topic.name, topic.topic_id), partition.index);
                let base_offset = state.take(key, batch, self.fault);
                let index = partition.index;
                answer.partition_responses.push(PartitionProduceResponse { index, base_offset, ..Default::default() });
            }
            response.responses.push(answer);
        }
        response
    }

    fn fetch(&self, out: &mut Vec<u8>, header: Header, request: &FetchRequest) {
        let (mut response, mut data) = (FetchResponse::default(), Vec::new());
        let state = self.state.lock().unwrap();
        for topic in &request.topics {
            let mut answer = FetchableTopicResponse {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                ..FetchableTopicResponse::default()
            };
            for partition in &topic.partitions {
                let key = (id_of(&topic.topic, topic.topic_id), partition.partition);
                let (records, end) = state.logs.get(&key).map_or((Vec::new(), 0), |log| {
                    (log.from(partition.fetch_offset, partition.partition_max_bytes as usize), log.end)
                });
                answer.partitions.push(PartitionData {
                    partition_index: partition.partition,
                    high_watermark: end,
                    last_stable_offset: end,
                    records: Records::Outside(records.len()),
                    ..PartitionData::default()
                });
                data.push(records);
            }
            response.responses.push(answer);
        }
        drop(state);
        let total = data.iter().map(Vec::len).sum();
        if total == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let cuts = frame_around(out, header, &response, total).unwrap();
        for (cut, records) in cuts.into_iter().zip(data).rev() {
            out.splice(cut..cut, records);
        }
    }
}

impl State {
    /// Keeps a batch, or does wrong. Gives the offset that is acknowledged.
    fn take(&mut self, key: (Uuid, i32), mut batch: Vec<u8>, fault: Fault) -> i64 {
        let number = self.seen;
        self.seen += 1;
        let held_back = self.held_back.take();
        let log = self.logs.entry(key).or_default();
        let base_offset = log.end;
        match fault {
            Fault::Lose(at) if at == number => return base_offset,
            Fault::Swap(at) if at == number => {
                self.held_back = Some(batch);
                return base_offset;
            }
            Fault::Double(at) if at == number => log.keep(batch.clone()),
            Fault::Change(at) if at == number => {
                let last = batch.len() - 2;
                batch[last] ^= 1;
                let crc = crc_fast::crc32_iscsi(&batch[21..]).to_be_bytes();
                batch[17..21].copy_from_slice(&crc);
            }
            Fault::Late(at, pause) if at == number => std::thread::sleep(pause),
            _ => {}
        }
        log.keep(batch);
        if let Some(late) = held_back {
            log.keep(late);
        }
        base_offset
    }
}

impl Log {
    fn keep(&mut self, mut batch: Vec<u8>) {
        let records = i32::from_be_bytes(batch[57..61].try_into().unwrap());
        batch[..8].copy_from_slice(&self.end.to_be_bytes());
        self.batches.push((self.end, batch));
        self.end += i64::from(records);
    }

    fn from(&self, offset: i64, bytes_max: usize) -> Vec<u8> {
        let first = self.batches.partition_point(|it| it.0 <= offset).saturating_sub(1);
        let mut bytes = Vec::new();
        for (_, batch) in self.batches.iter().skip(first).filter(|_| offset < self.end) {
            if !bytes.is_empty() && bytes.len() + batch.len() > bytes_max {
                break;
            }
            bytes.extend_from_slice(batch);
        }
        bytes
    }
}

/// The answer of a broker whose user may not delete topics.
fn refused(request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let one = |topic: &DeleteTopicState| DeletableTopicResult {
        name: topic.name.clone(),
        error_code: ErrorCode::TOPIC_AUTHORIZATION_FAILED.0,
        ..DeletableTopicResult::default()
    };
    let responses = request.topics.iter().map(one).collect();
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

fn id_of(name: &str, id: Uuid) -> Uuid {
    if id.is_zero() { topic_id(name) } else { id }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::measure::hlog::read_merged;
    use crate::results::{latency, rows, tests::scratch};
    use crate::session::Done;
    use crate::verbs::bench::options::Options;
    use crate::verbs::bench::plan;
    use crate::verbs::bench::verdict::BenchError;

    /// The shortest run that writes and reads back.
    fn bench(name: &str, fault: Fault) -> (Result<Done, BenchError>, std::path::PathBuf) {
        let dir = scratch(name);
        let profile = include_str!("../../../profiles/workloads/produce-1k.toml");
        let short: Vec<String> = profile.lines().map(shortened).collect();
        std::fs::write(dir.join("produce-1k.toml"), short.join("\n")).unwrap();
        let at = |sub: &str| dir.join(sub).display().to_string();
        let address = start(fault);
        let options = Options::try_parse_from([
            "bench",
            "--bootstrap-server",
            &address,
            "--name",
            "faulty",
            "--only",
            "produce-1k",
            "--no-yardstick",
            "--rounds-max",
            "1",
            "--no-touch",
            "--workloads",
            &at(""),
            "--dir",
            &at("data"),
            "--results",
            &at("results"),
        ]);
        (plan::measure(&options.unwrap()), dir)
    }

    fn shortened(line: &str) -> String {
        match line.split_once(" = ").map(|it| it.0) {
            Some("rounds") => "rounds = 1".to_owned(),
            Some("warmup_s") => "warmup_s = 0.05".to_owned(),
            Some("measured_s") => "measured_s = 0.2".to_owned(),
            Some("megabytes_max") => "megabytes_max = 20".to_owned(),
            _ => line.to_owned(),
        }
    }

    #[test]
    fn a_broker_that_keeps_what_it_acknowledged_is_measured_and_kept() {
        let (outcome, dir) = bench("faulty-none", Fault::None);
        let done = outcome.unwrap();
        assert!(done.verified_records() > 0);
        let names: Vec<&str> = done.summaries.iter().map(|it| it.workload.as_str()).collect();
        assert_eq!(names, ["produce-1k", "consume"]);
        let kept = rows::read(&done.folder.join(rows::FILE)).unwrap();
        assert_eq!(kept.len(), 2);
        assert!(kept.iter().all(|it| it.ledger_verified_records == Some(done.verified_records())));
        let tags: Vec<String> =
            read_merged(&done.folder.join(latency::FILE)).unwrap().into_iter().map(|it| it.0).collect();
        assert_eq!(tags, ["produce-1k.faulty.1.response", "produce-1k.faulty.1.service"]);
        assert!(!dir.join("data").exists(), "the data folder is removed");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_broker_that_deletes_no_topic_is_measured_and_what_stays_there_is_told_with_its_words() {
        let (outcome, dir) = bench("faulty-undeletable", Fault::Undeletable);
        let done = outcome.unwrap();
        assert!(done.end.is_ok(), "{:?}", done.end);
        let told = done.warnings.iter().find(|it| it.contains("ringlog-bench-")).unwrap();
        assert!(told.contains("TOPIC_AUTHORIZATION_FAILED") && told.contains("faulty"), "{told}");
        let kept = rows::read(&done.folder.join(rows::FILE)).unwrap();
        assert!(kept.len() == 2 && kept.iter().all(|it| it.is_measured()), "{kept:?}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_broker_that_loses_doubles_reorders_or_changes_a_batch_gets_no_numbers() {
        let faults = [
            ("faulty-lose", Fault::Lose(3), "lost"),
            ("faulty-double", Fault::Double(3), "doubled"),
            ("faulty-swap", Fault::Swap(3), "out of order"),
            ("faulty-change", Fault::Change(3), "changed"),
        ];
        for (name, fault, word) in faults {
            let (outcome, dir) = bench(name, fault);
            let done = outcome.unwrap();
            assert!(done.has_ledger_fault(), "{fault:?}");
            let kept = rows::read(&done.folder.join(rows::FILE)).unwrap();
            let told: Vec<&str> = kept.iter().map(|it| it.why.as_str()).collect();
            assert!(
                told.iter().any(|it| it.contains(word) && !it.contains(&format!(" 0 {word}"))),
                "{fault:?}: {told:?}"
            );
            assert!(kept.iter().all(|it| !it.is_measured() && it.mb_s.is_none()), "{fault:?}: no number is kept");
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
}
