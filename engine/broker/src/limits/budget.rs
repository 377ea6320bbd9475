//! What a broker may use of memory and descriptors: shared out once, when it starts, so that the sums hold.
//!
//! ```text
//!   memory: --memory, or half of what the cgroup or the machine has (the other half is the page cache's)
//!     |- BASE_BYTES                     code, stacks, the image
//!     +- each shard's share S
//!          |- receive buffers           fixed
//!          |- connections               S / 8 at most, CONNECTION_BYTES each
//!          |- buffers kept for frames,  S / 32
//!          |- decoding, answering       S / 16, twice      a frame's elements, and the answer that is made of them
//!          |- inflating                 S / 8              one batch that is checked; or a quarter for batches that wait to
//!          |                                               be compressed anew, the rest for what jobs open and make of them
//!          |- fetch sessions            S / 32
//!          |- waiting fetches           S / 32
//!          |- compaction                S / 64              the keys of the log that is being compacted
//!          |- tasks                     TASKS_RUNNING, a piece of a log each
//!          |- frames                    half of the rest, socket.request.max.bytes at least
//!          +- answers                   the rest, OUTPUT_BYTES at least
//!   descriptors: RLIMIT_NOFILE
//!     |- BASE_DESCRIPTORS, SHARD_DESCRIPTORS each
//!     |- partitions                     one each; half of what there is, where that is more
//!     +- connections                    the rest, CONNECTIONS of a shard at most
//!   page cache: ringlog.writeback.bytes, of all shards together
//!     '- what is written to logs and not on the disk: a 16th of the memory, at most what makes the kernel write by itself
//! ```
//! Not in it is what clients have stored: topics, groups, the state of producers. Nor is what the kernel holds in sockets.

use std::fmt;

use ringlog_io::process::{Memory, MemorySource};
use ringlog_wire::batch::Rules;

use super::{
    CONNECTIONS, FRAME_FIRST_BYTES, OUTPUT_BYTES, OUTPUT_BYTES_MIN, RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS,
    TASK_READ_BYTES, TASKS_RUNNING, TRANSFER_BYTES,
};
use crate::settings::{Settings, SettingsError};

const MIB: usize = 1 << 20;

/// What the process takes whatever its shards do.
const BASE_BYTES: usize = 24 * MIB;
/// One connection: its state, a place for each request in flight, and the answers that it may always hold.
const CONNECTION_BYTES: usize = (4 << 10) + OUTPUT_BYTES_MIN;
/// The rings, the log directory's own files, standard streams.
const BASE_DESCRIPTORS: usize = 32;
/// A shard's ring or poller, its waker, its listener, and the sealed segments that it keeps open.
const SHARD_DESCRIPTORS: usize = 144;
/// With fewer connections than this a shard is of no use.
const CONNECTIONS_MIN: usize = 16;

/// A part of a shard's share: one in `of`, between two bounds.
struct Part {
    of: usize,
    min: usize,
    max: usize,
}

const KEPT: Part = Part { of: 32, min: 2 * MIB, max: 64 * MIB };
const DECODE: Part = Part { of: 16, min: 8 * MIB, max: 64 * MIB };
const INFLATE: Part = Part { of: 8, min: 16 * MIB, max: Rules::INFLATED_LEN_MAX };
const SESSIONS: Part = Part { of: 32, min: 2 * MIB, max: 128 * MIB };
const CLEAN: Part = Part { of: 64, min: 2 * MIB, max: 128 * MIB };
const WAITING: Part = Part { of: 32, min: 2 * MIB, max: 128 * MIB };
/// Of the memory that there is, page cache included.
const UNWRITTEN: Part = Part { of: 16, min: 16 * MIB, max: 2 << 30 };

/// The most that frames, and answers, of one shard are given: beyond this more of them only wait longer.
const FRAMES_MAX: usize = 1 << 30;
const OUTPUT_MAX: usize = 1 << 30;

