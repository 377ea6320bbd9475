//! What the double's disk holds: for every file and folder, what the system shows and what a power cut would leave.
//!
//! ```text
//!   file     live bytes ---- sync ----> durable bytes          dirty = the range in which they may differ
//!   folder   live entries -- sync_dir -> durable entries       changes wait in one journal, in their order
//! ```
//!
//! A power cut decides by the seed, sector by sector, which dirty bytes reached the disk, and how many of the waiting
//! folder changes did: none of them, or the first few in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Component, Path};

use super::dice::Dice;

/// The unit that a disk writes whole.
const SECTOR_BYTES: usize = 512;
/// The number of the root folder.
const ROOT: u64 = 0;

/// One file's bytes.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    /// Where the two may differ because of writes since the last sync. Bytes outside that differ are lost already.
    dirty: Option<Range<usize>>,
    /// Syncs under way: what they took, as it was when they began.
    syncing: Vec<Syncing>,
}

/// A sync under way.
#[derive(Debug)]
struct Syncing {
    ticket: u64,
    start: usize,
    bytes: Vec<u8>,
    /// The file's length when it began.
    len: usize,
}

impl Bytes {
    fn touch(&mut self, range: Range<usize>) {
        self.dirty = Some(match self.dirty.take() {
            Some(dirty) => dirty.start.min(range.start)..dirty.end.max(range.end),
            None => range,
        });
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let begin = offset.min(self.live.len());
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.touch(begin..end);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        let range = len.min(self.live.len())..len.max(self.live.len());
        self.live.resize(len, 0);
        self.touch(range);
    }

    /// Everything written so far reaches the disk.
    pub(super) fn sync(&mut self) {
        self.sync_begin(0);
        self.sync_end(0);
    }

    /// A sync begins: it covers what is written so far, and nothing that comes while it runs. What another one has under way
    /// it waits for: a process that was killed may never hear of that one's end.
    pub(super) fn sync_begin(&mut self, ticket: u64) {
        for under_way in self.syncing.iter().map(|one| one.start..one.start + one.bytes.len()).collect::<Vec<_>>() {
            self.touch(under_way);
        }
        let Some(dirty) = self.dirty.take() else { return };
        let range = dirty.start.min(self.live.len())..dirty.end.min(self.live.len());
        let bytes = self.live[range.clone()].to_vec();
        self.syncing.push(Syncing { ticket, start: range.start, bytes, len: self.live.len() });
    }

    /// A sync ended well. Those that began before it are covered, and take nothing back when they end.
    pub(super) fn sync_end(&mut self, ticket: u64) {
        let Some(place) = self.syncing.iter().position(|one| one.ticket == ticket) else { return };
        let Some(done) = self.syncing.drain(..=place).next_back() else { return };
        self.durable.resize(done.len, 0);
        self.durable[done.start..done.start + done.bytes.len()].copy_from_slice(&done.bytes);
    }

    /// A sync failed: the kernel has marked the pages clean, so that no later sync writes them.
    pub(super) fn sync_failed(&mut self, ticket: u64) {
        self.syncing.retain(|one| one.ticket != ticket);
    }

    fn crash(&mut self, dice: &mut Dice) {
        for one in std::mem::take(&mut self.syncing) {
            self.touch(one.start..one.len.max(one.start + one.bytes.len()));
        }
        if let Some(dirty) = self.dirty.take() {
            match dice.below(4) {
                0 => {}
                1 => {
                    self.dirty = Some(dirty);
                    self.sync();
                }
                _ => self.tear(&dirty, dice),
            }
        }
        self.live = self.durable.clone();
    }

    /// Some dirty sectors reached the disk; the length may have or not, or the length of something in between.
    fn tear(&mut self, dirty: &Range<usize>, dice: &mut Dice) {
        let (short, long) = (self.durable.len().min(self.live.len()), self.durable.len().max(self.live.len()));
        let len = match dice.below(3) {
            0 => self.durable.len(),
            1 => self.live.len(),
            _ => short + dice.below(long - short + 1),
        };
        self.durable.resize(len, 0);
        let first = dirty.start / SECTOR_BYTES * SECTOR_BYTES;
        for start in (first..dirty.end.min(len).min(self.live.len())).step_by(SECTOR_BYTES) {
            let end = (start + SECTOR_BYTES).min(len).min(self.live.len());
            if dice.below(2) == 0 {
                self.durable[start..end].copy_from_slice(&self.live[start..end]);
            }
        }
    }
}

