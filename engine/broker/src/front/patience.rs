//! Patience with connections on which nothing moves: how long, and with whom it ends.
//!
//! | connection | is closed |
//! |---|---|
//! | nothing is under way | when it was silent for connections.max.idle.ms |
//! | a large frame, or an answer that it has not read, is under way | when no byte has moved for that time |
//! | it holds answers, and there is no memory left for those of others | when no byte has moved for [`limits::STALLED_NS`] |
//!
//! A client that is slow moves bytes. Whether they moved only the kernel knows: it is asked now and then for those
//! connections that are silent and have something under way.

use ringlog_io::Nanos;

use super::Front;
use crate::limits;
use crate::submission::{Moved, Submission};
use crate::tokens;

/// Looks in the time that a connection may be silent: it is closed by so much later at most.
const IDLE_LOOKS: u64 = 8;

impl Front {
    /// Closes connections that were silent for connections.max.idle.ms, and has the kernel asked about those that have
    /// something under way. Gives the time of the next look.
    pub(crate) fn close_idle(&mut self, now: Nanos) -> Nanos {
        let limit_ns = self.settings.connections_max_idle_ns();
        let look_ns = (limit_ns / IDLE_LOOKS).clamp(1_000_000_000, 60_000_000_000);
        for place in 0..self.clients.len() as u32 {
            let Some(client) = self.clients[place as usize].as_mut() else { continue };
            if client.awaits_frame_room {
                client.connection.last_active_ns = now.0;
            }
            let connection = &client.connection;
            let silent_ns = now.0.saturating_sub(connection.last_active_ns);
            if connection.waits_for_us() {
                continue;
            }
            let has_work = !connection.is_idle() || connection.is_filling();
            if !has_work && silent_ns > limit_ns {
                self.close(place);
            } else if has_work && silent_ns > look_ns.min(limit_ns) {
                self.ask_moved(place);
            }
        }
        Nanos(now.0 + look_ns)
    }

    fn ask_moved(&mut self, place: u32) {
        let Some(client) = self.clients[place as usize].as_ref() else { return };
        let token = tokens::client(place, client.generation);
        self.out.push(Submission::CountMoved { socket: client.socket, token });
    }

    /// What went through a connection that looked silent.
    pub(crate) fn counted(&mut self, Moved { token, result }: Moved, now: Nanos) {
        let limit_ns = self.settings.connections_max_idle_ns();
        let Some((place, client)) = self.client(token) else { return };
        match result {
            Ok(moved_bytes) if moved_bytes != client.moved_bytes => {
                client.moved_bytes = moved_bytes;
                client.connection.last_active_ns = now.0;
            }
            Ok(_) | Err(_) => {
                if now.0.saturating_sub(client.connection.last_active_ns) > limit_ns {
                    self.close(place);
                }
            }
        }
    }

    // --- short of memory ---------------------------------------------------------------------------------------------

    /// Whether somebody waits because answers take all the memory that there is for them.
    pub(crate) fn is_short(&self) -> bool {
        self.holdings.is_short()
    }

    /// Has the kernel asked about those that hold what others lack: [`Front::close_stalled`] follows in the next turn.
    pub(crate) fn look_at_holders(&mut self) {
        self.looks_at_holders = true;
        for place in 0..self.clients.len() as u32 {
            let holds = |client: &super::Client| client.answer_bytes > limits::OUTPUT_BYTES_MIN;
            if self.clients[place as usize].as_ref().is_some_and(holds) {
                self.ask_moved(place);
            }
        }
    }

    /// Where a look was asked for and others still wait: closes those that have stopped reading, who holds most first,
    /// until there is room again.
    pub(crate) fn close_stalled(&mut self, now: Nanos) {
        if !std::mem::take(&mut self.looks_at_holders) {
            return;
        }
        let mut stalled: Vec<(usize, u32)> = (0..)
            .zip(&self.clients)
            .filter_map(|(place, client)| client.as_ref().map(|client| (place, client)))
            .filter(|(_, client)| client.answer_bytes > limits::OUTPUT_BYTES_MIN)
            .filter(|(_, client)| now.0.saturating_sub(client.connection.last_active_ns) >= limits::STALLED_NS)
            .map(|(place, client)| (client.answer_bytes, place))
            .collect();
        stalled.sort_unstable();
        while self.holdings.lacks_room()
            && let Some((answer_bytes, place)) = stalled.pop()
        {
            if let Some(client) = self.clients[place as usize].as_ref() {
                tracing::warn!(client = %client.host, answer_bytes, "connection closed: it reads nothing, and others wait for the memory that its answers take (--memory)");
            }
            self.close(place);
        }
    }
}
