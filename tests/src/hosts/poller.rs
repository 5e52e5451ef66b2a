//! A client that asks all the time.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};

use super::network::enter;
use crate::servers::http;
use crate::{Result, pause, until};

/// How often it asks.
pub const EVERY: Duration = Duration::from_millis(20);
/// What it waits for an answer. Shorter than the second after which a lost SYN is sent again, as they get lost while a container gets its network.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks a service for its version every 20 ms, on the loopback of its host, until it is stopped or dropped. It does not wait for one answer
/// before it asks again: a question that hangs hides nothing.
#[derive(Debug)]
pub struct Poller {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(Vec<Asked>, Duration)>>,
}

/// One question: when it was asked, counted from the first, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// When.
    pub at: Duration,
    /// The status and the version. `None` when nothing answered in time.
    pub answer: Option<(u16, String)>,
}

/// What a poller saw.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// All of it.
    pub asked: Vec<Asked>,
    /// How long it asked.
    pub took: Duration,
    /// When nobody answered: from the first question without an answer to the next that got one.
    pub gaps: Vec<Gap>,
    /// Which versions answered, with the status: each as often as it came after another.
    pub versions: Vec<(u16, String)>,
}

/// A time without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// When it began.
    pub at: Duration,
    /// How long it was.
    pub lasted: Duration,
}

impl Seen {
    /// How long nobody answered, in all. What answers with an error is there: see [`versions`](Self::versions).
    #[must_use]
    pub fn downtime(&self) -> Duration {
        self.gaps.iter().map(|gap| gap.lasted).sum()
    }

    fn of(asked: Vec<Asked>, took: Duration) -> Self {
        let (mut gaps, mut versions, mut down) = (Vec::new(), Vec::new(), None);
        for question in &asked {
            match (&question.answer, down) {
                (None, None) => down = Some(question.at),
                (Some(_), Some(at)) => {
                    gaps.push(Gap { at, lasted: question.at.saturating_sub(at) });
                    down = None;
                }
                _ => {}
            }
            if let Some(answer) = question.answer.as_ref().filter(|answer| versions.last() != Some(*answer)) {
                versions.push(answer.clone());
            }
        }
        if let Some(at) = down {
            gaps.push(Gap { at, lasted: took.saturating_sub(at) });
        }
        Self { asked, took, gaps, versions }
    }
}

impl Poller {
    /// Starts asking at `port` of that network.
    pub(super) fn start(network: OwnedFd, port: u16) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("poller".to_owned()).spawn(move || {
            let began = SystemClock.monotonic();
            let since = || SystemClock.monotonic().saturating_sub(began);
            let mut asked = Vec::new();
            // Threads are where those are that start them.
            while (!asked.is_empty() || enter(&network).is_ok()) && !stopped.load(Ordering::SeqCst) {
                let at = since();
                asked.push(std::thread::spawn(move || Asked { at, answer: ask(port, PATIENCE) }));
                pause((at + EVERY).saturating_sub(since()));
            }
            let took = since();
            (asked.into_iter().filter_map(|question| question.join().ok()).collect(), took)
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops it.
    ///
    /// # Errors
    ///
    /// When it never asked.
    pub fn stop(mut self) -> Result<Seen> {
        let (asked, took) = self.end();
        if asked.is_empty() {
            return Err("the poller could not ask".into());
        }
        Ok(Seen::of(asked, took))
    }

    fn end(&mut self) -> (Vec<Asked>, Duration) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.end();
    }
}

/// The status and the version that a service answers with on a loopback port.
fn ask(port: u16, patience: Duration) -> Option<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    let answer = http::exchange(&mut stream, "GET", "/version", "Host: localhost\r\n", b"").ok()?;
    Some((answer.status, answer.body))
}

/// Waits until that is the answer at a loopback port of this process.
pub(super) fn until_answers(port: u16, status: u16, version: &str) -> Result<()> {
    let wanted = Some((status, version.to_owned()));
    until(&format!("{version} with {status}"), || (ask(port, PATIENCE) == wanted).then_some(()))
}

/// What answers now.
pub(super) fn answer(port: u16) -> Option<(u16, String)> {
    ask(port, PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_versions_are_read_from_the_answers() {
        let answers = [Some("v2"), Some("v2"), None, None, Some("v1"), None, Some("v1"), Some("v2"), None];
        let asked = answers.iter().enumerate().map(|(number, answer)| Asked {
            at: EVERY * u32::try_from(number).unwrap(),
            answer: answer.map(|version| (200, version.to_owned())),
        });
        let seen = Seen::of(asked.collect(), EVERY * 9);
        let gap = |at, lasted| Gap { at: EVERY * at, lasted: EVERY * lasted };
        assert_eq!(seen.gaps, [gap(2, 2), gap(5, 1), gap(8, 1)]);
        assert_eq!(seen.downtime(), EVERY * 4);
        assert_eq!(seen.versions, ["v2", "v1", "v2"].map(|version| (200, version.to_owned())));
    }
}