/// A file or a folder.
#[derive(Debug)]
pub(super) enum Node {
    File(Bytes),
    Dir { live: BTreeMap<String, u64>, durable: BTreeMap<String, u64> },
}

impl Node {
    fn dir() -> Self {
        Node::Dir { live: BTreeMap::new(), durable: BTreeMap::new() }
    }
}

/// A change of folders: entries taken away and put in, at once.
#[derive(Clone, Debug)]
struct Change {
    removed: Option<(u64, String)>,
    added: Option<(u64, String, u64)>,
}

impl Change {
    fn touches(&self, dir: u64) -> bool {
        self.removed.as_ref().is_some_and(|it| it.0 == dir) || self.added.as_ref().is_some_and(|it| it.0 == dir)
    }
}

/// All files and folders.
#[derive(Debug)]
pub(super) struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    journal: Vec<Change>,
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// The names of a path from the root on.
fn names(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str().ok_or_else(|| errno(libc::EILSEQ))?),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(errno(libc::EINVAL)),
        }
    }
    Ok(names)
}

impl Disk {
    pub(super) fn new() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::dir())]), next: ROOT + 1, journal: Vec::new() }
    }

    fn add(&mut self, node: Node) -> u64 {
        self.next += 1;
        self.nodes.insert(self.next, node);
        self.next
    }

    pub(super) fn entries(&self, dir: u64) -> io::Result<&BTreeMap<String, u64>> {
        match self.nodes.get(&dir) {
            Some(Node::Dir { live, .. }) => Ok(live),
            _ => Err(errno(libc::ENOTDIR)),
        }
    }

    pub(super) fn is_dir(&self, id: u64) -> bool {
        matches!(self.nodes.get(&id), Some(Node::Dir { .. }))
    }

    /// The node that a path names.
    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        names(path)?
            .into_iter()
            .try_fold(ROOT, |dir, name| self.entries(dir)?.get(name).copied().ok_or_else(|| errno(libc::ENOENT)))
    }

    /// The folder of a path and its last name.
    fn place(&self, path: &Path) -> io::Result<(u64, String)> {
        let names = names(path)?;
        let (last, parents) = names.split_last().ok_or_else(|| errno(libc::EISDIR))?;
        let dir = parents
            .iter()
            .try_fold(ROOT, |dir, name| self.entries(dir)?.get(*name).copied().ok_or_else(|| errno(libc::ENOENT)))?;
        self.entries(dir)?;
        Ok((dir, (*last).to_owned()))
    }

    pub(super) fn file(&mut self, id: u64) -> io::Result<&mut Bytes> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(bytes)) => Ok(bytes),
            Some(Node::Dir { .. }) => Err(errno(libc::EISDIR)),
            None => Err(errno(libc::EBADF)),
        }
    }

    /// Shows a change at once and puts it into the journal.
    fn change(&mut self, change: Change) {
        apply(&mut self.nodes, &change, |node| match node {
            Node::Dir { live, .. } => Some(live),
            Node::File(_) => None,
        });
        self.journal.push(change);
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<u64> {
        let (dir, name) = self.place(path)?;
        let id = self.add(Node::File(Bytes::default()));
        self.change(Change { removed: None, added: Some((dir, name, id)) });
        Ok(id)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names(path)? {
            dir = match self.entries(dir)?.get(name) {
                Some(&id) => id,
                None => {
                    let id = self.add(Node::dir());
                    self.change(Change { removed: None, added: Some((dir, name.to_owned(), id)) });
                    id
                }
            };
        }
        if self.is_dir(dir) { Ok(()) } else { Err(errno(libc::EEXIST)) }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_path, to_path) = (from, to);
        let (from, to) = (self.place(from)?, self.place(to)?);
        let id = *self.entries(from.0)?.get(&from.1).ok_or_else(|| errno(libc::ENOENT))?;
        if from == to {
            return Ok(());
        }
        if to_path.starts_with(from_path) {
            return Err(errno(libc::EINVAL));
        }
        if from_path.starts_with(to_path) {
            return Err(errno(libc::ENOTEMPTY));
        }
        if let Some(&there) = self.entries(to.0)?.get(&to.1) {
            match (self.is_dir(id), self.is_dir(there)) {
                (false, true) => return Err(errno(libc::EISDIR)),
                (true, false) => return Err(errno(libc::ENOTDIR)),
                (true, true) if !self.entries(there)?.is_empty() => return Err(errno(libc::ENOTEMPTY)),
                _ => {}
            }
        }
        self.change(Change { removed: Some(from), added: Some((to.0, to.1, id)) });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        if self.is_dir(self.find(path)?) {
            return Err(errno(libc::EISDIR));
        }
        let place = self.place(path)?;
        self.change(Change { removed: Some(place), added: None });
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        let inside: Vec<(String, u64)> = self.entries(id)?.iter().map(|(name, id)| (name.clone(), *id)).collect();
        for (name, child) in inside {
            let child_path = path.join(name);
            if self.is_dir(child) { self.remove_dir_all(&child_path)? } else { self.remove_file(&child_path)? }
        }
        let place = self.place(path)?;
        self.change(Change { removed: Some(place), added: None });
        Ok(())
    }

    /// Makes a folder's entries durable: all changes that touch it.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.find(path)?;
        self.entries(dir)?;
        let (now, later): (Vec<Change>, Vec<Change>) = self.journal.drain(..).partition(|change| change.touches(dir));
        self.journal = later;
        now.iter().for_each(|change| self.make_durable(change));
        Ok(())
    }

    /// Everything reaches the disk.
    pub(super) fn sync_all(&mut self) {
        for change in std::mem::take(&mut self.journal) {
            self.make_durable(&change);
        }
        for node in self.nodes.values_mut() {
            if let Node::File(bytes) = node {
                bytes.sync();
            }
        }
    }

    fn make_durable(&mut self, change: &Change) {
        apply(&mut self.nodes, change, |node| match node {
            Node::Dir { durable, .. } => Some(durable),
            Node::File(_) => None,
        });
    }

    /// The power goes: what is left is what the disk has.
    pub(super) fn crash(&mut self, dice: &mut Dice) {
        let journal = std::mem::take(&mut self.journal);
        let kept = if dice.below(2) == 0 { 0 } else { dice.below(journal.len() + 1) };
        journal[..kept].iter().for_each(|change| self.make_durable(change));
        for node in self.nodes.values_mut() {
            match node {
                Node::File(bytes) => bytes.crash(dice),
                Node::Dir { live, durable } => live.clone_from(durable),
            }
        }
        self.forget_unreachable();
    }

    fn forget_unreachable(&mut self) {
        let (mut reached, mut todo) = (BTreeSet::new(), vec![ROOT]);
        while let Some(id) = todo.pop() {
            if reached.insert(id)
                && let Some(Node::Dir { live, .. }) = self.nodes.get(&id)
            {
                todo.extend(live.values());
            }
        }
        self.nodes.retain(|id, _| reached.contains(id));
    }
}

