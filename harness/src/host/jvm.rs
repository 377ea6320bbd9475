//! What a JVM on this machine says of itself: its heap and its garbage collections, from the counters that jstat reads.
//!
//! ```text
//!   <tmp>/hsperfdata_<user>/<pid>      a file that the JVM keeps mapped
//!     magic cafec0c0 | byte order | .. | used | .. | offset of the first entry @24 | entries @28
//!     entry: length | name @ | elements | type | .. | data @        all offsets within the entry, in the JVM's byte order
//! ```
//!
//! jstat itself is a JVM, which takes a good part of a second of somebody's core: here the file is read. The counters of a
//! heap's spaces are written at the end of a collection, as jstat shows them. A process without the file is no JVM, or one
//! that was told to keep none (`-XX:-UsePerfData`): nothing is known of it then.

use std::fs;
use std::path::Path;

const MAGIC: [u8; 4] = 0xcafe_c0c0_u32.to_be_bytes();
/// The file is 32 KiB unless a JVM was told otherwise.
const FILE_BYTES_MAX: u64 = 1 << 20;
const ENTRIES_MAX: usize = 10_000;
/// Where things lie in the file's head and in an entry.
const BYTE_ORDER_AT: usize = 4;
const FIRST_ENTRY_AT: usize = 24;
const ENTRIES_AT: usize = 28;
const NAME_AT: usize = 4;
const ELEMENTS_AT: usize = 8;
const TYPE_AT: usize = 12;
const DATA_AT: usize = 16;
/// A counter of 64 bits.
const LONG: u8 = b'J';
const SECOND_NS: f64 = 1e9;

/// Counters of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    heap_used_bytes: u64,
    heap_bytes: u64,
    gc_ns: u64,
    collections: u64,
}

/// What a JVM did between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JvmUsage {
    /// Heap in use after the last collection, in bytes.
    pub heap_used_bytes: u64,
    /// What of the heap the JVM has of the system.
    pub heap_bytes: u64,
    /// Time in garbage collections, in nanoseconds.
    pub gc_ns: u64,
    /// Garbage collections.
    pub collections: u64,
}

impl Counters {
    /// Of a process, read below `root` (`/`).
    pub(super) fn read(root: &Path, pid: u32) -> Option<Self> {
        let tmp = root.join("proc").join(pid.to_string()).join("root/tmp");
        // Within a container the JVM knows itself by another number.
        let status = fs::read_to_string(root.join("proc").join(pid.to_string()).join("status")).unwrap_or_default();
        let inner = status.lines().find_map(|it| it.strip_prefix("NSpid:")?.split_whitespace().last());
        let name = inner.map_or_else(|| pid.to_string(), str::to_owned);
        let folders = fs::read_dir(tmp).ok()?.flatten().map(|it| it.path());
        let of_users =
            folders.filter(|it| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("hsperfdata_")));
        let file = of_users.map(|it| it.join(&name)).find(|it| it.is_file())?;
        let is_small = fs::metadata(&file).ok()?.len() <= FILE_BYTES_MAX;
        is_small.then(|| fs::read(&file).ok())?.and_then(|bytes| Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let file = File::open(bytes)?;
        let (mut counters, mut gc_ticks, mut ticks_s) = (Self::default(), 0, 0);
        for (name, value) in file.longs() {
            match name {
                "sun.os.hrt.frequency" => ticks_s = value,
                _ if name.starts_with("sun.gc.generation.") && name.contains(".space.") && name.ends_with(".used") => {
                    counters.heap_used_bytes = counters.heap_used_bytes.saturating_add(value);
                }
                _ if name.starts_with("sun.gc.generation.")
                    && name.contains(".space.")
                    && name.ends_with(".capacity") =>
                {
                    counters.heap_bytes = counters.heap_bytes.saturating_add(value);
                }
                _ if name.starts_with("sun.gc.collector.") && name.ends_with(".time") => gc_ticks += value,
                _ if name.starts_with("sun.gc.collector.") && name.ends_with(".invocations") => {
                    counters.collections += value;
                }
                _ => {}
            }
        }
        counters.gc_ns = (gc_ticks as f64 / (ticks_s as f64) * SECOND_NS) as u64;
        (ticks_s > 0).then_some(counters)
    }

