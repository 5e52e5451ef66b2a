//! One component, as its samples and looks tell of it: pure, in whatever time its caller keeps.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rollback_core::condition::{Baseline, Check, Holds};
use rollback_core::probe::Sample;
use rollback_core::time::Lasting;
use rollback_core::{SnapshotInfo, Token};

use crate::decision::Onset;
use crate::learning::Learning;
use crate::severity::Severity;
use crate::trigger::{Reading, Trigger, Trouble};

/// How many samples of a trigger are kept for the record.
const KEPT: usize = 120;
/// A trouble that began this long before the version before was seen last is not the deploy's. What began later may be: a service that is
/// restarted in its place fails for a while as the old version before it does so as the new one.
const DURING: Duration = Duration::from_secs(30);
/// What nobody saw come is the deploy's, unless its source says that it was there so long before it was looked at first: hardly a deploy takes
/// longer.
const LONG_BEFORE: Duration = Duration::from_secs(1_800);
/// Over which time before a deploy it is learnt what is usual.
const LEARNT_OVER: Lasting = Lasting::from_secs(3_600);

/// The triggers of one component, and what is known of the deploy that they judge.
#[derive(Debug)]
pub struct Vigil {
    rules: Vec<Watched>,
    deployed: Option<Deployed>,
    looked: Option<Duration>,
}

/// One trigger with what it has seen.
#[derive(Debug)]
struct Watched {
    trigger: Trigger,
    learning: Learning,
    baseline: Baseline,
    reading: Reading,
    /// Since when all is quiet.
    quiet: Option<Duration>,
    /// Whether it was bad when the version before was there, and has not been well since.
    bad_before: bool,
    /// When the source was asked last, and for how long it had been so by its own word.
    told: Option<(Duration, Duration)>,
    seen: VecDeque<Seen>,
}

/// One sample as the record keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// When, in the time that samples are fed with.
    pub at: Duration,
    /// Whether it was bad; `None` if nobody knows.
    pub bad: Option<bool>,
    /// The number that the rule is about, where it is about one.
    pub value: Option<f64>,
}

/// The deploy that is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// What was deployed.
    pub info: SnapshotInfo,
    /// The token that it was seen with last.
    pub token: Token,
    /// When the version before was seen last, if it was.
    pub not_before: Option<Duration>,
    /// When it was seen first.
    pub by: Duration,
}

impl Deployed {
    /// Whether what is seen with this token is the same deploy.
    #[must_use]
    pub fn is(&self, info: &SnapshotInfo, token: &Token) -> bool {
        self.info.identity == info.identity || self.token == *token
    }
}

/// What fires now, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The worst of them.
    pub severity: Severity,
    /// Which triggers.
    pub triggers: Vec<String>,
    /// When the first trouble of them was seen first.
    pub since: Duration,
    /// What the last sample of the worst said.
    pub detail: String,
    /// When it began, with regard to the deploy.
    pub onset: Onset,
}

impl Vigil {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(triggers: Vec<Trigger>) -> Self {
        let watched = |trigger| Watched {
            trigger,
            learning: Learning::over(LEARNT_OVER),
            baseline: Baseline::default(),
            reading: Reading::Unknown("no sample yet".to_owned()),
            quiet: None,
            bad_before: false,
            told: None,
            seen: VecDeque::new(),
        };
        Self { rules: triggers.into_iter().map(watched).collect(), deployed: None, looked: None }
    }

    /// Takes a sample of the trigger with this number, in the order that they were given in. A number that no trigger has is passed over.
    /// `ago` is for how long it has been so, where the source of the sample knows that.
    pub fn fed(&mut self, number: usize, at: Duration, sample: &Sample, ago: Option<Duration>) {
        let Some(rule) = self.rules.get_mut(number) else { return };
        rule.told = ago.map(|ago| (at, ago));
        rule.learning.feed(at, sample);
        rule.reading = rule.trigger.feed(at, sample, &rule.baseline);
        let holds = rule.trigger.rule().holds(sample, &rule.baseline);
        rule.bad_before &= !matches!(holds, Holds::No(_));
        rule.quiet = match rule.reading {
            Reading::Quiet => rule.quiet.or(Some(at)),
            Reading::Unknown(_) | Reading::Pending(_) | Reading::Fired(_) => None,
        };
        let bad = match holds {
            Holds::Yes => Some(true),
            Holds::No(_) => Some(false),
            Holds::Unknown(_) => None,
        };
        let value = number_of(rule.trigger.rule().all.as_slice(), sample);
        rule.seen.push_back(Seen { at, bad, value });
        if rule.seen.len() > KEPT {
            rule.seen.pop_front();
        }
    }

