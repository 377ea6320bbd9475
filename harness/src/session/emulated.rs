//! From `--emulate` to the machine that a session's brokers get.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::SessionError;
use super::options::PlaceOptions;
use crate::emulate::{AsHad, Asked, Emulation, Had, Host, Means, WHOLE};
use crate::host::HostFacts;
use crate::target::Target;
use crate::target::start::Running;

/// The broker's setting of how it asks the kernel.
const IO_SETTING: &str = "ringlog.io";

/// The machine that is asked for, where one is: no better than this one, and for brokers that can be limited.
pub(super) fn asked(place: &PlaceOptions, targets: &[Target]) -> Result<Option<Asked>, SessionError> {
    let Some(asked) = place.emulate.as_deref().map(Asked::parse).transpose()?.flatten() else { return Ok(None) };
    let host = Host::read(&HostFacts::read(Path::new("/")), place.emulate_host.as_deref())?;
    for line in host.disturbed() {
        errln!(
            "warning: --emulate-host was disturbed while it was probed ({line}): it may do more than that file says"
        );
    }
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
    let had = Had::default();
    let brokers: Vec<_> = targets.iter().map(|it| (&it.start, Some(io_of(it)))).collect();
    Ok(Some(AsHad { asked: &asked, means: &means, had: &had, of: None }.would(&brokers)))
}

/// How a broker is going to ask the kernel, as far as its settings say: ours takes io_uring where it can.
fn io_of(target: &Target) -> &str {
    let asked = target.settings.get(IO_SETTING).map(String::as_str);
    if asked == Some("epoll") { "epoll" } else { "io_uring" }
}

/// What terminal and report say of each target whose machine is not emulated as a whole.
pub(super) fn in_part(running: &BTreeMap<String, Running>) -> Vec<String> {
    let said = running.iter().map(|(name, it)| (name, &it.said.fidelity));
    let in_part = said.filter(|(_, fidelity)| !fidelity.is_empty() && *fidelity != WHOLE);
    in_part.map(|(name, fidelity)| format!("{name} is {fidelity}")).collect()
}