    /// What happened from `self` to `end`.
    pub(super) fn until(&self, end: &Self) -> JvmUsage {
        JvmUsage {
            heap_used_bytes: end.heap_used_bytes,
            heap_bytes: end.heap_bytes,
            gc_ns: end.gc_ns.saturating_sub(self.gc_ns),
            collections: end.collections.saturating_sub(self.collections),
        }
    }
}

impl JvmUsage {
    /// Of several processes together; `None` where there is none, or one of which nothing is known.
    pub(super) fn sum(mut processes: impl Iterator<Item = Option<Self>>) -> Option<Self> {
        let first = processes.next()??;
        processes.try_fold(first, |sum, one| {
            let one = one?;
            Some(Self {
                heap_used_bytes: sum.heap_used_bytes + one.heap_used_bytes,
                heap_bytes: sum.heap_bytes + one.heap_bytes,
                gc_ns: sum.gc_ns + one.gc_ns,
                collections: sum.collections + one.collections,
            })
        })
    }
}

/// The counters' file.
struct File<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let is_ours = bytes.get(..MAGIC.len())? == MAGIC;
        is_ours.then_some(Self { bytes, is_little: *bytes.get(BYTE_ORDER_AT)? == 1 })
    }

    fn u32(&self, at: usize) -> Option<usize> {
        let word = *self.bytes.get(at..)?.first_chunk()?;
        usize::try_from(if self.is_little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }).ok()
    }

    /// The counters of 64 bits, as far as the file is what it should be.
    fn longs(&self) -> Vec<(&'a str, u64)> {
        let (mut at, mut found) = (self.u32(FIRST_ENTRY_AT).unwrap_or(0), Vec::new());
        for _ in 0..self.u32(ENTRIES_AT).unwrap_or(0).min(ENTRIES_MAX) {
            let Some(len) = self.u32(at).filter(|len| *len > 0) else { break };
            found.extend(self.long(at));
            at = at.saturating_add(len);
        }
        found
    }

    fn long(&self, entry: usize) -> Option<(&'a str, u64)> {
        let is_long = *self.bytes.get(entry.checked_add(TYPE_AT)?)? == LONG && self.u32(entry + ELEMENTS_AT)? == 0;
        let name = self.bytes.get(entry.checked_add(self.u32(entry + NAME_AT)?)?..)?;
        let name = std::str::from_utf8(name.split(|byte| *byte == 0).next()?).ok()?;
        let word = *self.bytes.get(entry.checked_add(self.u32(entry + DATA_AT)?)?..)?.first_chunk()?;
        let value = if self.is_little { i64::from_le_bytes(word) } else { i64::from_be_bytes(word) };
        is_long.then_some((name, u64::try_from(value).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these counters, as a little-endian JVM writes it.
    fn file(counters: &[(&str, i64)]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &[1, 2, 0, 1], &[0; 16], &32u32.to_le_bytes()].concat();
        bytes.extend(u32::try_from(counters.len()).unwrap().to_le_bytes());
        for (name, value) in counters {
            let (name_at, data_at) = (20, (20 + name.len() + 1).next_multiple_of(8));
            let words = [data_at + 8, name_at, 0].map(|it| u32::try_from(it).unwrap().to_le_bytes());
            let mut entry = words.concat();
            entry.extend([LONG, 0, 1, 1]);
            entry.extend(u32::try_from(data_at).unwrap().to_le_bytes());
            entry.extend(name.as_bytes());
            entry.resize(data_at, 0);
            entry.extend(value.to_le_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    #[test]
    fn jvms_of_one_cluster_are_added_up_and_one_that_is_not_known_leaves_no_sum() {
        let one = |heap_used_bytes, gc_ns| JvmUsage { heap_used_bytes, heap_bytes: 100, gc_ns, collections: 2 };
        let sum = JvmUsage::sum([Some(one(10, 5)), Some(one(20, 7))].into_iter()).unwrap();
        assert_eq!(sum, JvmUsage { heap_used_bytes: 30, heap_bytes: 200, gc_ns: 12, collections: 4 });
        assert_eq!(JvmUsage::sum([Some(one(10, 5)), None].into_iter()), None);
        assert_eq!(JvmUsage::sum(std::iter::empty()), None);
    }

    #[test]
    fn spaces_and_collectors_are_added_up_and_ticks_become_time() {
        let at = |used: i64, ticks: i64| {
            Counters::parse(&file(&[
                ("sun.os.hrt.frequency", 1_000_000),
                ("sun.gc.generation.0.space.0.used", used),
                ("sun.gc.generation.1.space.0.used", 1000),
                ("sun.gc.generation.1.space.0.capacity", 5000),
                ("sun.gc.collector.0.time", ticks),
                ("sun.gc.collector.1.time", 500),
                ("sun.gc.collector.0.invocations", ticks / 1000),
                ("java.cls.loadedClasses", 9),
            ]))
            .unwrap()
        };
        let usage = at(10, 2000).until(&at(70, 9000));
        let wanted = JvmUsage { heap_used_bytes: 1070, heap_bytes: 5000, gc_ns: 7_000_000, collections: 7 };
        assert_eq!(usage, wanted);
    }

    #[test]
    fn what_is_cut_or_no_such_file_gives_nothing_and_does_not_panic() {
        let whole = file(&[("sun.os.hrt.frequency", 1000), ("sun.gc.collector.0.time", 5)]);
        for len in 0..whole.len() {
            let _ = Counters::parse(&whole[..len]);
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0xff;
            let _ = Counters::parse(&changed);
        }
        assert_eq!(Counters::parse(b"no JVM's"), None);
        assert_eq!(Counters::read(Path::new("/"), std::process::id()), None, "we are none");
    }

    /// Against jstat, where there is a JDK: a JVM that allocates, and both looked at when it rests.
    #[test]
    fn the_counters_are_those_that_jstat_shows() {
        let mut shell = std::process::Command::new("jshell");
        shell.args(["-s", "-"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let Ok(mut child) = shell.spawn() else {
            return eprintln!("no JDK here: not compared with jstat");
        };
        let begin = std::time::Instant::now();
        let jstat = |pid: u32| {
            let output = std::process::Command::new("jstat").args(["-gc", &pid.to_string()]).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            let (head, values) = text.split_once('\n')?;
            let values = values.split_whitespace().map(|it| it.parse::<f64>().ok());
            Some(head.split_whitespace().map(str::to_owned).zip(values).collect::<std::collections::BTreeMap<_, _>>())
        };
        let found = loop {
            let before = Counters::read(Path::new("/"), child.id());
            let shown = jstat(child.id());
            let after = Counters::read(Path::new("/"), child.id());
            if let (Some(before), Some(shown), true) = (before, shown, before == after) {
                break Some((before, shown));
            }
            if begin.elapsed().as_secs() > 60 {
                break None;
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        let (counters, shown) = found.expect("a JVM that rests");
        let kib = |name: &str| shown[name].unwrap_or(0.0) * 1024.0;
        let used = kib("S0U") + kib("S1U") + kib("EU") + kib("OU");
        assert!((counters.heap_used_bytes as f64 - used).abs() < 4096.0, "{counters:?} {shown:?}");
        let gc_s = shown["GCT"].unwrap();
        assert!((counters.gc_ns as f64 / 1e9 - gc_s).abs() < 0.002, "{counters:?} {shown:?}");
    }
}
