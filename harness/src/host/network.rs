//! Bytes that went over network interfaces, and how much of their speed that was. The loopback device has none.

use std::fs;
use std::path::Path;

/// An interface's counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    name: String,
    /// Bits a second, in one direction.
    speed_bits_s: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

/// The interfaces that say their speed (sysfs `class/net/*/speed`, in Mbit/s), read below `root` (`/`).
pub(super) fn interfaces(root: &Path) -> Vec<Interface> {
    let entries = fs::read_dir(root.join("sys/class/net")).into_iter().flatten().flatten();
    entries.filter_map(|it| read(&it.path())).collect()
}

fn read(dir: &Path) -> Option<Interface> {
    let number = |file: &str| fs::read_to_string(dir.join(file)).ok()?.trim().parse::<u64>().ok();
    Some(Interface {
        name: dir.file_name()?.to_string_lossy().into_owned(),
        // -1 where the driver does not know, an error where the link is down.
        speed_bits_s: number("speed").filter(|it| *it > 0)?.checked_mul(1_000_000)?,
        received_bytes: number("statistics/rx_bytes")?,
        sent_bytes: number("statistics/tx_bytes")?,
    })
}

/// Bytes that all interfaces have sent, loopback included: what goes to a broker on this machine is in it.
pub(super) fn sent_bytes(root: &Path) -> Option<u64> {
    let entries = fs::read_dir(root.join("sys/class/net")).ok()?.flatten();
    let sent = |dir: &Path| fs::read_to_string(dir.join("statistics/tx_bytes")).ok()?.trim().parse::<u64>().ok();
    entries.filter_map(|it| sent(&it.path())).reduce(|a, b| a + b)
}

/// The largest share of its speed that an interface used in one direction.
pub(super) fn busiest_share(begin: &[Interface], end: &[Interface], wall_s: f64) -> Option<f64> {
    let share = |end: &Interface| {
        let begin = begin.iter().find(|it| it.name == end.name)?;
        let received = end.received_bytes.saturating_sub(begin.received_bytes);
        let sent = end.sent_bytes.saturating_sub(begin.sent_bytes);
        let bits_s = received.max(sent) as f64 * 8.0 / wall_s;
        (wall_s > 0.0).then(|| bits_s / end.speed_bits_s as f64)
    };
    end.iter().filter_map(share).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busier_direction_of_the_busiest_interface_counts() {
        let at = |name: &str, received_bytes, sent_bytes| Interface {
            name: name.to_owned(),
            speed_bits_s: 1_000_000_000,
            received_bytes,
            sent_bytes,
        };
        let (begin, end) = ([at("a", 0, 0), at("b", 5, 5)], [at("a", 1_000_000, 125_000_000), at("b", 6, 6)]);
        assert_eq!(busiest_share(&begin, &end, 2.0), Some(0.5));
        assert_eq!(busiest_share(&[], &[], 2.0), None, "an interface without a speed is no interface here");
    }
}
