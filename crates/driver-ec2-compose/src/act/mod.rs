//! Doing what was planned, on one host.
//!
//! Both actions are convergences: images that are there are not pulled again, and `up` brings a project from wherever it was left to
//! where it should be. `up` runs as a job that survives the connection, so whoever asks again finds it running, or finished.

mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::foreign::{self, Cut};
use rollback_core::target::Phase;
use rollback_core::{ActionContext, Effect, Error, ErrorKind, Identity, Landing, Receipt, Result, Token};
use rollback_ssh_support::{Finished, Host, JobKey, JobState};

use crate::action::{ComposeAction, Way};
use crate::client::compose::Compose;
use crate::client::{Beside, Client, HostClient};
use crate::config::Choices;
use crate::image::ServiceImage;
use crate::look::HostLook;
use crate::names::Service;

/// How long a look of the engine's is relied on.
const MOMENT: Duration = Duration::from_secs(2);

pub(crate) async fn apply(
    client: &Client,
    choices: &Choices,
    cx: &ActionContext,
    action: &ComposeAction,
) -> Result<Landing> {
    let host = client.host(action.host().as_str()).await?;
    match action {
        ComposeAction::Fetch { images, .. } => {
            if cx.cancel.is_cancelled() {
                let message = "it was cancelled before it began";
                return Err(Error::new(ErrorKind::Cancelled, "fetch images", message));
            }
            let pulled = fetch(choices, host, images).await?;
            cx.progress(1, 1, &pulled.join(", "));
            Ok(Landing::Applied(cx.unmoved()))
        }
        ComposeAction::Up { images, from, way, until_known, behind, .. } => {
            let (from, way, until_known) = (*from, *way, *until_known);
            Up { client, choices, host, images, from, way, until_known, behind }.apply(cx).await
        }
        ComposeAction::Run { command, .. } => run::apply(client, choices, host, cx, command).await,
    }
}

/// With the host's own login first: where that does not do, with one of ECR.
async fn fetch(
    choices: &Choices,
    host: &HostClient,
    images: &BTreeMap<Service, ServiceImage>,
) -> Result<Vec<String>> {
    let limit = choices.pull_timeout.as_duration();
    let denied = match host.fetch(images.values(), None, limit).await {
        Err(error) if error.kind() == ErrorKind::Denied => error,
        fetched => return fetched,
    };
    let Some(image) = images.values().next() else { return Err(denied) };
    match choices.aws.login(&image.repository).await {
        Some(Ok(login)) => host.fetch(images.values(), Some(&login), limit).await,
        Some(Err(error)) => {
            let message = format!("{}; and ECR gives no login: {error}", denied.message());
            Err(Error::new(ErrorKind::Denied, "pull images", message).transient(error.is_transient()))
        }
        None => Err(denied),
    }
}

pub(crate) async fn probe(client: &Client, cx: &ActionContext, action: &ComposeAction) -> Result<Landing> {
    let host = client.host(action.host().as_str()).await?;
    match action {
        ComposeAction::Fetch { images, .. } => {
            let wanted: Vec<_> = images.values().map(ServiceImage::exact).collect();
            let present = host.present(&wanted).await?;
            Ok(match wanted.iter().all(|image| present.contains(image)) {
                true => Landing::Applied(cx.unmoved()),
                false => Landing::NotApplied { why: format!("{} does not have them", host.host) },
            })
        }
        ComposeAction::Run { .. } => run::probe(host, cx).await,
        ComposeAction::Up { images, until_known, .. } => {
            let job = host.jobs().look(&JobKey::from(&cx.key)).await?;
            if let JobState::Running = job {
                return Ok(Landing::Running { what: format!("compose runs on {}", host.host) });
            }
            let look = client.look_at(host, Beside::Nothing).await?;
            let there = look.runs_all(images);
            if let (true, true, Some(landing)) = (there, *until_known, unknown(&look)) {
                return Ok(landing);
            }
            let receipt = Receipt::default().with_token(client.token().await?);
            Ok(match (there, job) {
                (true, JobState::Finished(_)) => Landing::Applied(receipt),
                (true, _) => Landing::Applied(receipt.presumed()),
                (false, JobState::Absent) => {
                    Landing::NotApplied { why: format!("it was not begun on {}", host.host) }
                }
                (false, _) => {
                    Landing::Unknown { why: "it did not come to its end; it may be repeated".to_owned() }
                }
            })
        }
    }
}

/// What a host that runs what it should waits for, as long as it is not known whether its containers are well.
fn unknown(look: &HostLook) -> Option<Landing> {
    match look.phase() {
        Phase::Progressing(what) => Some(Landing::Running { what }),
        _ => None,
    }
}

struct Up<'a> {
    client: &'a Client,
    choices: &'a Choices,
    host: &'a HostClient,
    images: &'a BTreeMap<Service, ServiceImage>,
    from: Option<Identity>,
    way: Way,
    until_known: bool,
    behind: &'a [Host],
}

