//! The listener: one executor on one core, a task a connection.

use std::io;
use std::rc::Rc;

use glommio::net::TcpListener;
use glommio::{LocalExecutorBuilder, Placement, spawn_local};

use super::control::Shared;
use super::sink::Sink;
use super::stream::Connection;
use super::{Mode, Options, READY};
use crate::host::HostFacts;

/// What glommio asks for at least; it locks its rings' memory.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// Why the null broker does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// glommio would panic.
    #[error(
        "may lock {0} bytes of memory, needs {MEMLOCK_BYTES_MIN}: raise it with `ulimit -l 512` (or `memlock` in limits.conf)"
    )]
    Memlock(u64),
    /// io_uring is switched off.
    #[error("io_uring is {0} here (sysctl kernel.io_uring_disabled): glommio has no other way")]
    NoUring(String),
    /// No such core.
    #[error("core {0} is not one of those this process may use")]
    Core(usize),
    /// The executor could not be made or the port is taken.
    #[error("{0}")]
    Glommio(String),
    /// The growing file.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<glommio::GlommioError<()>> for ServeError {
    fn from(error: glommio::GlommioError<()>) -> Self {
        Self::Glommio(error.to_string())
    }
}

/// Serves until the process ends.
pub(super) fn serve(options: &Options) -> Result<(), ServeError> {
    check(&HostFacts::read(std::path::Path::new("/")))?;
    if let Some(core) = options.core {
        pin(core)?;
    }
    let executor = LocalExecutorBuilder::new(Placement::Unbound).name("null-broker").make()?;
    executor.run(listen(options.clone(), |port| outln!("{READY}{port}")))
}

/// Refuses a machine on which glommio would panic, with what to do.
pub(crate) fn check(host: &HostFacts) -> Result<(), ServeError> {
    if let Some(limit) = host.memlock_bytes.filter(|it| *it < MEMLOCK_BYTES_MIN) {
        return Err(ServeError::Memlock(limit));
    }
    if host.io_uring == "disabled" {
        return Err(ServeError::NoUring(host.io_uring.clone()));
    }
    Ok(())
}

fn pin(core: usize) -> Result<(), ServeError> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    let id = ids.into_iter().find(|it| it.id == core).ok_or(ServeError::Core(core))?;
    if core_affinity::set_for_current(id) { Ok(()) } else { Err(ServeError::Core(core)) }
}

