//! A real browser, Chromium without a window: what a page asks for, what it gets, and what it makes of that.
//!
//! ```no_run
//! use rollback_tests::browser::Browser;
//!
//! # fn demo() -> rollback_tests::Result<()> {
//! let browser = Browser::start("my-test")?;
//! let tab = browser.open()?;
//! let fetched = tab.load("http://127.0.0.1:8080/")?;
//! assert!(fetched.iter().all(|one| one.status == Some(200)));
//! assert_eq!(tab.evaluate("document.title")?, "the shop");
//! # Ok(())
//! # }
//! ```

mod pipe;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};

use self::pipe::{PATIENCE, Pipe};
use crate::Result;
use crate::servers::{StartError, end_of_log, new_log};

/// Debian's name, and those of others.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// As root it has no sandbox, and it speaks to nobody but us and who we send it to.
const ARGUMENTS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
];

/// A browser of its own, with an empty profile. It ends when it and its tabs are dropped, and with the test that is killed.
#[derive(Debug)]
pub struct Browser {
    pipe: Arc<Pipe>,
}

/// A tab. Nothing is cached in it.
#[derive(Debug)]
pub struct Tab {
    pipe: Arc<Pipe>,
    session: String,
    events: Receiver<Value>,
}

/// What a page asked for, and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// What was asked for.
    pub url: String,
    /// What was answered; `None` if nothing was.
    pub status: Option<u16>,
    /// The content type, as it was answered.
    pub kind: String,
    /// Why the browser has nothing of it, in the browser's words.
    pub failed: Option<String>,
}

impl Browser {
    /// Starts one. `test` names the folder of its log.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start(test: &str) -> Result<Self, StartError> {
        let program = installed().ok_or_else(|| {
            StartError::Missing("there is no Chromium; run: tests/install-servers chromium".to_owned())
        })?;
        static NUMBER: AtomicU16 = AtomicU16::new(1);
        let failed = |why: &dyn std::fmt::Display| {
            StartError::Failed(format!("{} did not start: {why}", program.display()))
        };
        let (path, log) = new_log(test, "chromium", NUMBER.fetch_add(1, Ordering::Relaxed))
            .map_err(|error| failed(&format!("no log: {error}")))?;
        let start = || -> Result<Self> {
            let pipe = Pipe::start(&program, &ARGUMENTS, log)?;
            pipe.call(None, "Browser.getVersion", &json!({}))?;
            Ok(Self { pipe: Arc::new(pipe) })
        };
        start().map_err(|error| failed(&format!("{error}; {}", end_of_log(&path))))
    }

    /// Opens an empty tab.
    ///
    /// # Errors
    ///
    /// When the browser does not.
    pub fn open(&self) -> Result<Tab> {
        let made = self.pipe.call(None, "Target.createTarget", &json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": made["targetId"], "flatten": true });
        let attached = self.pipe.call(None, "Target.attachToTarget", &attach)?;
        let session = attached["sessionId"].as_str().ok_or("a tab without a session")?.to_owned();
        let events = self.pipe.listen(&session);
        let tab = Tab { pipe: Arc::clone(&self.pipe), session, events };
        tab.call("Page.enable", &json!({}))?;
        tab.call("Page.setLifecycleEventsEnabled", &json!({ "enabled": true }))?;
        tab.call("Network.enable", &json!({}))?;
        tab.call("Network.setCacheDisabled", &json!({ "cacheDisabled": true }))?;
        Ok(tab)
    }
}

impl Tab {
    /// Loads a page, with everything that it names, and says what was asked for.
    ///
    /// # Errors
    ///
    /// When the browser does not answer. A page that is not there is no error.
    pub fn load(&self, url: &str) -> Result<Vec<Fetched>> {
        self.events.try_iter().for_each(drop);
        let begun = self.call("Page.navigate", &json!({ "url": url }))?;
        let mut page = Page::default();
        let loader = &begun["loaderId"];
        let mut loaded = false;
        while !loaded {
            let event = self.event()?;
            let of = &event["params"];
            loaded =
                event["method"] == "Page.lifecycleEvent" && of["name"] == "load" && of["loaderId"] == *loader;
            page.hear(&event);
        }
        self.rest(page)
    }

    /// Evaluates an expression in the page. A promise is waited for.
    ///
    /// # Errors
    ///
    /// When it throws, or the browser does not answer.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &asked)?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].clone()),
            thrown => Err(format!("{expression}: {thrown}").into()),
        }
    }

    /// Evaluates an expression that asks for more, and says what it asked for.
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Self::evaluate).
    pub fn fetching(&self, expression: &str) -> Result<(Value, Vec<Fetched>)> {
        self.events.try_iter().for_each(drop);
        let value = self.evaluate(expression)?;
        Ok((value, self.rest(Page::default())?))
    }

    /// What has come up to now, and whatever that still waits for.
    fn rest(&self, mut page: Page) -> Result<Vec<Fetched>> {
        self.events.try_iter().for_each(|event| page.hear(&event));
        while page.waits() {
            page.hear(&self.event()?);
        }
        Ok(page.fetched.into_values().map(|one| one.fetched).collect())
    }

    fn event(&self) -> Result<Value> {
        self.events
            .recv_timeout(PATIENCE)
            .map_err(|error| format!("the browser says nothing: {error}").into())
    }

    fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        self.pipe.call(Some(&self.session), method, parameters)
    }
}

/// What a page asked for, by the browser's number.
#[derive(Default)]
struct Page {
    fetched: BTreeMap<String, Asked>,
}

struct Asked {
    fetched: Fetched,
    done: bool,
}

impl Page {
    fn waits(&self) -> bool {
        self.fetched.values().any(|one| !one.done)
    }

    fn hear(&mut self, event: &Value) {
        let of = &event["params"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = text(&of["requestId"]);
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = text(&of["request"]["url"]);
                // What a page has in itself is not asked for.
                if !url.starts_with("data:") {
                    let fetched = Fetched { url, status: None, kind: String::new(), failed: None };
                    self.fetched.insert(id, Asked { fetched, done: false });
                }
            }
            "Network.responseReceived" => {
                if let Some(one) = self.fetched.get_mut(&id) {
                    let answer = &of["response"];
                    one.fetched.status = answer["status"].as_u64().and_then(|status| status.try_into().ok());
                    one.fetched.kind = header(&answer["headers"], "content-type");
                }
            }
            "Network.loadingFinished" => {
                if let Some(one) = self.fetched.get_mut(&id) {
                    one.done = true;
                }
            }
            "Network.loadingFailed" => {
                if let Some(one) = self.fetched.get_mut(&id) {
                    one.fetched.failed = Some(text(&of["errorText"]));
                    one.done = true;
                }
            }
            _ => {}
        }
    }
}

fn header(headers: &Value, name: &str) -> String {
    let mut all = headers.as_object().into_iter().flatten();
    let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
}

fn installed() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut all = PROGRAMS
        .iter()
        .flat_map(|program| std::env::split_paths(&folders).map(move |folder| folder.join(program)));
    all.find(|program| program.is_file())
}
