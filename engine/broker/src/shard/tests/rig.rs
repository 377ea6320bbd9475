//! A shard without a kernel: events go in, submissions are carried out here, on files in memory. No threads, no sockets.

mod pair;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::sim::{SimFiles, World};
use ringlog_io::{Buf, Buffers, Clock, Counters, Driver, Event, File, Files, Job, Nanos, Socket, Token};
use ringlog_storage::{Checkpointed, PartitionName, Startup};
use ringlog_wire::batch::BatchBuilder;
use ringlog_wire::codec::{Reader, Writer};
use ringlog_wire::compression::Scratch;
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResource, AlterableConfig};
use ringlog_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use ringlog_wire::messages::delete_topics::DeleteTopicsRequest;
use ringlog_wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use ringlog_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use ringlog_wire::{Message, Records, Request};

use crate::apply_image;
use crate::broker::Broker;
use crate::controller_desk::Desk;
use crate::front::Front;
use crate::limits::Budget;
use crate::mail::{Address, Bus, Newest};
use crate::metadata::image::ShardId;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::submission::{Came, FileSent, Moved, Sent, Submission};

pub(super) use pair::Pair;

/// Size of the receive buffers that clients' bytes come in.
const CHUNK_BYTES: usize = 64 << 10;
/// What tasks read at a time: little, so that a small log has many pieces.
const TASK_BYTES: usize = 4 << 10;
/// Turns without a submission after which nothing more comes by itself.
const QUIET_TURNS: usize = 8;

/// What a client's socket is asked for.
enum Wanted {
    Nothing,
    Any(Token),
    Exact(Buf, usize, Token),
}

/// One client, as the kernel sees it.
struct Peer {
    socket: Socket,
    wanted: Wanted,
    /// Bytes on their way to the shard, and from it.
    to_shard: Vec<u8>,
    from_shard: Vec<u8>,
    /// It reads nothing: a send does not end.
    is_stalled: bool,
    is_closed: bool,
    /// What the kernel counts.
    moved_bytes: u64,
    stalled_send: Option<(Token, usize)>,
}

/// A client, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientId(usize);

/// What the checkpoint files say.
type Checkpoints = BTreeMap<PartitionName, Checkpointed>;

/// Where a shard sits among the others.
struct Seat {
    number: ShardId,
    driver: Box<dyn Driver>,
    bus: Bus,
    /// Shard 0's.
    desk: Option<Desk>,
    newest: Arc<Newest>,
}

/// What a start finds on the disk.
struct Led {
    desk: Desk,
    checkpointed: Checkpoints,
}

fn settings_of(settings: &[(&str, &str)]) -> Arc<Settings> {
    let ours = [("log.dirs", "/log"), ("num.partitions", "1")];
    let entries: Vec<(&str, &str)> = ours.into_iter().chain(settings.iter().copied()).collect();
    Arc::new(Settings::of(&entries))
}

/// The controller starts, with a shard for each port.
fn led(files: &Rc<SimFiles>, settings: &Arc<Settings>, ports: &[u16], driver: &dyn Driver) -> Led {
    let shared = Rc::clone(files) as Rc<dyn Files>;
    let dir = crate::metadata::fixtures::log_dir(&shared, settings.node_id(), "boot").unwrap();
    let names = dir.partitions().unwrap().into_iter();
    let checkpointed = names.map(|name| (name.clone(), dir.checkpointed(&name))).collect();
    Led { desk: Desk::open(&shared, dir, settings, ports, driver).unwrap(), checkpointed }
}

/// See the head of the file.
pub(super) struct Rig {
    pub(super) shard: Shard,
    pub(super) files: Rc<SimFiles>,
    /// Where clients' bytes come in.
    pub(super) receive_pool: Buffers,
    /// Syncs wait for [`Rig::end_syncs`].
    pub(super) holds_syncs: bool,
    held_syncs: Vec<(Token, ringlog_io::File)>,
    /// Jobs wait for [`Rig::end_jobs`].
    pub(super) holds_jobs: bool,
    held_jobs: Vec<(Token, Job)>,
    /// Reads of files wait for [`Rig::end_read`].
    pub(super) holds_reads: bool,
    held_reads: VecDeque<(Token, File, u64, usize)>,
    /// Pieces of logs wait for [`Rig::end_writebacks`].
    pub(super) holds_writebacks: bool,
    held_writebacks: Vec<Token>,
    /// What wakes the shard is this driver's.
    _driver: Box<dyn Driver>,
    peers: Vec<Peer>,
    came: Came,
    now: Nanos,
}

