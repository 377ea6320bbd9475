//! The profiles that there are: those built into the program, and those of a folder, which take the place of ones of the same name.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::{Profile, check};
use crate::spec::document::{Document, Finding, nearest};

/// profiles/hardware, as it was when the program was built.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../profiles/hardware");

/// By how much memory for each thread may differ within a family: sizes are rounded.
const FAMILY_MEMORY_ROOM: f64 = 0.02;

/// A profile with its text.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The profile.
    pub profile: Profile,
    /// The file it is in, or would be in.
    pub origin: String,
    /// Its text.
    pub text: String,
    /// Whether it is in the program.
    pub is_built_in: bool,
}

/// Profiles by name.
#[derive(Clone, Debug)]
pub struct Catalogue {
    entries: Vec<Entry>,
}

impl Entry {
    /// Reads and checks a text.
    pub fn read(origin: &str, text: &str) -> Result<Self, Vec<Finding>> {
        let document = Document::parse(origin, text).map_err(|it| vec![it])?;
        let profile: Profile = document.read().map_err(|it| vec![it])?;
        let mut found = check::check(&document, &profile);
        let stem = Path::new(origin).file_stem().and_then(|it| it.to_str()).unwrap_or_default();
        if stem != profile.name {
            found.push(document.finding("name", format!("name is {:?}, the file is {stem:?}.toml", profile.name)));
        }
        if found.is_empty() {
            Ok(Self { profile, origin: origin.to_owned(), text: text.to_owned(), is_built_in: false })
        } else {
            Err(found)
        }
    }

    /// Reads and checks a file.
    pub fn open(path: &Path) -> Result<Self, Vec<Finding>> {
        let origin = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(&origin, &text),
            Err(error) => Err(vec![Finding { origin, line: 0, words: error.to_string() }]),
        }
    }
}

impl Catalogue {
    /// The built-in profiles; those of `dir` beside them, or in place of those of the same name.
    pub fn load(dir: Option<&Path>) -> Result<Self, Vec<Finding>> {
        let mut read = Vec::new();
        for file in BUILT_IN.files().filter(|it| it.path().extension().is_some_and(|it| it == "toml")) {
            let origin = format!("profiles/hardware/{}", file.path().display());
            let entry = Entry::read(&origin, file.contents_utf8().unwrap_or_default());
            read.push(entry.map(|it| Entry { is_built_in: true, ..it }));
        }
        let files = dir.map_or(Ok(Vec::new()), toml_files)?;
        read.extend(files.iter().map(|it| Entry::open(it)));
        let mut found = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        for one in read {
            match one {
                Ok(entry) => {
                    entries.retain(|it| it.profile.name != entry.profile.name);
                    entries.push(entry);
                }
                Err(these) => found.extend(these),
            }
        }
        entries.sort_by(|a, b| a.profile.name.cmp(&b.profile.name));
        found.extend(families(&entries));
        if found.is_empty() { Ok(Self { entries }) } else { Err(found) }
    }

    /// What is wrong with an entry beside those that are here and keep their place: what a family has in common.
    #[must_use]
    pub fn beside(&self, entry: &Entry) -> Vec<Finding> {
        let others = self.entries.iter().filter(|it| it.profile.name != entry.profile.name);
        let pairs = others.map(|it| families(&[it.clone(), entry.clone()]));
        pairs.flatten().collect()
    }

    /// All of them, by name.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One by its name.
    pub fn get(&self, name: &str) -> Result<&Entry, String> {
        self.entries.iter().find(|it| it.profile.name == name).ok_or_else(|| self.unknown(name))
    }

    /// Those that patterns such as `aws-*` name, each once; all of them without a pattern.
    pub fn select(&self, patterns: &[String]) -> Result<Vec<&Entry>, String> {
        if patterns.is_empty() {
            return Ok(self.entries.iter().collect());
        }
        if let Some(none) =
            patterns.iter().find(|it| !self.entries.iter().any(|entry| matches(it, &entry.profile.name)))
        {
            return Err(self.unknown(none));
        }
        let wanted = |entry: &&Entry| patterns.iter().any(|it| matches(it, &entry.profile.name));
        Ok(self.entries.iter().filter(wanted).collect())
    }

