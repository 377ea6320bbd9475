//! From `--emulate` to the machine that a session's brokers get.

use std::path::Path;

use super::error::SessionError;
use super::options::PlaceOptions;
use crate::emulate::{AsHad, Asked, Emulation, Had, Host, Means};
use crate::host::HostFacts;
use crate::target::Target;

/// The machine that is asked for, where one is: no better than this one, and for brokers that can be limited.
pub(super) fn asked(place: &PlaceOptions, targets: &[Target]) -> Result<Option<Asked>, SessionError> {
    let Some(asked) = place.emulate.as_deref().map(Asked::parse).transpose()?.flatten() else { return Ok(None) };
    let host = Host::read(&HostFacts::read(Path::new("/")), place.emulate_host.as_deref())?;
    asked.check(&host, targets)?;
    Ok(Some(asked))
}

/// The machine, from now on. What it takes is said before: some seconds go into measuring what the limits leave.
pub(super) fn begin(asked: Option<&Asked>, dir: &Path) -> Result<Option<Emulation>, SessionError> {
    let Some(asked) = asked else { return Ok(None) };
    errln!("emulating {}: measuring what the limits leave", asked.words);
    Ok(Some(Emulation::begin(asked, dir)?))
}

/// What `--dry-run` says of it; `None` where nothing is emulated. What would be refused is refused.
pub(crate) fn would(place: &PlaceOptions, targets: &[Target]) -> Result<Option<String>, SessionError> {
    let Some(asked) = asked(place, targets)? else { return Ok(None) };
    let dir = std::path::absolute(&place.dir).unwrap_or_else(|_| place.dir.clone());
    let means = Means::find(&asked, Path::new("/"), &dir)?;
    Ok(Some(AsHad { asked: &asked, means: &means, had: &Had::default(), of: None }.would()))
}