impl Rig {
    /// Shard 0 of one, with the controller, on an empty disk.
    pub(super) fn new(settings: &[(&str, &str)]) -> Self {
        Self::on(SimFiles::new(7), settings)
    }

    /// The same on a disk with something on it.
    pub(super) fn on(files: Rc<SimFiles>, settings: &[(&str, &str)]) -> Self {
        Self::started(files, settings, false, false)
    }

    /// The same, where jobs take their time from the first turn on.
    pub(super) fn with_held_jobs(files: Rc<SimFiles>, settings: &[(&str, &str)]) -> Self {
        Self::started(files, settings, false, true)
    }

    /// The same, where reads of files take their time from the first turn on.
    pub(super) fn with_held_reads(files: Rc<SimFiles>, settings: &[(&str, &str)]) -> Self {
        Self::started(files, settings, true, false)
    }

    fn started(files: Rc<SimFiles>, settings: &[(&str, &str)], holds_reads: bool, holds_jobs: bool) -> Self {
        let mut driver = World::new(7).driver(&files, 4, CHUNK_BYTES).1;
        let settings = settings_of(settings);
        let bus = Bus::new(ShardId(0), vec![Address::new(1, driver.waker().unwrap())]);
        let led = led(&files, &settings, &[9092], &*driver);
        let newest = led.desk.newest();
        let seat = Seat { number: ShardId(0), driver, bus, desk: Some(led.desk), newest };
        let mut rig = Self::seated(files, settings, seat, &led.checkpointed);
        (rig.holds_reads, rig.holds_jobs) = (holds_reads, holds_jobs);
        rig.run();
        rig
    }

    /// A shard at its seat, before its first turn.
    fn seated(files: Rc<SimFiles>, settings: Arc<Settings>, seat: Seat, checkpointed: &Checkpoints) -> Self {
        let Seat { number, driver, bus, desk, newest } = seat;
        let shared = Rc::clone(&files) as Rc<dyn Files>;
        let budget = Budget { task_bytes: TASK_BYTES, ..Budget::ample(&settings) };
        let front = Front::new(Arc::clone(&settings), Rc::clone(&shared), Buffers::new(8 << 20), budget);
        let mut broker = Broker::new(number, (settings, budget), shared, &*driver as &dyn Clock, newest.latest());
        apply_image::load(&mut broker, Startup::Clean, checkpointed);
        let shard = Shard::new(broker, front, bus, desk, newest);
        let now = driver.now();
        Self {
            shard,
            files,
            receive_pool: Buffers::new(1 << 20),
            holds_syncs: false,
            held_syncs: Vec::new(),
            holds_jobs: false,
            held_jobs: Vec::new(),
            holds_reads: false,
            held_reads: VecDeque::new(),
            holds_writebacks: false,
            held_writebacks: Vec::new(),
            _driver: driver,
            peers: Vec::new(),
            came: Came::default(),
            now,
        }
    }

    /// A client connects.
    pub(super) fn connect(&mut self) -> ClientId {
        let socket = Socket::of_double(self.peers.len() as u64);
        let address: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        self.came.events.push(Event::Accepted { token: 0, result: Ok((socket, address)) });
        self.peers.push(Peer {
            socket,
            wanted: Wanted::Nothing,
            to_shard: Vec::new(),
            from_shard: Vec::new(),
            is_stalled: false,
            is_closed: false,
            moved_bytes: 0,
            stalled_send: None,
        });
        self.run();
        ClientId(self.peers.len() - 1)
    }

    /// A client hangs up.
    pub(super) fn hang_up(&mut self, client: ClientId) {
        if let Wanted::Any(token) = std::mem::replace(&mut self.peers[client.0].wanted, Wanted::Nothing) {
            self.came.events.push(Event::Received { token, result: Ok(Buf::from(Vec::new())) });
        }
        self.run();
    }

    pub(super) fn is_closed(&self, client: ClientId) -> bool {
        self.peers[client.0].is_closed
    }

    /// A client reads nothing, or reads again.
    pub(super) fn stall(&mut self, client: ClientId, is_stalled: bool) {
        let peer = &mut self.peers[client.0];
        peer.is_stalled = is_stalled;
        if let Some((token, len)) = peer.stalled_send.take_if(|_| !is_stalled) {
            self.came.events.push(Event::Sent { token, result: Ok(len) });
        }
        self.run();
    }

