//! Somebody who loads the page over and over, and has had a tab open since before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rollback_testkit::harness::{Failure, equal};
use rollback_tests::browser::{Browser, Fetched, Tab};
use rollback_tests::{Result, until};
use serde_json::Value;

use super::app;
use super::shop::{Made, content_type};

/// What was seen at one time.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// The release whose page came; nothing if none came.
    pub(crate) release: String,
    /// What is missing of the page, or of another release: nothing if it is whole.
    pub(crate) page: Vec<String>,
    /// The same of what the open tab asked for.
    pub(crate) tab: Vec<String>,
}

/// Visits the site until it is ended.
pub(crate) struct Visitor {
    pace: Pace,
    thread: Option<JoinHandle<Result<()>>>,
}

/// How far a visitor is.
#[derive(Clone, Default)]
pub(crate) struct Pace {
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Pace {
    /// What was seen in a visit that began after this was asked.
    pub(crate) fn visit(&self) -> Result<Visit> {
        let begun = self.begun.load(Ordering::SeqCst);
        let seen = || match self.visits().get(begun) {
            Some(visit) => Some(Ok(visit.clone())),
            None => self.ended.load(Ordering::SeqCst).then(|| Err("nobody visits the site any more".into())),
        };
        until("a visit", seen)?
    }

    /// All of them, oldest first.
    fn visits(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor {
    /// Opens the page of a release, of which nothing may be missing, and begins.
    pub(crate) fn begin(browser: Browser, url: &str, release: u32) -> Made<Self> {
        let (open, fresh) = (browser.open()?, browser.open()?);
        let (seen, missing) = page(&open, url)?;
        equal("what is missing before", &missing, &Vec::new())?;
        equal("the release before", &seen, &app::name(release))?;
        let (pace, url) = (Pace::default(), url.to_owned());
        let paced = pace.clone();
        let thread = std::thread::spawn(move || {
            let mut visited = Ok(());
            while visited.is_ok() && !paced.ended.load(Ordering::SeqCst) {
                let number = paced.begun.fetch_add(1, Ordering::SeqCst);
                visited = visit(&fresh, &url, &open, release, number).map(|visit| paced.visits().push(visit));
            }
            paced.ended.store(true, Ordering::SeqCst);
            // It ends after its tabs.
            drop((open, fresh, browser));
            visited
        });
        Ok(Self { pace, thread: Some(thread) })
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// What was seen, oldest first.
    pub(crate) fn end(mut self) -> Made<Vec<Visit>> {
        self.pace.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| Failure::new("the visitor panicked"))??;
        }
        let visits = self.pace.visits().clone();
        Ok(visits)
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.pace.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One load of the page, and one chunk more in the tab that is open.
fn visit(fresh: &Tab, url: &str, open: &Tab, release: u32, number: usize) -> Result<Visit> {
    let (seen, page) = page(fresh, url)?;
    let (chunk, fetched) = open.fetching(&app::later(number))?;
    let mut tab = missing(&fetched);
    if fetched.is_empty() {
        tab.push("the open tab did not ask for its chunk".to_owned());
    }
    if chunk != app::name(release).as_str() {
        tab.push(format!("the open tab got {chunk}"));
    }
    Ok(Visit { release: seen, page, tab })
}

/// Loads the page: the release whose page it is, and what is missing of it.
pub(crate) fn page(tab: &Tab, url: &str) -> Result<(String, Vec<String>)> {
    let fetched = tab.load(url)?;
    // What the page asks for by itself may come after it.
    let (told, more) = tab.fetching(app::REPORT)?;
    let mut missing = missing(&fetched);
    missing.extend(self::missing(&more));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    missing.extend(told["failed"].as_array().into_iter().flatten().map(text));
    let release = text(&told["of"]["page"]);
    let wanted = release.strip_prefix('v').and_then(|number| number.parse().ok()).map(app::wanted);
    if wanted.is_none_or(|wanted| wanted != told["of"]) {
        missing.push(format!("the page is made of {}", told["of"]));
    }
    Ok((release, missing))
}

/// Whatever did not come as it should.
fn missing(fetched: &[Fetched]) -> Vec<String> {
    let wrong = |one: &Fetched| {
        let name = one.url.split('/').skip(3).collect::<Vec<_>>().join("/");
        let kind = content_type(if name.is_empty() { "index.html" } else { &name });
        let right = one.failed.is_none() && one.status == Some(200) && one.kind == kind;
        let Fetched { status, kind, failed, .. } = one;
        (!right).then(|| format!("/{name}: {status:?} {kind} {failed:?}"))
    };
    fetched.iter().filter_map(wrong).collect()
}
