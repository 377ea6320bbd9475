//! The sweeps that are built in.

use std::fmt::Write as _;

use super::{Sweep, omb};
use crate::spec::document::Finding;

/// Every preset: its name and its file.
const BUILT_IN: [(&str, &str); 13] = [
    ("course", include_str!("../../../../profiles/sweeps/course.toml")),
    ("kafka-benchmark", include_str!("../../../../profiles/sweeps/kafka-benchmark.toml")),
    ("three-machines", include_str!("../../../../profiles/sweeps/three-machines.toml")),
    ("logs", include_str!("../../../../profiles/sweeps/logs.toml")),
    ("peak", include_str!("../../../../profiles/sweeps/peak.toml")),
    ("versus", include_str!("../../../../profiles/sweeps/versus.toml")),
    ("versus-cold", include_str!("../../../../profiles/sweeps/versus-cold.toml")),
    ("fan-out", include_str!("../../../../profiles/sweeps/fan-out.toml")),
    ("catch-up", include_str!("../../../../profiles/sweeps/catch-up.toml")),
    ("omb", include_str!("../../../../profiles/sweeps/omb.yaml")),
    ("batching", include_str!("../../../../profiles/sweeps/batching.toml")),
    ("costs", include_str!("../../../../profiles/sweeps/costs.toml")),
    ("costs-unseen", include_str!("../../../../profiles/sweeps/costs-unseen.toml")),
];

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|it| it.0)
}

/// The file of a preset.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|it| it.0 == name).map(|it| it.1)
}

/// A preset as a sweep; `None` where there is none of this name.
#[must_use]
pub fn read(name: &str, seed: u64) -> Option<Result<Sweep, Finding>> {
    let (text, origin) = (text(name)?, format!("preset {name}"));
    Some(if name == "omb" { omb::read(&origin, text, seed) } else { Sweep::read(&origin, text, seed) })
}

/// What each one is, in a line, with the number of its cells.
#[must_use]
pub fn list() -> String {
    let mut lines = String::new();
    for name in names() {
        // A test reads every one.
        let Some(Ok(sweep)) = read(name, 1) else { continue };
        let _ =
            writeln!(lines, "{name:<16} {} ({} cells in {} parts)", sweep.what, sweep.cells.len(), sweep.parts().len());
    }
    lines.push_str(
        "\n`ringlog sweep PRESET --dry-run` says what it does and how long; `--show PRESET` prints its file.",
    );
    lines
}
