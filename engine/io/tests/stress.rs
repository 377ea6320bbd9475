//! Random walks: operations in any order and mixture end in exactly one event each, and the in-memory files behave as
//! the operating system's do.

#![allow(clippy::disallowed_methods, dead_code, clippy::unwrap_used)]

mod rig;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;
use std::time::Duration;

use rig::{Rig, TestDir, noise, on_each_with};
use ringlog_io::sim::SimFiles;
use ringlog_io::{DriverOptions, Event, File, Files, OpenMode, OsFiles, Slice, Socket, errno};

/// Random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// An open end and what is under way on it.
#[derive(Default)]
struct End {
    receiving: bool,
    sending: bool,
    waiting: bool,
}

/// What one random walk knows.
#[derive(Default)]
struct Walk {
    ends: BTreeMap<usize, (Socket, End)>,
    /// Token -> the end it is for and what it is.
    under_way: BTreeMap<u64, (usize, char)>,
    next_token: u64,
}

impl Walk {
    fn token(&mut self, end: usize, what: char) -> u64 {
        self.next_token += 1;
        self.under_way.insert(self.next_token, (end, what));
        self.next_token
    }

    fn step(&mut self, rig: &mut Rig, dice: &mut Dice) {
        let Some((&number, _)) = self.ends.iter().nth(dice.below(self.ends.len().max(1) as u64) as usize) else {
            return;
        };
        let (socket, state) = &mut self.ends.get_mut(&number).unwrap();
        let socket = *socket;
        match dice.below(20) {
            0..=5 if !state.receiving => {
                state.receiving = true;
                let token = self.token(number, 'r');
                rig.driver.recv(socket, token);
            }
            6..=9 if !state.receiving => {
                state.receiving = true;
                let len = 1 + dice.below(100_000) as usize;
                let room = rig.driver.buffer(len);
                let token = self.token(number, 'f');
                rig.driver.recv_exact(socket, room, len, token);
            }
            10..=15 if !state.sending => {
                state.sending = true;
                let parts = (0..dice.below(5)).map(|_| Slice::from(vec![1; dice.below(200_000) as usize])).collect();
                let token = self.token(number, 's');
                if dice.below(2) == 0 {
                    rig.driver.send(socket, parts, token);
                } else if rig.driver.send_now(socket, parts, token).is_some() {
                    self.under_way.remove(&token);
                    self.ends.get_mut(&number).unwrap().1.sending = false;
                }
            }
            16..=18 if !state.waiting => {
                state.waiting = true;
                let token = self.token(number, 'w');
                rig.driver.writable(socket, token);
            }
            19 => self.close(rig, number),
            _ => {}
        }
    }

    fn close(&mut self, rig: &mut Rig, number: usize) {
        if let Some((socket, _)) = self.ends.remove(&number) {
            rig.driver.close(socket);
        }
    }

    fn take(&mut self, event: &Event) {
        let (token, what) = match event {
            Event::Received { token, .. } => (*token, 'r'),
            Event::Filled { token, .. } => (*token, 'f'),
            Event::Sent { token, .. } => (*token, 's'),
            Event::Writable { token, .. } => (*token, 'w'),
            other => panic!("{other:?}"),
        };
        let (end, expected) = self.under_way.remove(&token).expect("an operation that is under way, once");
        assert_eq!(what, expected);
        if let Some((_, state)) = self.ends.get_mut(&end) {
            match what {
                's' => state.sending = false,
                'w' => state.waiting = false,
                _ => state.receiving = false,
            }
        }
    }
}

#[test]
fn whatever_the_order_every_operation_ends_in_one_event() {
    let options =
        DriverOptions { queue_entries: 16, receive_buffers: 4, receive_buffer_bytes: 8192, ..DriverOptions::default() };
    for seed in 0..15 {
        on_each_with(&options, |rig| {
            let mut dice = Dice(seed);
            let mut walk = Walk::default();
            for number in 0..10 {
                let (near, far) = rig.pair();
                walk.ends.insert(2 * number, (near, End::default()));
                walk.ends.insert(2 * number + 1, (far, End::default()));
            }
            for _ in 0..400 {
                walk.step(rig, &mut dice);
                if dice.below(4) == 0 {
                    rig.turn(Duration::ZERO);
                    for event in std::mem::take(&mut rig.events) {
                        walk.take(&event);
                    }
                }
            }
            while let Some((&number, _)) = walk.ends.first_key_value() {
                walk.close(rig, number);
            }
            for _ in 0..200 {
                if walk.under_way.is_empty() {
                    break;
                }
                rig.turn(Duration::from_millis(50));
                for event in std::mem::take(&mut rig.events) {
                    walk.take(&event);
                }
            }
            assert!(walk.under_way.is_empty(), "seed {seed}: no event for {:?}", walk.under_way);
            rig.turn(Duration::from_millis(1));
            assert!(rig.events.is_empty(), "seed {seed}: {:?}", rig.events);
        });
    }
}

