//! Looks at a target's Prometheus endpoints when the measured time begins and when it ends, on a thread of its own: an exporter
//! takes a second to answer, and no client is to wait for it.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::host::Observed;
use crate::host::metrics::Scrape;

/// The two looks of one trial.
pub(super) struct Scraper {
    look: Sender<()>,
    thread: JoinHandle<Option<Observed>>,
}

impl Scraper {
    /// Of endpoints; nothing where there are none.
    pub(super) fn start(urls: &[String]) -> Option<Self> {
        let urls = (!urls.is_empty()).then(|| urls.to_vec())?;
        let (look, looks) = mpsc::channel();
        let thread = std::thread::Builder::new().name("scraper".to_owned()).spawn(move || watch(&urls, &looks)).ok()?;
        Some(Self { look, thread })
    }

    /// The measured time begins, or ends.
    pub(super) fn look(&self) {
        // A thread that ended has said all that it will.
        let _ = self.look.send(());
    }

    /// What was seen, where both looks were had.
    pub(super) fn finish(self) -> Option<Observed> {
        drop(self.look);
        self.thread.join().ok().flatten()
    }
}

fn watch(urls: &[String], looks: &Receiver<()>) -> Option<Observed> {
    looks.recv().ok()?;
    let begin = Scrape::take(urls);
    looks.recv().ok()?;
    Some(begin.until(&Scrape::take(urls)))
}