    /// What the last turns did took so long.
    pub(super) fn step_took_ms(&mut self, ms: u64) {
        self.shard.step_begins(self.now);
        self.now.0 += ms * 1_000_000;
        self.shard.step_ended(self.now, Counters::default());
    }

    // --- time --------------------------------------------------------------------------------------------------------

    /// Time passes; every timer fires when it is due.
    pub(super) fn pass_ms(&mut self, span_ms: u64) {
        let end = Nanos(self.now.0 + span_ms * 1_000_000);
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// Turns, until nothing comes of it any more.
    pub(super) fn run(&mut self) {
        // Mail to itself wakes a shard: a call and its answer take a turn each.
        let mut quiet = 0;
        for _ in 0..10_000 {
            let was_quiet = self.turn();
            let waits = self.peers.iter().any(Peer::has_bytes);
            let goes_on = self.shard.next_deadline().is_some_and(|due| due.0 <= self.now.0 + 1_000);
            let is_quiet = was_quiet && !waits && !goes_on && self.came.events.is_empty() && !self.is_due();
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet == QUIET_TURNS {
                return;
            }
        }
        panic!("the shard does not come to rest");
    }

    /// Whether what the kernel answered at once makes a turn due.
    pub(super) fn is_due(&self) -> bool {
        self.shard.awaits(&self.came)
    }

    /// One turn. Gives whether it asked for nothing.
    pub(super) fn turn(&mut self) -> bool {
        self.receive();
        self.now.0 += 1_000;
        let wall_ms = 1_700_000_000_000 + (self.now.0 / 1_000_000) as i64;
        self.shard.turn(self.now, wall_ms, &mut self.came);
        let submissions = std::mem::take(self.shard.submissions());
        let was_quiet = submissions.is_empty();
        submissions.into_iter().for_each(|submission| self.carry_out(submission));
        was_quiet
    }

    fn receive(&mut self) {
        for peer in self.peers.iter_mut().filter(|peer| peer.has_bytes()) {
            let event = match std::mem::replace(&mut peer.wanted, Wanted::Nothing) {
                Wanted::Nothing => continue,
                Wanted::Any(token) => {
                    let mut buf = self.receive_pool.take(CHUNK_BYTES);
                    let len = peer.to_shard.len().min(CHUNK_BYTES);
                    buf.vec().extend(peer.to_shard.drain(..len));
                    Event::Received { token, result: Ok(buf) }
                }
                Wanted::Exact(mut buf, target_len, token) => {
                    let len = peer.to_shard.len().min(target_len - buf.len());
                    peer.moved_bytes += len as u64;
                    buf.vec().extend(peer.to_shard.drain(..len));
                    if buf.len() < target_len {
                        peer.wanted = Wanted::Exact(buf, target_len, token);
                        continue;
                    }
                    Event::Filled { token, result: Ok(buf) }
                }
            };
            self.came.events.push(event);
        }
    }

    fn peer(&mut self, socket: Socket) -> &mut Peer {
        self.peers.iter_mut().find(|peer| peer.socket == socket).expect("a socket of ours")
    }

    fn carry_out(&mut self, submission: Submission) {
        match submission {
            Submission::Receive { socket, token } => self.peer(socket).wanted = Wanted::Any(token),
            Submission::ReceiveExact { socket, buf, target_len, token } => {
                self.peer(socket).wanted = Wanted::Exact(buf, target_len, token);
            }
            Submission::Send { socket, parts, token } => {
                let len = parts.iter().map(|part| part.len()).sum();
                let peer = self.peer(socket);
                parts.iter().for_each(|part| peer.from_shard.extend_from_slice(part));
                if peer.is_stalled {
                    peer.stalled_send = Some((token, len));
                } else {
                    self.came.sent.push(Sent { token, bytes: len, at: self.now });
                }
            }
            Submission::SendFile { socket, file, offset, len, token } => {
                let mut bytes = vec![0; len];
                let result = self.files.read_at(&file, &mut bytes, offset);
                self.peer(socket).from_shard.extend_from_slice(&bytes);
                self.came.files_sent.push(FileSent { token, result });
            }
            Submission::ReadCold { file, offset, len, token } if self.holds_reads => {
                self.held_reads.push_back((token, file, offset, len));
            }
            Submission::ReadCold { file, offset, len, token } => self.read((token, file, offset, len)),
            Submission::AwaitRoom { token, .. } => self.came.events.push(Event::Writable { token, result: Ok(()) }),
            Submission::Sync { file, token } if self.holds_syncs => self.held_syncs.push((token, file)),
            Submission::Sync { file, token } => {
                let result = self.files.sync(&file);
                self.came.events.push(Event::Synced { token, result });
            }
            Submission::WriteBack { token, .. } if self.holds_writebacks => self.held_writebacks.push(token),
            Submission::WriteBack { token, .. } => self.came.events.push(Event::JobDone { token, result: Ok(None) }),
            Submission::Run { job, token } if self.holds_jobs => self.held_jobs.push((token, job)),
            Submission::Run { job, token } => {
                let result = job.perform(&*self.files);
                self.came.events.push(Event::JobDone { token, result });
            }
            Submission::CountMoved { socket, token } => {
                let moved_bytes = self.peer(socket).moved_bytes;
                self.came.moved.push(Moved { token, result: Ok(moved_bytes) });
            }
            Submission::Close { socket } => {
                let peer = self.peer(socket);
                (peer.is_closed, peer.wanted) = (true, Wanted::Nothing);
            }
        }
    }

    /// The syncs that were held end.
    pub(super) fn end_syncs(&mut self) {
        for (token, file) in std::mem::take(&mut self.held_syncs) {
            let result = self.files.sync(&file);
            self.came.events.push(Event::Synced { token, result });
        }
        self.run();
    }

    /// The pieces that were held end so. Gives how many.
    pub(super) fn end_writebacks(&mut self, result: impl Fn() -> io::Result<Option<File>>) -> usize {
        let held = std::mem::take(&mut self.held_writebacks);
        held.iter().for_each(|token| self.came.events.push(Event::JobDone { token: *token, result: result() }));
        self.run();
        held.len()
    }

    /// The jobs that were held are done. Gives how many.
    pub(super) fn end_jobs(&mut self) -> usize {
        let jobs = std::mem::take(&mut self.held_jobs);
        let count = jobs.len();
        for (token, job) in jobs {
            let result = job.perform(&*self.files);
            self.came.events.push(Event::JobDone { token, result });
        }
        self.run();
        count
    }

    fn read(&mut self, (token, file, offset, len): (Token, File, u64, usize)) {
        let mut bytes = vec![0; len];
        let result = self.files.read_at(&file, &mut bytes, offset).map(|read| {
            bytes.truncate(read);
            Buf::from(bytes)
        });
        self.came.events.push(Event::Read { token, result });
    }

    /// The first read that was held is done. False: there is none.
    pub(super) fn end_read(&mut self) -> bool {
        let first = self.held_reads.pop_front();
        let is_there = first.is_some();
        first.into_iter().for_each(|read| self.read(read));
        self.run();
        is_there
    }

    // --- requests ----------------------------------------------------------------------------------------------------

    /// Sends requests in one write.
    pub(super) fn send(&mut self, client: ClientId, frames: &[Vec<u8>]) {
        self.peers[client.0].to_shard.extend(frames.concat());
        self.run();
    }

    /// Sends requests in one write, which come in with the next turn.
    pub(super) fn post(&mut self, client: ClientId, frames: &[Vec<u8>]) {
        self.peers[client.0].to_shard.extend(frames.concat());
    }

    /// A client that seems stalled takes a byte of what is on its way.
    pub(super) fn trickle(&mut self, client: ClientId) {
        self.peers[client.0].moved_bytes += 1;
    }

    /// The next answer that is here.
    pub(super) fn answer<R: Request>(&mut self, client: ClientId, version: i16) -> Option<R::Response> {
        self.answer_in_frame::<R>(client, version).map(|(answer, _)| answer)
    }

    /// The same with the frame that its records lie in.
    pub(super) fn answer_in_frame<R: Request>(
        &mut self,
        client: ClientId,
        version: i16,
    ) -> Option<(R::Response, Vec<u8>)> {
        let from = &mut self.peers[client.0].from_shard;
        let len = i32::from_be_bytes(*from.first_chunk::<4>()?) as usize;
        let frame: Vec<u8> = from.drain(..4 + len).skip(4).collect();
        let mut reader = Reader::new(&frame);
        ResponseHeader::decode(&mut reader, R::KEY, version).unwrap();
        let answer = R::Response::decode(&mut reader, version).unwrap();
        Some((answer, frame))
    }

    /// Asks, and takes the answer.
    pub(super) fn ask<R: Request>(&mut self, client: ClientId, version: i16, request: &R) -> R::Response {
        self.send(client, &[frame(version, request)]);
        self.answer::<R>(client, version).expect("an answer at once")
    }

    /// Makes a topic.
    pub(super) fn create_topic(&mut self, client: ClientId, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let answer = self.ask(client, CREATE_VERSION, &creation(name, partitions, configs));
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    }

    /// What ListOffsets says of a partition's end.
    pub(super) fn latest(&mut self, client: ClientId, topic: &str) -> i64 {
        let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
        let topic = ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition], ..Default::default() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        self.ask(client, 5, &request).topics[0].partitions[0].offset
    }
}