const RECEIVE_POOL_BYTES: usize = RECEIVE_BUFFERS as usize * RECEIVE_BUFFER_BYTES;
/// A shard cannot do with less, whatever its settings.
const SHARE_MIN: usize = RECEIVE_POOL_BYTES
    + CONNECTIONS_MIN * CONNECTION_BYTES
    + KEPT.min
    + 2 * DECODE.min
    + INFLATE.min
    + SESSIONS.min
    + WAITING.min
    + CLEAN.min
    + TASKS_RUNNING * TASK_READ_BYTES
    + 2 * FRAME_FIRST_BYTES
    + OUTPUT_BYTES;

const _: () = assert!(SHARE_MIN <= 64 * MIB, "a shard fits into a small container");
const _: () = assert!(TRANSFER_BYTES <= OUTPUT_BYTES);
const _: () = assert!(
    KEPT.of >= 32 && DECODE.of >= 16 && INFLATE.of >= 8 && SESSIONS.of >= 32 && WAITING.of >= 32 && CLEAN.of >= 64
);

impl Part {
    fn of(&self, share: usize) -> usize {
        (share / self.of).clamp(self.min, self.max)
    }
}

/// What there is to share out.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    /// What the machine or the cgroup has.
    pub(crate) memory: Memory,
    /// RLIMIT_NOFILE.
    pub(crate) descriptors: usize,
    /// Partitions whose folders are there.
    pub(crate) partitions: usize,
    /// From how many bytes of unwritten pages on the kernel writes them by itself, where it says so.
    pub(crate) dirty_background_bytes: Option<u64>,
}

/// See the head of the file. Of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Connections.
    pub(crate) connections: usize,
    /// Buffers of frames that are kept for the next ones.
    pub(crate) kept_bytes: usize,
    /// What the elements of one frame may take when they are decoded.
    pub(crate) decode_bytes: usize,
    /// What one compressed batch may open to.
    pub(crate) inflate_bytes: usize,
    /// Fetch sessions, all together.
    pub(crate) session_bytes: usize,
    /// Fetches that wait, all together.
    pub(crate) waiting_bytes: usize,
    /// Keys of the log that is being compacted.
    pub(crate) clean_bytes: usize,
    /// What one task reads of a log at a time, where a batch is not larger.
    pub(crate) task_bytes: usize,
    /// Frames that are being received, all together.
    pub(crate) frame_bytes: usize,
    /// Answers that are queued or being sent, all together.
    pub(crate) output_bytes: usize,
    /// What is in logs and not on the disk, of all shards together; in the page cache, so in no shard's share.
    pub(crate) dirty_bytes: u64,
}

impl Budget {
    /// Shares out what there is, or says which setting does not fit into it.
    pub(crate) fn share_out(settings: &Settings, means: &Means) -> Result<Self, SettingsError> {
        let connections = connections(settings, means)?;
        let bytes = Allowed::of(settings, means);
        let share = bytes.bytes.saturating_sub(BASE_BYTES) / settings.shards();
        let request_bytes_max = settings.socket_request_max_bytes();
        Self::of_share(share, connections, request_bytes_max)
            .map(|budget| Self { dirty_bytes: Unwritten::of(settings, means).bytes, ..budget })
            .ok_or_else(|| too_little(settings, &bytes, request_bytes_max, connections))
    }

    /// What a large machine gives.
    #[cfg(test)]
    pub(crate) fn ample(settings: &Settings) -> Self {
        let memory = Memory { bytes: 16 << 30, source: MemorySource::Cgroup(std::path::PathBuf::new()) };
        Self::share_out(settings, &Means { memory, descriptors: 100_000, partitions: 1, dirty_background_bytes: None })
            .unwrap()
    }

    fn of_share(share: usize, connections: usize, request_bytes_max: usize) -> Option<Self> {
        let connections = connections.min((share / 8 / CONNECTION_BYTES).max(CONNECTIONS_MIN));
        let mut budget = Self {
            connections,
            kept_bytes: KEPT.of(share),
            decode_bytes: DECODE.of(share),
            inflate_bytes: INFLATE.of(share),
            session_bytes: SESSIONS.of(share),
            waiting_bytes: WAITING.of(share),
            clean_bytes: CLEAN.of(share),
            task_bytes: TASK_READ_BYTES,
            frame_bytes: 0,
            output_bytes: 0,
            dirty_bytes: 0,
        };
        let rest = share.checked_sub(budget.shard_bytes())?;
        budget.frame_bytes =
            (rest / 2).max(frame_bytes_min(request_bytes_max)).min(FRAMES_MAX.max(frame_bytes_min(request_bytes_max)));
        budget.output_bytes = rest.checked_sub(budget.frame_bytes)?.min(OUTPUT_MAX);
        (budget.output_bytes >= OUTPUT_BYTES).then_some(budget)
    }