    fn unknown(&self, name: &str) -> String {
        let hint = nearest(name, self.entries.iter().map(|it| it.profile.name.as_str()));
        let hint = hint.map(|it| format!("; the nearest is {it}")).unwrap_or_default();
        format!("there is no hardware profile {name:?}{hint}; `ringlog profile list` shows all")
    }
}

/// The TOML files of a folder, by name.
pub fn toml_files(dir: &Path) -> Result<Vec<PathBuf>, Vec<Finding>> {
    let wrong =
        |error: std::io::Error| vec![Finding { origin: dir.display().to_string(), line: 0, words: error.to_string() }];
    let mut files = Vec::new();
    for file in std::fs::read_dir(dir).map_err(wrong)? {
        let path = file.map_err(wrong)?.path();
        if path.extension().is_some_and(|it| it == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What machines of one family have in common.
fn families(entries: &[Entry]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, one) in entries.iter().enumerate() {
        let Some(family) = &one.profile.family else { continue };
        for other in entries[at + 1..].iter().filter(|it| it.profile.family.as_ref() == Some(family)) {
            let (small, large) =
                if one.profile.cpu.threads <= other.profile.cpu.threads { (one, other) } else { (other, one) };
            found.extend(family_pair(family, small, large));
        }
    }
    found
}

fn family_pair(family: &str, small: &Entry, large: &Entry) -> Vec<Finding> {
    let mut found = Vec::new();
    // A built-in one has been checked: what is new is to be looked at.
    let blamed = if large.is_built_in && !small.is_built_in { small } else { large };
    let mut add = |words: String| found.push(Finding { origin: blamed.origin.clone(), line: 0, words });
    let names = format!("{} and {} of family {family}", small.profile.name, large.profile.name);
    let memory = |it: &Entry| it.profile.memory.gib / f64::from(it.profile.cpu.threads);
    if (memory(small) / memory(large) - 1.0).abs() > FAMILY_MEMORY_ROOM {
        add(format!("{names} have {:.2} and {:.2} GiB for each thread", memory(small), memory(large)));
    }
    if let (Some(less), Some(more)) = (&small.profile.nic, &large.profile.nic)
        && less.baseline_gbps > more.baseline_gbps
    {
        add(format!("{names}: the smaller has {} Gb/s, the larger {}", less.baseline_gbps, more.baseline_gbps));
    }
    found
}

/// A name and a pattern in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, rest)) => name.strip_prefix(begin).is_some_and(|tail| {
            (0..=tail.len()).any(|skip| tail.is_char_boundary(skip) && matches(rest, &tail[skip..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_profiles() {
        for (pattern, name, expected) in [
            ("aws-*", "aws-m5-large", true),
            ("*gp3*", "aws-m5-gp3-1", true),
            ("aws", "aws-m5", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn every_built_in_profile_passes_the_check_and_there_are_some_twenty_five() {
        match Catalogue::load(None) {
            Ok(all) => assert!(all.entries().len() >= 25, "{}", all.entries().len()),
            Err(found) => panic!("{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    #[test]
    fn a_profile_in_a_folder_takes_the_place_of_a_built_in_one_and_a_name_that_is_not_there_gets_the_nearest() {
        let dir = crate::results::tests::scratch("hardware-catalogue");
        let all = Catalogue::load(None).unwrap();
        let text = all.get("2c-24g-ext4").unwrap().text.replace("gib = 23.5", "gib = 47.0");
        std::fs::write(dir.join("2c-24g-ext4.toml"), text).unwrap();
        let with = Catalogue::load(Some(&dir)).unwrap();
        assert_eq!(with.entries().len(), all.entries().len());
        assert_eq!(with.get("2c-24g-ext4").unwrap().profile.memory.gib, 47.0);
        let words = with.get("2c-24-ext4").unwrap_err();
        assert!(words.contains("the nearest is 2c-24g-ext4"), "{words}");
        assert!(with.select(&["nothing-*".to_owned()]).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
