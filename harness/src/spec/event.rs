//! Operations on a trial's timeline: what is done to the target, or to a group, while it is measured.
//!
//! ```text
//!   [[event]]            running --kill--> down --restart--> running        rolling-restart: every broker in turn
//!   at_s = 2.0           running --pause--> paused --resume--> running      lag-group: reads nothing for for_s
//!   do = "kill"          running --fill-disk--> full --free-disk--> running
//! ```
//!
//! Invariant: a timeline ends as it began. The next trial meets a target that runs.

use serde::{Deserialize, Serialize};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Its process ends at once (SIGKILL).
    Kill,
    /// It is started again; where it runs, it is told to end first (SIGTERM).
    Restart,
    /// Every broker of it is told to end and started again, one after the other.
    RollingRestart,
    /// Its process stands still (SIGSTOP).
    Pause,
    /// It goes on (SIGCONT).
    Resume,
    /// The first group reads nothing for a while, and then what it missed.
    LagGroup,
    /// The file system below its data is filled to the last byte.
    FillDisk,
    /// There is room again.
    FreeDisk,
}

/// One of them, and when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Seconds after the measured time began.
    pub at_s: f64,
    /// What.
    #[serde(rename = "do")]
    pub action: Action,
    /// How long a group reads nothing (lag-group).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
}

impl Action {
    /// Its name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::RollingRestart => "rolling-restart",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::LagGroup => "lag-group",
            Self::FillDisk => "fill-disk",
            Self::FreeDisk => "free-disk",
        }
    }

    /// Whether it is done to a target's processes or disk, which must be ours then.
    #[must_use]
    pub fn is_on_target(self) -> bool {
        self != Self::LagGroup
    }

    /// Whether processes end: what they used cannot be told as one figure.
    #[must_use]
    pub fn ends_processes(self) -> bool {
        matches!(self, Self::Kill | Self::Restart | Self::RollingRestart)
    }
}

/// How a target is, as far as its timeline says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Down,
    Paused,
    Full,
}

impl State {
    /// What an action makes of it; `None` where it cannot be done then.
    fn after(self, action: Action) -> Option<Self> {
        match (self, action) {
            (state, Action::LagGroup) => Some(state),
            (Self::Running, Action::Restart | Action::RollingRestart) | (Self::Down, Action::Restart) => {
                Some(Self::Running)
            }
            (Self::Running, Action::Kill) => Some(Self::Down),
            (Self::Running, Action::Pause) => Some(Self::Paused),
            (Self::Paused, Action::Resume) => Some(Self::Running),
            (Self::Running, Action::FillDisk) => Some(Self::Full),
            // A broker that ended because its disk was full is started again by hand, with room.
            (Self::Full, Action::FreeDisk) => Some(Self::Running),
            _ => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Running => "runs",
            Self::Down => "was killed: restart it",
            Self::Paused => "stands still: resume it",
            Self::Full => "has a full disk: free-disk",
        }
    }
}

/// Why events cannot be, in words; `None` where they can.
pub(super) fn fault(events: &[Event], measured_s: f64, groups: u32) -> Option<String> {
    let (mut state, mut last_s) = (State::Running, 0.0);
    for event in events {
        let (name, at_s) = (event.action.name(), event.at_s);
        if !(at_s >= last_s && at_s < measured_s) {
            return Some(format!(
                "event {name} at_s = {at_s}: events come in order, from {last_s} to below measured_s ({measured_s})"
            ));
        }
        let is_lag = event.action == Action::LagGroup;
        if is_lag != event.for_s.is_some()
            || event.for_s.is_some_and(|for_s| !(for_s > 0.0 && at_s + for_s <= measured_s))
        {
            return Some(format!(
                "event {name} at_s = {at_s}: lag-group, and no other, has for_s above 0 that ends within measured_s ({measured_s})"
            ));
        }
        if is_lag && groups == 0 {
            return Some(format!("event {name} at_s = {at_s}: there is no group; set groups to 1 or more"));
        }
        let Some(next) = state.after(event.action) else {
            return Some(format!("event {name} at_s = {at_s} cannot be: the target {}", state.words()));
        };
        (state, last_s) = (next, at_s);
    }
    let stays =
        |state: State| format!("the events leave a target that {}: the next trial needs one that runs", state.words());
    (state != State::Running).then(|| stays(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_s: f64, action: Action) -> Event {
        Event { at_s, action, for_s: None }
    }

    #[test]
    fn a_timeline_that_ends_as_it_began_is_taken_and_others_are_refused_with_the_reason() {
        let kill = [at(1.0, Action::Kill), at(2.0, Action::Restart)];
        assert_eq!(fault(&kill, 5.0, 0), None);
        assert_eq!(
            fault(&[at(1.0, Action::RollingRestart), at(1.0, Action::Pause), at(4.0, Action::Resume)], 5.0, 0),
            None
        );
        let lag = Event { for_s: Some(2.0), ..at(1.0, Action::LagGroup) };
        assert_eq!(fault(&[lag], 5.0, 1), None);
        let refused: [(&[Event], &str); 7] = [
            (&kill[..1], "was killed: restart it"),
            (&[at(1.0, Action::Resume)], "event resume at_s = 1 cannot be: the target runs"),
            (&[at(1.0, Action::Pause), at(2.0, Action::Kill)], "stands still: resume it"),
            (&[at(3.0, Action::Pause), at(2.0, Action::Resume)], "from 3 to below measured_s (5)"),
            (&[at(5.0, Action::RollingRestart)], "below measured_s (5)"),
            (&[at(1.0, Action::LagGroup)], "has for_s above 0"),
            (&[at(1.0, Action::FillDisk)], "has a full disk: free-disk"),
        ];
        for (events, wanted) in refused {
            let why = fault(events, 5.0, 1).unwrap();
            assert!(why.contains(wanted), "{why}");
        }
        assert!(fault(&[lag], 5.0, 0).unwrap().contains("set groups to 1 or more"));
    }
}