    /// Batches that may wait to be compressed anew.
    pub(crate) fn held_up_bytes(&self) -> usize {
        self.inflate_bytes / 4
    }

    /// What jobs may open and make of such batches, all together.
    pub(crate) fn recompress_bytes(&self) -> usize {
        self.inflate_bytes - self.held_up_bytes()
    }

    /// What one batch may open to: where it is compressed anew there must be room for what is made of it too.
    pub(crate) fn inflated_len_max(&self, is_recompressed: bool) -> usize {
        if is_recompressed { self.recompress_bytes() / 2 } else { self.inflate_bytes }
    }

    /// The sum of a shard's parts.
    pub(crate) fn shard_bytes(&self) -> usize {
        RECEIVE_POOL_BYTES
            + self.connections * CONNECTION_BYTES
            + self.kept_bytes
            + 2 * self.decode_bytes
            + self.inflate_bytes
            + self.session_bytes
            + self.waiting_bytes
            + self.clean_bytes
            + TASKS_RUNNING * self.task_bytes
            + self.frame_bytes
            + self.output_bytes
    }

    /// The sentence that the start says.
    pub(crate) fn sentence(&self, settings: &Settings, means: &Means) -> String {
        let allowed = Allowed::of(settings, means);
        let total = BASE_BYTES + settings.shards() * self.shard_bytes();
        format!(
            "logs may have {} that the disk has not ({}); at most {} of memory ({}): a shard has {} for requests, {} for \
             answers, {} for a request's elements, {} for a compressed batch, {} for fetch sessions, {} for waiting fetches; \
             {} of {} descriptors for connections ({} a shard), {} partitions are there",
            Size(usize::try_from(self.dirty_bytes).unwrap_or(usize::MAX)),
            Unwritten::of(settings, means).whose,
            Size(total),
            allowed.whose,
            Size(self.frame_bytes),
            Size(self.output_bytes),
            Size(self.decode_bytes),
            Size(self.inflate_bytes),
            Size(self.session_bytes),
            Size(self.waiting_bytes),
            self.connections * settings.shards(),
            means.descriptors,
            self.connections,
            means.partitions,
        )
    }
}

/// What logs may have that the disk has not.
struct Unwritten {
    bytes: u64,
    whose: String,
}

impl Unwritten {
    fn of(settings: &Settings, means: &Means) -> Self {
        let size = |bytes: u64| Size(usize::try_from(bytes).unwrap_or(usize::MAX));
        if let Some(given) = settings.writeback_bytes() {
            return Self { bytes: given, whose: "ringlog.writeback.bytes".to_owned() };
        }
        let memory = means.memory.bytes;
        let of_memory = (memory / UNWRITTEN.of as u64).clamp(UNWRITTEN.min as u64, UNWRITTEN.max as u64);
        let of_kernel = means.dirty_background_bytes.map(|bytes| bytes.max(UNWRITTEN.min as u64));
        match of_kernel.filter(|bytes| *bytes < of_memory) {
            Some(bytes) => {
                Self { bytes, whose: format!("the {} from which on the kernel writes by itself", size(bytes)) }
            }
            None => {
                Self { bytes: of_memory, whose: format!("a 16th of the {} of memory, 16 MiB to 2 GiB", size(memory)) }
            }
        }
    }
}

/// One frame of the largest size, and the beginnings of others beside it.
fn frame_bytes_min(request_bytes_max: usize) -> usize {
    request_bytes_max + FRAME_FIRST_BYTES
}

/// The memory that the broker may take, and who says so.
struct Allowed {
    bytes: usize,
    whose: String,
}