/// A result as far as both kinds of files must agree.
fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("errno {:?}", errno(&error)),
    }
}

/// Both kinds of files, side by side.
struct Pair<'a> {
    files: [(&'a dyn Files, &'a Path, Option<File>); 2],
}

impl Pair<'_> {
    /// The same call on both gives the same.
    fn same<T: std::fmt::Debug>(
        &mut self,
        what: &str,
        call: impl Fn(&dyn Files, &Path, &mut Option<File>) -> io::Result<T>,
    ) {
        let told: Vec<String> = self.files.iter_mut().map(|(files, dir, open)| told(call(*files, dir, open))).collect();
        assert_eq!(told[0], told[1], "{what}");
    }
}

#[test]
fn the_double_answers_as_the_operating_system_does() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let dir = TestDir::new();
        let (os, sim) = (OsFiles::new(), SimFiles::new(seed));
        sim.create_dir_all(Path::new("/sim")).expect("folder");
        let mut pair = Pair { files: [(&os, dir.path(), None), (&*sim, Path::new("/sim"), None)] };
        for step in 0..150 {
            let mut name = || ["a", "b", "d", "d/e", "d/e/f", "x/y"][dice.below(6) as usize];
            let (one, two) = (name(), name());
            let (number, kind) = (dice.below(5000), dice.below(16));
            let what = format!("seed {seed}, step {step}: kind {kind}, {one}, {two}, {number}");
            match kind {
                0..=2 => {
                    let mode = [OpenMode::Read, OpenMode::Write, OpenMode::Create, OpenMode::CreateNew];
                    let mode = mode[dice.below(4) as usize];
                    // A folder opened for reading is a file to the one and an error to the other: not asked for.
                    pair.same(&what, |files, dir, open| {
                        if files.list(&dir.join(one)).is_ok() {
                            return Ok(());
                        }
                        files.open(&dir.join(one), mode).map(|file| *open = Some(file))
                    });
                }
                3..=5 => {
                    let bytes = noise(1 + dice.below(3000) as usize, seed);
                    pair.same(&what, |files, _, open| match open {
                        Some(file) => files.write_all_at(file, &[IoSlice::new(&bytes), IoSlice::new(b"+")], number),
                        None => Ok(()),
                    });
                }
                6 => pair
                    .same(&what, |files, _, open| open.as_ref().map(|file| files.truncate(file, number)).transpose()),
                7 => pair.same(&what, |files, _, open| open.as_ref().map(|file| files.len(file)).transpose()),
                8 => pair.same(&what, |files, _, open| {
                    let mut bytes = vec![0; 2000];
                    open.as_ref()
                        .map(|file| files.read_at(file, &mut bytes, number))
                        .transpose()
                        .map(|got| (got, bytes))
                }),
                9 => pair.same(&what, |files, dir, _| files.create_dir_all(&dir.join(one))),
                10 => pair.same(&what, |files, dir, _| files.rename(&dir.join(one), &dir.join(two))),
                11 => pair.same(&what, |files, dir, _| files.remove_file(&dir.join(one))),
                12 => pair.same(&what, |files, dir, _| {
                    // Removing a file as a folder differs between systems; only folders are asked for.
                    if files.list(&dir.join(one)).is_ok() { files.remove_dir_all(&dir.join(one)) } else { Ok(()) }
                }),
                13 => pair.same(&what, |files, dir, _| {
                    let mut entries = files.list(&dir.join(one))?;
                    entries.sort_by(|a, b| a.name.cmp(&b.name));
                    Ok(entries)
                }),
                14 => pair.same(&what, |files, dir, _| files.replace(&dir.join(one), b"replaced")),
                _ => pair.same(&what, |files, dir, _| {
                    Ok((files.exists(&dir.join(one)), files.read(&dir.join(two)).map_err(|error| errno(&error))))
                }),
            }
        }
    }
}
