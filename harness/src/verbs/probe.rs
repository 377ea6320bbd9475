//! `ringlog probe`: this machine, measured, as a hardware profile for `plan`, and what is off a preset.

#![allow(clippy::disallowed_methods, reason = "writes a profile: the instrument, not the broker")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use comfy_table::{Table, presets};

use super::profile::show;
use crate::out;
use crate::probe::against::{self, Beside, OFF_SHARE};
use crate::probe::{self, Probe};
use crate::session::progress::Progress;
use crate::spec::hardware::{Catalogue, Entry};

/// Measures this machine in under two minutes and writes it down as a hardware profile: what its cores, memory, disk and
/// loopback do, and what disturbed it meanwhile. Says which numbers are 15 % off a preset.
#[derive(Debug, Parser)]
#[command(name = "ringlog probe", after_help = EXIT_CODES)]
struct Options {
    /// Folder on the disk that is measured: where a broker's log would lie.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// File to write; its stem is the profile's name [default: CORESc-MEMORYg-FILESYSTEM-probe.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Profile to compare with: a built-in one's name, or a file [default: the built-in one with the nearest number of
    /// threads and memory]
    #[arg(long, value_name = "PROFILE")]
    against: Option<String>,

    /// An eighth of the time for each step: a look, not a measurement to plan with.
    #[arg(long)]
    quick: bool,