    /// Takes a look that was begun at `at`: what runs, or is on its way, and the token that it was seen with. Whether that is another version
    /// than before.
    ///
    /// Where the token is the same, nobody deployed anything: another identity is then only something that is known better, or not so
    /// well, as of a container that ends and is started again.
    pub fn looked(&mut self, at: Duration, info: &SnapshotInfo, token: &Token) -> bool {
        let before = self.looked.replace(at);
        let deployed = |not_before| {
            let (info, token) = (info.clone(), token.clone());
            Deployed { info, token, not_before, by: at }
        };
        match &mut self.deployed {
            Some(same) if same.is(info, token) => {
                (same.info, same.token) = (info.clone(), token.clone());
                return false;
            }
            None => self.deployed = Some(deployed(None)),
            Some(other) => {
                *other = deployed(before);
                let last = before.unwrap_or(at);
                self.rules.iter_mut().for_each(|rule| rule.another_version(last));
            }
        }
        true
    }

    /// What is judged.
    #[must_use]
    pub fn deployed(&self) -> Option<&Deployed> {
        self.deployed.as_ref()
    }

    /// What fires now.
    #[must_use]
    pub fn fired(&self) -> Option<Fired> {
        let troubles = self.rules.iter().filter_map(|rule| match &rule.reading {
            Reading::Fired(trouble) => Some((rule, trouble)),
            Reading::Quiet | Reading::Unknown(_) | Reading::Pending(_) => None,
        });
        let troubles: Vec<_> = troubles.collect();
        let (worst, trouble) = troubles.iter().min_by_key(|(rule, _)| rule.trigger.severity())?;
        Some(Fired {
            severity: worst.trigger.severity(),
            triggers: troubles.iter().map(|(rule, _)| rule.trigger.name().to_owned()).collect(),
            since: troubles.iter().map(|(_, trouble)| trouble.since).min().unwrap_or(trouble.since),
            detail: trouble.detail.clone(),
            onset: self.onset(worst, trouble),
        })
    }

    fn onset(&self, rule: &Watched, trouble: &Trouble) -> Onset {
        let Some(deployed) = self.deployed.as_ref() else { return Onset::Unknown };
        let began_before = |moment: Duration, margin: Duration| {
            trouble.since + margin <= moment
                || rule.told.is_some_and(|(at, ago)| at + margin <= moment.saturating_add(ago))
        };
        match deployed.not_before {
            _ if rule.bad_before => Onset::Before,
            None if began_before(deployed.by, LONG_BEFORE) => Onset::Before,
            None => Onset::Unknown,
            Some(not_before) if began_before(not_before, DURING) => Onset::Before,
            Some(_) => Onset::After,
        }
    }

    /// Since when there is trouble that may become something, or has.
    #[must_use]
    pub fn troubled(&self) -> Option<Duration> {
        let since = |rule: &Watched| match &rule.reading {
            Reading::Pending(trouble) | Reading::Fired(trouble) => Some(trouble.since),
            Reading::Quiet | Reading::Unknown(_) => None,
        };
        self.rules.iter().filter_map(since).min()
    }

    /// The names of the triggers that see trouble.
    pub fn troubles(&self) -> impl Iterator<Item = &str> {
        let troubled = |rule: &&Watched| matches!(rule.reading, Reading::Pending(_) | Reading::Fired(_));
        self.rules.iter().filter(troubled).map(|rule| rule.trigger.name())
    }