impl Allowed {
    fn of(settings: &Settings, means: &Means) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if let Some(given) = settings.memory() {
            return Self { bytes: size(given), whose: format!("--memory {}", Size(size(given))) };
        }
        let there = size(means.memory.bytes);
        let whose = match &means.memory.source {
            MemorySource::Cgroup(file) => format!("half of the {} of {}", Size(there), file.display()),
            MemorySource::Machine => format!("half of the machine's {}", Size(there)),
        };
        Self { bytes: there / 2, whose }
    }
}

/// Which setting asks for more memory than there is, and what would do.
fn too_little(settings: &Settings, allowed: &Allowed, request_bytes_max: usize, connections: usize) -> SettingsError {
    let shards = settings.shards();
    let fits = |share: &usize| Budget::of_share(*share, connections, request_bytes_max).is_some();
    let share = (1usize..).map(|steps| steps * 16 * MIB).find(fits).unwrap_or(usize::MAX);
    let wanted = share.saturating_mul(shards).saturating_add(BASE_BYTES).div_ceil(MIB);
    let why = format!(
        "requests of that size do not fit into {} ({}) with {shards} shard{}: give --memory {wanted}m or more, fewer \
         --shards, or a smaller socket.request.max.bytes",
        Size(allowed.bytes),
        allowed.whose,
        if shards == 1 { "" } else { "s" },
    );
    SettingsError::Unusable { key: "socket.request.max.bytes", value: request_bytes_max.to_string(), why }
}

/// How many connections each shard may have, of the descriptors that its partitions leave.
fn connections(settings: &Settings, means: &Means) -> Result<usize, SettingsError> {
    let shards = settings.shards();
    let base = BASE_DESCRIPTORS + shards * SHARD_DESCRIPTORS;
    let needed = base + means.partitions + shards * CONNECTIONS_MIN;
    if needed > means.descriptors {
        let why = format!(
            "{} partitions are in there, which need {needed} descriptors with {shards} shard{}, and the hard limit is {}: \
             raise it (ulimit -Hn, LimitNOFILE=)",
            means.partitions,
            if shards == 1 { "" } else { "s" },
            means.descriptors,
        );
        let value = settings.log_dir().display().to_string();
        return Err(SettingsError::Unusable { key: "log.dirs", value, why });
    }
    let free = means.descriptors - base;
    let for_partitions = means.partitions.max(free / 2).min(free - shards * CONNECTIONS_MIN);
    Ok(((free - for_partitions) / shards).min(CONNECTIONS).min(settings.max_connections()))
}