    /// Say what would be measured, how long it would take and how much room it wants; measure nothing.
    #[arg(long)]
    dry_run: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 measured and written; 1 nothing written, the reason is told; 2 wrong usage; 3 measured and written, \
but the machine was disturbed.";

/// The scale of `--quick`.
const QUICK: f64 = 0.125;
const DISTURBED: u8 = 3;

/// Its options, for shells and the man page.
pub(crate) fn command() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

/// Runs the verb with the arguments after its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let options: Options = match super::options("probe", args) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(code) => code,
        Err(words) => {
            errln!("probe: {words}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let probe = Probe { dir: options.dir.clone(), scale: if options.quick { QUICK } else { 1.0 } };
    // Everything that can be wrong is found before minutes are spent.
    let (path, name) = out_file(options)?;
    let presets =
        Catalogue::load(None).map_err(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let against = options.against.as_deref().map(|it| preset(it, &presets)).transpose()?;
    probe.check().map_err(|it| it.to_string())?;
    writable("--dir", &options.dir)?;
    if options.dry_run {
        return Ok(out::product(&dry_run(&probe, &path), ExitCode::SUCCESS));
    }
    let entry = measure(&probe, &name, &path)?;
    let nearest = against.as_ref().or_else(|| against::nearest(&entry.profile, &presets));
    tell(&entry, nearest, &path);
    let disturbed = entry.profile.probe.as_ref().map_or(&[][..], |it| &it.disturbed);
    Ok(if disturbed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DISTURBED) })
}

/// Refuses a folder in which no file can be made: minutes of measuring would end with that.
fn writable(option: &str, dir: &Path) -> Result<(), String> {
    // Tried, not asked for: access(2) tells root that a read-only bind or /proc can be written.
    let trial = dir.join(format!(".ringlog-probe-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&trial).and_then(|_| std::fs::remove_file(&trial));
    made.map_err(|error| format!("{option} {}: no file can be made there: {error}", dir.display()))
}

/// The file that is written, and the profile's name.
fn out_file(options: &Options) -> Result<(PathBuf, String), String> {
    let default = || PathBuf::from(format!("{}.toml", probe::default_name(&options.dir)));
    let out = options.out.clone().unwrap_or_else(default);
    let shown = out.display();
    if out.exists() {
        return Err(format!("{shown} is there already: name another file with --out, or move it away"));
    }
    if out.extension().is_none_or(|it| it != "toml") {
        return Err(format!("--out {shown}: a profile is a file that ends in .toml"));
    }
    let parent = out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(format!("--out {shown}: there is no folder {}", parent.display()));
    }
    writable("--out: its folder", parent)?;
    let name = out.file_stem().and_then(|it| it.to_str()).unwrap_or_default().to_owned();
    let good = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '-' | '.');
    if name.is_empty() || !name.chars().all(good) {
        return Err(format!(
            "--out {shown}: its stem is the profile's name, which has lower-case letters, digits, - and ."
        ));
    }
    Ok((out, name))
}

fn preset(name: &str, presets: &Catalogue) -> Result<Entry, String> {
    let path = Path::new(name);
    if path.extension().is_some_and(|it| it == "toml") {
        let lines = |it: Vec<crate::spec::document::Finding>| it.iter().map(ToString::to_string).collect::<Vec<_>>();
        return Entry::open(path).map_err(|it| lines(it).join("\n"));
    }
    presets.get(name).cloned().map_err(|it| format!("--against: {it}; a file ends in .toml"))
}

fn dry_run(probe: &Probe, out: &Path) -> String {
    let mut lines: Vec<String> = probe.steps().map(|(what, seconds)| format!("  {seconds:5.1} s  {what}")).collect();
    let whole: f64 = probe.steps().map(|it| it.1).sum();
    let (dir, mb) = (probe.dir.display(), probe.file_bytes() / 1_000_000);
    lines.push(format!(
        "  {whole:5.1} s  in all, on one or two cores; files of up to {mb} MB in {dir}, gone when they are closed"
    ));
    lines.push(format!("would write {}", out.display()));
    lines.join("\n")
}

/// Measures, checks what comes of it as any other profile is checked, and writes it.
fn measure(probe: &Probe, name: &str, out: &Path) -> Result<Entry, String> {
    let mut progress = Progress::new(probe.steps().count() as u64);
    let found = probe.run(|what, left_s| progress.say(&format!("{what}, about {left_s:.0} s left")));
    progress.finish();
    let text = probe::profile_text(name, probe, &found.map_err(|it| it.to_string())?).map_err(|it| it.to_string())?;
    let wrong = |error: std::io::Error| format!("{}: {error}; what was measured:\n{text}", out.display());
    let mut file = OpenOptions::new().write(true).create_new(true).open(out).map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)?;
    // Measured numbers that contradict each other are kept for whoever wants to know why, and not called a profile.
    Entry::read(&out.display().to_string(), &text).map_err(|found| {
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        format!("what was measured contradicts itself, run it again when the machine is quiet:\n{}", lines.join("\n"))
    })
}

fn tell(entry: &Entry, against: Option<&Entry>, out: &Path) {
    match against {
        Some(preset) => outln!("{}", beside(entry, preset)),
        None => outln!("there is no preset to compare with"),
    }
    if let Some(account) = &entry.profile.probe {
        let percent = |it: Option<f64>| it.map_or("unknown".to_owned(), |it| format!("{:.1} %", it * 100.0));
        outln!(
            "measured in {:.0} s; of a core the hypervisor took {}, others {}; a task waited for a core in {} of the time, for \
             a disk in {}",
            account.seconds,
            percent(Some(account.steal_share)),
            percent(account.others_share),
            percent(account.cpu_pressure_share),
            percent(account.io_pressure_share)
        );
        for line in &account.disturbed {
            outln!("disturbed: {line}");
        }
    }
    let out = out.display();
    outln!("written to {out}; `ringlog profile add {out}` puts it among the profiles that `ringlog plan` works with");
}