    /// Why nobody knows how it is, if a trigger learns nothing: its name, and what its last sample said.
    #[must_use]
    pub fn unknown(&self) -> Option<(&str, &str)> {
        self.rules.iter().find_map(|rule| match &rule.reading {
            Reading::Unknown(why) => Some((rule.trigger.name(), why.as_str())),
            Reading::Quiet | Reading::Pending(_) | Reading::Fired(_) => None,
        })
    }

    /// Since when what is deployed is known to be well, by every trigger. `None` also where there is no trigger: what nobody watches earns
    /// nothing.
    #[must_use]
    pub fn well_since(&self) -> Option<Duration> {
        let deployed = self.deployed.as_ref()?.by;
        let quiet: Option<Vec<_>> = self.rules.iter().map(|rule| rule.quiet).collect();
        quiet?.into_iter().max().map(|since| since.max(deployed))
    }

    /// Whether a trigger asks what was usual before the deploy.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.rules.iter().any(Watched::compares)
    }

    /// What has been usual for the version that runs, by trigger, where that has been well for so long by every trigger that can tell. A
    /// trigger that only lacks what was usual before cannot: somebody must be the first.
    #[must_use]
    pub fn usual(&self, now: Duration, soak: Duration) -> BTreeMap<String, Baseline> {
        let Some(deployed) = &self.deployed else { return BTreeMap::new() };
        let told = self.rules.iter().filter(|rule| !rule.lacks());
        let quiet: Option<Vec<_>> = told.map(|rule| rule.quiet).collect();
        let since = quiet.map(|all| all.into_iter().max().unwrap_or_default().max(deployed.by));
        if since.is_none_or(|since| now.saturating_sub(since) < soak) {
            return BTreeMap::new();
        }
        let learnt = self.rules.iter().filter(|rule| rule.compares());
        let usual = learnt.map(|rule| (rule.trigger.name().to_owned(), rule.learning.before(now)));
        usual.filter(|(_, baseline)| *baseline != Baseline::default()).collect()
    }

    /// Takes what was usual from somebody who saw it, for the triggers that have seen nothing themselves.
    pub fn remember(&mut self, usual: &BTreeMap<String, Baseline>) {
        for rule in self.rules.iter_mut().filter(|rule| rule.lacks()) {
            if let Some(baseline) = usual.get(rule.trigger.name()) {
                rule.baseline = baseline.clone();
            }
        }
    }

    /// The samples of each trigger, the oldest first.
    pub fn seen(&self) -> impl Iterator<Item = (&Trigger, impl Iterator<Item = &Seen>)> {
        self.rules.iter().map(|rule| (&rule.trigger, rule.seen.iter()))
    }
}

impl Watched {
    /// The numbers that are compared with what they were.
    fn compared(&self) -> impl Iterator<Item = &str> {
        self.trigger.rule().all.iter().filter_map(|check| match check {
            Check::AboveBaseline { metric, .. } => Some(metric.as_str()),
            _ => None,
        })
    }

    fn compares(&self) -> bool {
        self.compared().next().is_some()
    }

    /// Whether it can tell nothing because it does not know what was usual.
    fn lacks(&self) -> bool {
        self.compared().any(|metric| self.baseline.get(metric).is_none())
    }

    /// The version before was seen last at `last`; what began about then or later may belong to the one that came.
    fn another_version(&mut self, last: Duration) {
        let learnt = match &self.reading {
            // What was usual for a version that was bad is no measure.
            Reading::Pending(trouble) | Reading::Fired(trouble) if trouble.since <= last => {
                Baseline::default()
            }
            _ => self.learning.before(last),
        };
        if learnt != Baseline::default() {
            self.baseline = learnt;
        }
        self.learning.forget();
        self.quiet = None;
        let (bad_before, keeps) = match &self.reading {
            // It fired at the version before: this one is what somebody did about it.
            Reading::Fired(_) => (true, false),
            Reading::Pending(trouble) => (true, trouble.since + DURING > last),
            Reading::Quiet | Reading::Unknown(_) => (false, false),
        };
        if !keeps {
            self.bad_before = bad_before;
            self.trigger.forget();
            self.reading = Reading::Unknown("no sample of this version yet".to_owned());
        }
    }
}

