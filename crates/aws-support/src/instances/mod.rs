//! EC2's instances, by their tags or by their ids. Needs the feature `instances`, and the permission `ec2:DescribeInstances` on `*`:
//! that action knows no single instances.
//!
//! EC2's SDK would be larger than all others together, for this one call. It is made of the same parts as theirs instead:
//! credentials, signature, time limits, HTTP client and errors are the session's.

mod answer;
mod call;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, Result};

use self::call::Describe;
use crate::asking::{Asker, TOGETHER};
use crate::coalesce::{Batcher, Batchers};
use crate::config::Session;
use crate::pacing::{Pacer, Quota};

/// Looks that are filtered or in pages:
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
const LOOKS: Quota = Quota::new("ec2", "filtered looks", 100, 20.0);
/// A search ends after so many pages of 1,000 instances.
const PAGES: usize = 10;

/// Which instances are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wanted {
    /// Those that have each of these tags, with exactly this value: none of its characters stands for others.
    Tags(BTreeMap<String, String>),
    /// Those with these ids, like `i-0123456789abcdef0`.
    Ids(BTreeSet<String>),
}

impl fmt::Display for Wanted {
    /// `app=shop, stage=prod` or `i-0123456789abcdef0, …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = match self {
            Self::Tags(tags) => tags.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            Self::Ids(ids) => ids.iter().cloned().collect(),
        };
        f.write_str(&all.join(", "))
    }
}

/// What an instance is doing, as EC2 says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It starts.
    Pending,
    /// It runs; what is on it may be starting still.
    Running,
    /// It ends, and does not come back.
    ShuttingDown,
    /// It is gone. EC2 tells of it for about an hour.
    Terminated,
    /// It stops, and may be started again.
    Stopping,
    /// It was stopped, and may be started again.
    Stopped,
    /// A state that this version does not know.
    Other(String),
}

impl State {
    /// Whether it will never run again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl From<&str> for State {
    fn from(name: &str) -> Self {
        match name {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "shutting-down" => Self::ShuttingDown,
            "terminated" => Self::Terminated,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for State {
    /// As EC2 writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Running => f.write_str("running"),
            Self::ShuttingDown => f.write_str("shutting-down"),
            Self::Terminated => f.write_str("terminated"),
            Self::Stopping => f.write_str("stopping"),
            Self::Stopped => f.write_str("stopped"),
            Self::Other(other) => f.write_str(&quoted(other)),
        }
    }
}

/// One instance. Names are as somebody wrote them, or a server of somebody's answered: whoever uses one checks it first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// `i-` and hexadecimal digits.
    pub id: String,
    /// What it is doing.
    pub state: State,
    /// Its address in its network.
    pub private_ip: Option<IpAddr>,
    /// Its address in the internet, while it runs.
    pub public_ip: Option<IpAddr>,
    /// Its name in its network.
    pub private_dns: Option<String>,
    /// Its name in the internet, while it runs.
    pub public_dns: Option<String>,
    /// Its availability zone, like `eu-central-1a`.
    pub zone: Option<String>,
    /// All its tags; `Name` is what consoles show.
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// One of which nothing else is known.
    #[must_use]
    pub fn new(id: impl Into<String>, state: State) -> Self {
        Self {
            id: id.into(),
            state,
            private_ip: None,
            public_ip: None,
            private_dns: None,
            public_dns: None,
            zone: None,
            tags: BTreeMap::new(),
        }
    }

    /// The tag `Name`, if it says something.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.tags.get("Name").map(String::as_str).filter(|name| !name.trim().is_empty())
    }

    fn is(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Tags(tags) => tags.iter().all(|(key, value)| self.tags.get(key) == Some(value)),
            Wanted::Ids(ids) => ids.contains(&self.id),
        }
    }
}

impl fmt::Display for Instance {
    /// `i-0123456789abcdef0 ("web-1")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        self.name().map_or(Ok(()), |name| write!(f, " ({})", quoted(name)))
    }
}