/// Every number here, quantiles together, with the preset's where it has one, and a mark where they are far apart.
fn beside(entry: &Entry, preset: &Entry) -> String {
    let both = against::beside(&entry.profile, &preset.profile);
    let there = preset.profile.name.as_str();
    let others = show::values(&preset.profile);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["number", "here", there, "here / there"]);
    for (field, here) in show::values(&entry.profile) {
        let quantile = format!("{field}.");
        let pairs: Vec<&Beside> =
            both.iter().filter(|it| it.field == field || it.field.starts_with(&quantile)).collect();
        let other = others.iter().find(|it| it.0 == field).zip(pairs.first());
        let value = other.map_or(String::new(), |(it, first)| format!("{} ({})", it.1, first.quality));
        table.add_row([field, here, value, pairs.iter().map(|it| ratio(it)).collect::<Vec<_>>().join(", ")]);
    }
    format!("{table}\n{}", off(&both, there))
}

/// How far two are apart; marked where that is far.
fn ratio(pair: &Beside) -> String {
    let mark = if pair.is_off() { " !" } else { "" };
    format!("x {:.2}{mark}", pair.ratio())
}

fn off(both: &[Beside], there: &str) -> String {
    let names: Vec<&str> = both.iter().filter(|it| it.is_off()).map(|it| it.field.as_str()).collect();
    let percent = OFF_SHARE * 100.0;
    if names.is_empty() {
        return format!("none of {} numbers is {percent:.0} % off {there}", both.len());
    }
    format!("{} of {} numbers are {percent:.0} % or more off {there}: {}", names.len(), both.len(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_line(line: &str) -> Result<ExitCode, String> {
        let argv = std::iter::once("probe").chain(line.split_whitespace());
        run(&Options::try_parse_from(argv).unwrap())
    }

    #[test]
    fn what_is_wrong_is_told_before_anything_is_measured() {
        let dir = crate::results::tests::scratch("probe-refused");
        let file = dir.join("here.toml");
        std::fs::write(&file, "kept").unwrap();
        for (line, expected) in [
            (format!("--out {}", file.display()), "here.toml is there already: name another file"),
            ("--out mine.json".to_owned(), "ends in .toml"),
            (format!("--out {}/no/mine.toml", dir.display()), "there is no folder"),
            (format!("--out {}/My_Machine.toml", dir.display()), "lower-case letters"),
            ("--out x.toml --against 2c-24g-ext".to_owned(), "the nearest is 2c-24g-ext4"),
            ("--out x.toml --against nowhere.toml".to_owned(), "nowhere.toml: No such file"),
            ("--out x.toml --dir /nowhere".to_owned(), "--dir /nowhere: there is no such folder"),
        ] {
            let words = run_line(&line).unwrap_err();
            assert!(words.contains(expected), "{line}: {words}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_folder_in_which_nothing_can_be_written_is_refused_before_and_in_a_dry_run() {
        // Nobody can make a file in /proc, root included.
        for line in ["--dry-run --out /proc/mine.toml", "--out /proc/self/mine.toml"] {
            let words = run_line(line).unwrap_err();
            assert!(
                words.contains("--out: its folder /proc") && words.contains("no file can be made there"),
                "{words}"
            );
        }
    }

    #[test]
    fn a_dry_run_names_every_step_with_its_time_and_the_room_it_wants() {
        let words = dry_run(&Probe { dir: "/data".into(), scale: 1.0 }, Path::new("mine.toml"));
        for expected in
            ["2.0 s  CRC32C", "18.0 s  fdatasync of 2 to 64 files", "2147 MB in /data", "would write mine.toml"]
        {
            assert!(words.contains(expected), "{expected}: {words}");
        }
    }

    #[test]
    fn numbers_that_are_off_are_named_with_how_far() {
        let all = Catalogue::load(None).unwrap();
        let preset = all.get("2c-24g-ext4").unwrap();
        let mut here = preset.clone();
        here.profile.disk[0].seq_read_mb_s = 550.0;
        let words = beside(&here, preset);
        assert!(words.contains("x 0.50 !") && words.contains("1100 (measured)"), "{words}");
        assert!(words.ends_with("are 15 % or more off 2c-24g-ext4: disk.0.seq_read_mb_s"), "{words}");
    }
}