/// Listens, tells its port, and accepts for ever.
async fn listen(options: Options, ready: impl FnOnce(u16)) -> Result<(), ServeError> {
    let sink = match options.mode {
        Mode::Receive => None,
        Mode::Append => Some(Rc::new(Sink::create(&options.dir, options.append_by, options.file_bytes_max).await?)),
    };
    let listener = TcpListener::bind(("127.0.0.1", options.port))?;
    let port = listener.local_addr()?.port();
    ready(port);
    let shared = Rc::new(Shared::new(port, options.partitions));
    loop {
        let socket = listener.accept().await?;
        socket.set_nodelay(true)?;
        let connection = Connection::new(socket, Rc::clone(&shared), sink.clone());
        spawn_local(async move {
            if let Err(error) = connection.serve().await {
                errln!("null-broker: {error}");
            }
        })
        .detach();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc;

    use clap::Parser;
    use ringlog_wire::codec::{Reader, Records, Writer};
    use ringlog_wire::header::{RequestHeader, ResponseHeader};
    use ringlog_wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
    use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
    use ringlog_wire::{ApiKey, Message, Request, Uuid};

    use super::*;

    /// Serves on a thread that lives until the test process ends.
    fn start(arguments: &[&str]) -> TcpStream {
        let argv = std::iter::once("null-broker").chain(arguments.iter().copied());
        let options = Options::try_parse_from(argv).unwrap();
        let (sender, port) = mpsc::channel();
        std::thread::spawn(move || {
            let executor = LocalExecutorBuilder::new(Placement::Unbound).make().unwrap();
            executor.run(listen(options, move |port| sender.send(port).unwrap())).unwrap();
        });
        TcpStream::connect(("127.0.0.1", port.recv().unwrap())).unwrap()
    }

    fn request<R: Request>(version: i16, body: &R, records: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&[0; 4]);
        RequestHeader::new(R::KEY, version, 7, Some("a client".to_owned())).encode(&mut writer).unwrap();
        body.encode(&mut writer, version).unwrap();
        let mut frame = writer.bytes;
        for cut in writer.cuts.iter().rev() {
            frame.splice(cut..cut, records.iter().copied());
        }
        let len = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&len.to_be_bytes());
        frame
    }

    fn answer<R: Request>(socket: &mut TcpStream, version: i16) -> (R::Response, Vec<u8>) {
        let mut len = [0; 4];
        socket.read_exact(&mut len).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        socket.read_exact(&mut frame).unwrap();
        let mut reader = Reader::new(&frame);
        assert_eq!(ResponseHeader::decode(&mut reader, R::KEY, version).unwrap().correlation_id, 7);
        let response = R::Response::decode(&mut reader, version).unwrap();
        assert_eq!(reader.remaining(), 0);
        (response, frame)
    }

    fn produce(version: i16, records: usize) -> ProduceRequest {
        let partition = |index| PartitionProduceData {
            index,
            records: Records::Outside(records),
            ..PartitionProduceData::default()
        };
        let topic = TopicProduceData {
            name: if version < 13 { "topic".to_owned() } else { String::new() },
            topic_id: if version < 13 { Uuid::ZERO } else { Uuid::from_halves(1, 2) },
            partition_data: vec![partition(0), partition(3)],
            ..TopicProduceData::default()
        };
        ProduceRequest { acks: 1, timeout_ms: 1, topic_data: vec![topic], ..ProduceRequest::default() }
    }

    #[test]
    fn every_version_of_produce_is_answered_with_offsets_that_grow_by_the_records() {
        let mut socket = start(&[]);
        let mut records = vec![9; 100_000];
        records[23..27].copy_from_slice(&4i32.to_be_bytes()); // five records
        for version in 3..=ApiKey::Produce.versions().1 {
            let frame = request(version, &produce(version, records.len()), &records);
            let (mut bases, mut sent) = (Vec::new(), 0);
            for len in [1, 2, 3, 70_000, 5, frame.len()] {
                let end = (sent + len).min(frame.len());
                socket.write_all(&frame[sent..end]).unwrap();
                sent = end;
            }
            let (response, _) = answer::<ProduceRequest>(&mut socket, version);
            let partitions = |it: ProduceResponse| it.responses.into_iter().flat_map(|it| it.partition_responses);
            bases.extend(partitions(response).map(|it| (it.index, it.error_code, it.base_offset)));
            let before = if version < 13 { i64::from(version - 3) * 5 } else { 0 };
            assert_eq!(bases, [(0, 0, before), (3, 0, before)], "version {version}");
        }
    }

    #[test]
    fn in_append_mode_the_file_holds_what_was_sent_before_the_answer_comes() {
        for by in ["inline", "ring"] {
            let dir = std::env::temp_dir().join(format!("ringlog-null-{by}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let mut socket = start(&["--mode", "append", "--append-by", by, "--dir", dir.to_str().unwrap()]);
            let records: Vec<u8> = (0..300_000u32).map(|at| at.to_le_bytes()[0]).collect();
            let frame = request(9, &produce(9, records.len()), &records);
            socket.write_all(&frame).unwrap();
            answer::<ProduceRequest>(&mut socket, 9);
            assert!(std::fs::read(dir.join("null-append.data")).unwrap() == frame, "{by}");
            std::fs::remove_dir_all(dir).unwrap();
        }
    }

    #[test]
    fn fetch_gives_whole_batches_from_the_offset_that_was_asked_for() {
        let mut socket = start(&[]);
        let partition = FetchPartition {
            partition: 0,
            fetch_offset: 1_000_000,
            partition_max_bytes: 50_000,
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic: "t".to_owned(), partitions: vec![partition], ..FetchTopic::default() };
        let fetch = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
        socket.write_all(&request(4, &fetch, &[])).unwrap();
        let (response, frame): (FetchResponse, _) = answer::<FetchRequest>(&mut socket, 4);
        let records = response.responses[0].partitions[0].records.bytes(&frame).unwrap();
        let batch = records.len() / 3;
        assert!(records.len() <= 50_000 && records.len() % 3 == 0, "{}", records.len());
        let base_of = |at: usize| i64::from_be_bytes(records[at * batch..at * batch + 8].try_into().unwrap());
        assert_eq!([base_of(0), base_of(1), base_of(2)], [1_000_000, 1_000_016, 1_000_032]);
    }

    #[test]
    fn a_lie_about_lengths_ends_the_connection_and_not_the_broker() {
        let mut socket = start(&[]);
        let mut lie = request(3, &produce(3, 30), &[0; 30]);
        let len = lie.len();
        lie[len - 34..len - 30].copy_from_slice(&i32::MAX.to_be_bytes());
        socket.write_all(&lie).unwrap();
        assert_eq!(socket.read(&mut [0; 10]).unwrap(), 0, "closed");
        let mut again = TcpStream::connect(socket.peer_addr().unwrap()).unwrap();
        again.write_all(&request(3, &produce(3, 30), &[0; 30])).unwrap();
        answer::<ProduceRequest>(&mut again, 3);
    }

    #[test]
    fn too_little_lockable_memory_is_refused_with_what_to_do() {
        let host = HostFacts { memlock_bytes: Some(65536), ..HostFacts::default() };
        let message = check(&host).unwrap_err().to_string();
        assert!(message.contains("65536") && message.contains("ulimit -l 512"), "{message}");
    }

    #[test]
    fn no_limit_is_enough() {
        assert!(check(&HostFacts::default()).is_ok());
    }
}