fn number_of(checks: &[Check], sample: &Sample) -> Option<f64> {
    let metric = checks.iter().find_map(|check| match check {
        Check::Below { metric, .. } | Check::Above { metric, .. } | Check::AboveBaseline { metric, .. } => {
            Some(metric)
        }
        _ => None,
    });
    // Where the rule is about none, the first is better than a flat line.
    match metric {
        Some(metric) => sample.metrics.get(metric).copied(),
        None => sample.metrics.values().next().copied(),
    }
    .filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use rollback_core::Identity;

    use super::*;
    use crate::named;

    fn info(revision: &str, content: &str) -> SnapshotInfo {
        SnapshotInfo::new(revision.parse().unwrap(), Identity::of(content).unwrap())
    }

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn only_who_deploys_makes_another_version() {
        let mut vigil = Vigil::new(vec![named::outage()]);
        let (one, two) = (Token::new("1"), Token::new("2"));
        assert!(vigil.looked(at(0), &info("41", "a"), &one));
        assert!(!vigil.looked(at(10), &info("41", "a"), &one));
        // Of what crashes, it is not known at every moment which image it runs.
        assert!(!vigil.looked(at(20), &info("41", "unknown"), &one));
        assert!(!vigil.looked(at(30), &info("41", "a"), &one));
        // The same content by another deploy is no other version, and neither is what that is called.
        assert!(!vigil.looked(at(40), &info("42", "a"), &two));
        assert!(vigil.looked(at(50), &info("43", "b"), &Token::new("3")));
        let deployed = vigil.deployed().unwrap();
        assert_eq!((deployed.not_before, deployed.by), (Some(at(40)), at(50)));
    }

    #[test]
    fn trouble_is_the_deploys_that_it_began_with() {
        let onset = |trouble: u64, deploy: u64, fires: u64| {
            let mut vigil = Vigil::new(vec![named::outage()]);
            let mut looks = vec![(0, "a"), (deploy - 1, "a"), (deploy, "b")].into_iter().peekable();
            for second in (0..=fires).step_by(10) {
                while let Some((look, content)) = looks.next_if(|(look, _)| *look <= second) {
                    vigil.looked(at(look), &info(content, content), &Token::new(content));
                }
                let sample = if second < trouble { Sample::ok("200") } else { Sample::bad("503") };
                vigil.fed(0, at(second), &sample, None);
            }
            vigil.fired().map(|fired| fired.onset)
        };
        assert_eq!(onset(100, 95, 230), Some(Onset::After));
        // It was stopped to be replaced, and the new version shows a moment later.
        assert_eq!(onset(100, 115, 230), Some(Onset::After));
        assert_eq!(onset(100, 180, 400), Some(Onset::Before));
        // It had fired before: what came then is what somebody did about it.
        assert_eq!(onset(100, 300, 500), Some(Onset::Before));
        assert_eq!(onset(100, 95, 210), None);
    }

    #[test]
    fn an_alarm_that_fired_before_anybody_looked_is_not_the_deploys() {
        let minutes = |minutes: u64| Some(at(minutes * 60));
        let onset = |looks: &[(u64, &str)], ago: Option<Duration>| {
            let mut vigil = Vigil::new(vec![named::data()]);
            for (look, content) in looks {
                vigil.looked(at(*look), &info(content, content), &Token::new(*content));
            }
            vigil.fed(0, at(60), &Sample::bad("ALARM"), ago);
            vigil.fired().map(|fired| fired.onset)
        };
        // A guard that begins after the deploy does not know when that was; it took no half hour.
        assert_eq!(onset(&[(0, "b")], minutes(90)), Some(Onset::Before));
        assert_eq!(onset(&[(0, "b")], minutes(5)), Some(Onset::Unknown));
        assert_eq!(onset(&[(0, "b")], None), Some(Onset::Unknown));
        // A watcher saw the version come.
        let seen = [(20, "a"), (50, "b")];
        assert_eq!(onset(&seen, minutes(5)), Some(Onset::Before));
        assert_eq!(onset(&seen, Some(at(20))), Some(Onset::After));
        assert_eq!(onset(&seen, None), Some(Onset::After));
    }
}