/// A number of bytes, in words.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 / MIB {
            0 => write!(f, "{} bytes", self.0),
            mib @ 1..10_240 => write!(f, "{mib} MiB"),
            mib => write!(f, "{:.1} GiB", mib as f64 / 1024.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn means(mib: usize, descriptors: usize, partitions: usize) -> Means {
        let source = MemorySource::Cgroup(PathBuf::from("/sys/fs/cgroup/memory.max"));
        let memory = Memory { bytes: (mib * MIB) as u64, source };
        Means { memory, descriptors, partitions, dirty_background_bytes: None }
    }

    fn shared(settings: &[(&str, &str)], means: &Means) -> Result<Budget, String> {
        Budget::share_out(&Settings::of(settings), means).map_err(|error| error.to_string())
    }

    #[test]
    fn the_parts_never_sum_up_to_more_than_there_is() {
        for mib in [512, 600, 1000, 1024, 2048, 4096, 10_000, 24_000, 100_000, 1 << 20] {
            for shards in [1, 2, 3, 16, 64] {
                let settings = Settings::of(&[("ringlog.shards", &shards.to_string())]);
                let means = means(mib, 1 << 20, 0);
                let Ok(budget) = Budget::share_out(&settings, &means) else {
                    assert!(shards > 1, "{mib} MiB are enough for one shard");
                    continue;
                };
                let total = BASE_BYTES + shards * budget.shard_bytes();
                assert!(total <= mib * MIB / 2, "{mib} MiB, {shards} shards: {total}");
                assert!(
                    budget.frame_bytes >= settings.socket_request_max_bytes() && budget.output_bytes >= OUTPUT_BYTES
                );
            }
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_with_what_would_do() {
        let refusal = shared(&[], &means(256, 20_000, 0)).unwrap_err();
        for words in
            ["socket.request.max.bytes=104857600", "128 MiB", "/sys/fs/cgroup/memory.max", "--memory ", "smaller"]
        {
            assert!(refusal.contains(words), "{words}: {refusal}");
        }
        let wanted = refusal.split("--memory ").nth(1).and_then(|rest| rest.split('m').next()).unwrap();
        shared(&[("ringlog.memory", &format!("{wanted}m"))], &means(256, 20_000, 0)).expect("what was said is enough");
        shared(&[("socket.request.max.bytes", "10000000")], &means(256, 20_000, 0)).expect("smaller requests fit");
        let sharded = shared(&[("ringlog.shards", "4")], &means(512, 20_000, 0)).unwrap_err();
        assert!(sharded.contains("with 4 shards"), "{sharded}");
    }

    #[test]
    fn memory_that_is_given_counts_whatever_the_machine_has() {
        let given = shared(&[("ringlog.memory", "1g")], &means(256, 20_000, 0)).unwrap();
        let half_of_more = shared(&[], &means(2048, 20_000, 0)).unwrap();
        // What the disk lacks is in the page cache, which is the machine's.
        assert_eq!(Budget { dirty_bytes: half_of_more.dirty_bytes, ..given }, half_of_more);
    }

    #[test]
    fn connections_and_partitions_share_the_descriptors() {
        let connections = |descriptors, partitions, settings: &[(&str, &str)]| {
            shared(settings, &means(24_000, descriptors, partitions)).unwrap().connections
        };
        assert_eq!(connections(1 << 20, 0, &[]), CONNECTIONS);
        assert_eq!(connections(1 << 20, 0, &[("max.connections", "100")]), 100);
        assert_eq!(connections(1024, 0, &[]), (1024 - 176) / 2);
        // Partitions that are there come before connections that may come.
        assert_eq!(connections(1024, 800, &[]), 1024 - 176 - 800);
        assert_eq!(connections(20_000, 1100, &[("ringlog.shards", "2")]), (20_000 - 320) / 4);
        let refusal = shared(&[("log.dirs", "/some/where")], &means(24_000, 1024, 1100)).unwrap_err();
        for words in
            ["log.dirs=/some/where", "1100 partitions", "1292 descriptors", "the hard limit is 1024", "ulimit -Hn"]
        {
            assert!(refusal.contains(words), "{words}: {refusal}");
        }
    }

    #[test]
    fn what_the_disk_lacks_is_bounded_by_memory_by_the_kernel_and_by_a_setting() {
        let unwritten = |settings: &[(&str, &str)], mib, dirty_background_bytes| {
            let means = Means { dirty_background_bytes, ..means(mib, 20_000, 0) };
            let settings = Settings::of(settings);
            let budget = Budget::share_out(&settings, &means).unwrap();
            (budget.dirty_bytes >> 20, budget.sentence(&settings, &means).split(';').next().unwrap().to_owned())
        };
        assert_eq!(unwritten(&[], 512, None).0, 32);
        assert_eq!(unwritten(&[], 100_000, None).0, 2048);
        let (mib, words) = unwritten(&[], 100_000, Some(300 << 20));
        assert_eq!(mib, 300);
        assert!(words.ends_with("(the 300 MiB from which on the kernel writes by itself)"), "{words}");
        let (mib, words) = unwritten(&[("ringlog.writeback.bytes", "40m")], 100_000, Some(3 << 20));
        assert_eq!(mib, 40);
        assert!(words.ends_with("(ringlog.writeback.bytes)"), "{words}");
    }

    #[test]
    fn the_start_says_what_it_will_use() {
        let settings = Settings::of(&[("ringlog.shards", "2")]);
        let means = means(24_000, 20_000, 3);
        let sentence = Budget::share_out(&settings, &means).unwrap().sentence(&settings, &means);
        assert!(
            sentence.starts_with("logs may have 1500 MiB that the disk has not (a 16th of the 23.4 GiB of memory, 16 MiB to 2 GiB); at most "),
            "{sentence}"
        );
        assert!(sentence.contains("half of the 23.4 GiB of /sys/fs/cgroup/memory.max"), "{sentence}");
        assert!(sentence.contains("9840 of 20000 descriptors for connections (4920 a shard)"), "{sentence}");
    }
}