impl Up<'_> {
    fn operation(&self) -> String {
        format!("bring services up on {}", self.host.host)
    }

    async fn apply(&self, cx: &ActionContext) -> Result<Landing> {
        let key = JobKey::from(&cx.key);
        // Whoever sends for the first time has left no job behind.
        let earlier = if cx.attempt > 1 { self.host.jobs().look(&key).await? } else { JobState::Absent };
        let earlier = match earlier {
            JobState::Running => self.host.jobs().wait(&key, self.choices.up_timeout.as_duration()).await?,
            other => other,
        };
        let before = self.before(cx).await?;
        if before.runs_all(self.images) && before.is_started() {
            return self.landed(&before).await;
        }
        match earlier {
            JobState::Running => {
                let message = "compose still runs there, and its time limit has passed";
                return Err(
                    Error::new(ErrorKind::Timeout, self.operation(), message).with_effect(Effect::Unknown)
                );
            }
            JobState::Absent => {}
            _ => self.host.jobs().forget(&key).await?,
        }
        let token = self.client.token().await?;
        if let Some(by) = self.moved(&before, cx, &token, !matches!(earlier, JobState::Absent)) {
            return Ok(Landing::Superseded { by });
        }
        if cx.cancel.is_cancelled() {
            return Err(Error::new(
                ErrorKind::Cancelled,
                self.operation(),
                "it was cancelled before it began",
            ));
        }
        self.check_behind().await?;
        let command = self.command(&before)?;
        let finished = self.host.jobs().run(&key, &command).await?;
        self.judge(&before, &finished).await
    }

    /// What runs there right before: what the engine saw a moment ago will do, as docker has no way to send what is expected along.
    async fn before(&self, cx: &ActionContext) -> Result<Arc<HostLook>> {
        let is_fresh = cx.attempt == 1 && cx.seen.is_some_and(|ago| ago.as_duration() <= MOMENT);
        match self.client.last_of(self.host).filter(|_| is_fresh) {
            Some(look) => Ok(look),
            None => self.client.look_at(self.host, Beside::Nothing).await,
        }
    }

    /// Refuses to go on where a host of the batch before is not well.
    async fn check_behind(&self) -> Result<()> {
        for host in self.behind {
            let look = self.client.look_at(self.client.host(host.as_str()).await?, Beside::Nothing).await?;
            // One that ended runs again for moments in between.
            let why = match look.phase() {
                Phase::Failed(why) => why,
                Phase::Progressing(why) if look.is_down() => why,
                _ => continue,
            };
            let why = self.client.explained(&look, why, self.choices.show_logs).await;
            let message = format!("{why}; nothing was done on {}", self.host.host);
            return Err(Error::new(ErrorKind::Unhealthy, self.operation(), message)
                .with_effect(Effect::None)
                .next("go to another version, or see what is wrong with that host"));
        }
        Ok(())
    }

    fn command(&self, look: &HostLook) -> Result<rollback_ssh_support::Command> {
        let compose = Compose::of(&self.client.project, &self.choices.deployed, look)?;
        let (images, limit) = (self.images, self.choices.up_timeout.as_duration());
        match self.way {
            Way::Pin => Ok(compose.pinned_up(look, images, limit)),
            Way::Retag => compose.retagged_up(look, images, limit),
            Way::WholeProject => Ok(compose.whole(look, images, limit)),
        }
    }

    /// Who moved the host elsewhere since it was planned. What our own `up` left half done is nobody else's.
    fn moved(&self, look: &HostLook, cx: &ActionContext, token: &Token, begun: bool) -> Option<String> {
        let services = &self.client.services;
        let identity = look.identity(services, None);
        let whole = look.running(services).len() == services.len();
        if begun && (!whole || identity == self.from) {
            return None;
        }
        let moved = identity != self.from || cx.expected.as_ref().is_some_and(|expected| expected != token);
        moved.then(|| {
            let images: Vec<_> = look.running(services).values().map(ToString::to_string).collect();
            match images.as_slice() {
                [] => format!("{} runs nothing of it any more", look.host),
                images => format!("{} runs {}", look.host, images.join(", ")),
            }
        })
    }

    async fn landed(&self, look: &HostLook) -> Result<Landing> {
        if let (true, Some(landing)) = (self.until_known, unknown(look)) {
            return Ok(landing);
        }
        let receipt = Receipt::default().with_token(self.client.token().await?);
        Ok(Landing::Applied(receipt))
    }

    /// The exit code of compose says nothing for certain: what runs does.
    async fn judge(&self, before: &HostLook, finished: &Finished) -> Result<Landing> {
        let after = self
            .client
            .look_at(self.host, Beside::Nothing)
            .await
            .map_err(|error| error.with_effect(Effect::Unknown))?;
        if after.runs_all(self.images) {
            return self.landed(&after).await;
        }
        let said = last_words(finished);
        let untouched = after.mark() == before.mark();
        let effect = if untouched { Effect::None } else { Effect::Unknown };
        // The codes of our own scripts, which end before compose is begun.
        let what = match (finished.code, untouched) {
            (96, true) => "the file with the pin could not be written".to_owned(),
            (97, true) => "a tag could not be moved".to_owned(),
            (code, true) => format!("compose exited with {code} and changed nothing"),
            (code, false) => {
                format!("compose exited with {code} and did not bring it to run what it should")
            }
        };
        let next = match finished.code {
            _ if finished.log().to_lowercase().contains("no space left") => {
                "its disk is full: free space there, as with `docker image prune`"
            }
            96 => "see `df ~` there, and who owns ~/.local/state/rollback",
            _ => "run `docker compose config` and `docker ps -a` there",
        };
        Err(Error::new(ErrorKind::Unhealthy, self.operation(), format!("{what}: {said}"))
            .transient(false)
            .with_effect(effect)
            .next(next))
    }
}

/// The last lines of what was written, as a report may show them.
fn last_words(finished: &Finished) -> String {
    foreign::last_words(&finished.log(), Cut::Nowhere)
}