/// Takes an entry away and puts one in, in the maps that `side` chooses.
fn apply(
    nodes: &mut BTreeMap<u64, Node>,
    change: &Change,
    side: impl Fn(&mut Node) -> Option<&mut BTreeMap<String, u64>>,
) {
    if let Some((dir, name)) = &change.removed
        && let Some(entries) = nodes.get_mut(dir).and_then(&side)
    {
        entries.remove(name);
    }
    if let Some((dir, name, id)) = &change.added
        && let Some(entries) = nodes.get_mut(dir).and_then(&side)
    {
        entries.insert(name.clone(), *id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &mut Bytes, offset: usize, text: &str) {
        bytes.write(offset, text.as_bytes());
    }

    #[test]
    fn a_sync_covers_what_another_one_had_under_way() {
        let mut bytes = Bytes::default();
        written(&mut bytes, 0, "first");
        bytes.sync_begin(1);
        written(&mut bytes, 5, "second");
        bytes.sync();
        assert_eq!(bytes.durable, b"firstsecond");
    }

    #[test]
    fn a_sync_that_ends_after_a_later_one_takes_nothing_back() {
        let mut bytes = Bytes::default();
        written(&mut bytes, 0, "first");
        bytes.sync_begin(1);
        written(&mut bytes, 3, "second");
        bytes.sync();
        bytes.sync_end(1);
        assert_eq!(bytes.durable, b"firsecond");
    }

    #[test]
    fn a_sync_does_not_cover_what_comes_while_it_runs() {
        let mut bytes = Bytes::default();
        written(&mut bytes, 0, "first");
        bytes.sync_begin(1);
        written(&mut bytes, 5, "second");
        bytes.sync_end(1);
        assert_eq!(bytes.durable, b"first");
    }
}