/// Finds instances. Cheap to clone: those who look for the same ones at the same time share one search, so targets of one process
/// should share one, as by [`Session::clients`]. Nothing is remembered.
///
/// ```
/// use std::collections::BTreeMap;
/// use rollback_aws_support::instances::{Instances, State, Wanted};
/// use rollback_aws_support::{Pacer, Session};
///
/// # async fn example(session: Session) -> rollback_core::Result<()> {
/// let instances = session.clients(|session| Instances::new(session.clone(), Pacer::shared()));
/// let tags = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
/// for instance in instances.find(&Wanted::Tags(tags)).await? {
///     if instance.state == State::Running {
///         println!("{instance} is at {:?}", instance.private_ip);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Instances {
    asker: Asker,
    found: Arc<Batchers<Wanted, (), Vec<Instance>>>,
}

impl Instances {
    /// Looks in the account and the region of this session, at this pace and by the pacer's clock.
    #[must_use]
    pub fn new(session: Session, pacer: Pacer) -> Self {
        let clock = pacer.clock();
        let asker = Asker::new(session, pacer);
        let asking = asker.clone();
        let found = Batchers::new(move |wanted: &Wanted| {
            let (asker, wanted) = (asking.clone(), wanted.clone());
            Batcher::single(Arc::clone(&clock), TOGETHER, move || {
                let (asker, wanted) = (asker.clone(), wanted.clone());
                async move { find(&asker, &wanted).await }
            })
        });
        Self { asker, found: Arc::new(found) }
    }

    /// Those that are wanted, in whatever state, by their ids. None where no tags or ids are given: that would be all.
    ///
    /// # Errors
    ///
    /// As [`explain`](crate::explain) says: [`Denied`](ErrorKind::Denied) without `ec2:DescribeInstances`,
    /// [`NotFound`](ErrorKind::NotFound) for an id that the account does not have in this region. [`Invalid`](ErrorKind::Invalid)
    /// where there are more than 10,000.
    pub async fn find(&self, wanted: &Wanted) -> Result<Vec<Instance>> {
        Ok(self.found.of(wanted).get(()).await?.unwrap_or_default())
    }
}

impl fmt::Debug for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instances").field("session", self.asker.session()).finish_non_exhaustive()
    }
}

async fn find(asker: &Asker, wanted: &Wanted) -> Result<Vec<Instance>> {
    let nothing = match wanted {
        Wanted::Tags(tags) => tags.is_empty(),
        Wanted::Ids(ids) => ids.is_empty(),
    };
    if nothing {
        return Ok(Vec::new());
    }
    let doing = "find EC2 instances";
    let call = asker.session().reads("ec2", "DescribeInstances", doing);
    let describe = Describe::new(asker.session().sending(), &call).await?;
    let (mut found, mut next) = (BTreeMap::new(), None);
    for _ in 0..PAGES {
        let send = || describe.send(wanted, next.as_deref());
        let page = asker.ask(asker.session().region(), LOOKS, &call, |_| false, send).await?;
        let page = page.unwrap_or_default();
        // What is done with them is no small thing: EC2's word for what matches is compared with what was asked.
        let asked = page.instances.into_iter().filter(|instance| instance.is(wanted));
        found.extend(asked.map(|instance| (instance.id.clone(), instance)));
        next = page.next;
        if next.is_none() {
            return all(wanted, found);
        }
    }
    let message = format!("more than {} have {wanted}", PAGES * call::PAGE);
    Err(Error::new(ErrorKind::Invalid, doing, message).next("name more tags, so that fewer match"))
}

fn all(wanted: &Wanted, found: BTreeMap<String, Instance>) -> Result<Vec<Instance>> {
    if let Wanted::Ids(ids) = wanted {
        let missing: Vec<_> = ids.iter().filter(|id| !found.contains_key(*id)).map(String::as_str).collect();
        if !missing.is_empty() {
            let message = format!("EC2 does not tell of {}", missing.join(", "));
            return Err(Error::new(ErrorKind::NotFound, "find EC2 instances", message)
                .next("check the ids, the region and the account: aws sts get-caller-identity"));
        }
    }
    Ok(found.into_values().collect())
}