impl Peer {
    fn has_bytes(&self) -> bool {
        !self.is_closed && !self.to_shard.is_empty() && !matches!(self.wanted, Wanted::Nothing)
    }
}

/// A request as a frame.
pub(super) fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    frame_with(version, request, &[])
}

/// A request whose records lie outside of it.
fn frame_with<R: Request>(version: i16, request: &R, records: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    RequestHeader::new(R::KEY, version, 1, Some("rig".to_owned())).encode(&mut writer).unwrap();
    request.encode(&mut writer, version).unwrap();
    let mut bytes = writer.bytes;
    if let Some(cut) = writer.cuts.first() {
        bytes.splice(*cut..*cut, records.iter().copied());
    }
    let mut frame = (bytes.len() as i32).to_be_bytes().to_vec();
    frame.append(&mut bytes);
    frame
}

/// A batch of one record with so many bytes of value.
pub(super) fn batch(value_bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(1_700_000_000_000, None, Some(&vec![7; value_bytes]), &[]);
    builder.finish(&mut Scratch::default()).unwrap();
    builder.take()
}

/// A produce request of one batch.
pub(super) const PRODUCE_VERSION: i16 = 8;

pub(super) fn produce(topic: &str, partition: i32, acks: i16, value_bytes: usize) -> Vec<u8> {
    produce_batch(topic, partition, acks, &batch(value_bytes))
}

/// The same with a batch that is given.
pub(super) fn produce_batch(topic: &str, partition: i32, acks: i16, records: &[u8]) -> Vec<u8> {
    produce_of(None, topic, partition, acks, records)
}

/// The same with a transactional id.
pub(super) fn produce_of(id: Option<&str>, topic: &str, partition: i32, acks: i16, records: &[u8]) -> Vec<u8> {
    produce_in(PRODUCE_VERSION, id, (topic, partition), acks, records)
}

/// The same in another version.
pub(super) fn produce_in(
    version: i16,
    id: Option<&str>,
    (topic, partition): (&str, i32),
    acks: i16,
    records: &[u8],
) -> Vec<u8> {
    let data =
        PartitionProduceData { index: partition, records: Records::Outside(records.len()), ..Default::default() };
    let data = TopicProduceData { name: topic.to_owned(), partition_data: vec![data], ..Default::default() };
    let transactional_id = id.map(str::to_owned);
    let request =
        ProduceRequest { transactional_id, acks, timeout_ms: 1000, topic_data: vec![data], ..Default::default() };
    frame_with(version, &request, records)
}

/// Error and base offset of a produce answer.
pub(super) fn produced(answer: &ProduceResponse) -> (i16, i64) {
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// A fetch of the partitions of a topic from an offset on, that waits for a second.
pub(super) const FETCH_VERSION: i16 = 11;

pub(super) fn fetch(topic: &str, partitions: std::ops::Range<i32>, offset: i64, min_bytes: i32) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic =
        FetchTopic { topic: topic.to_owned(), partitions: partitions.map(partition).collect(), ..Default::default() };
    FetchRequest { max_wait_ms: 1000, min_bytes, max_bytes: 50 << 20, topics: vec![topic], ..Default::default() }
}

/// Bytes of records in a fetch answer.
pub(super) fn fetched_bytes(answer: &FetchResponse) -> usize {
    answer.responses.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.records.len()).sum()
}

/// Makes a topic.
pub(super) const CREATE_VERSION: i16 = 5;

pub(super) fn creation(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequest {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() }
}

/// Sets one config of a topic.
pub(super) fn alter(topic: &str, name: &str, value: &str) -> AlterConfigsRequest {
    let config = AlterableConfig { name: name.to_owned(), value: Some(value.to_owned()), ..Default::default() };
    let resource = AlterConfigsResource {
        resource_type: 2,
        resource_name: topic.to_owned(),
        configs: vec![config],
        ..Default::default()
    };
    AlterConfigsRequest { resources: vec![resource], ..Default::default() }
}

/// Deletes a topic.
pub(super) fn delete(topic: &str) -> DeleteTopicsRequest {
    DeleteTopicsRequest { topic_names: vec![topic.to_owned()], timeout_ms: 1000, ..Default::default() }
}
