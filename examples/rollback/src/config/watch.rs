//! The tables of automatic rollback: how it is watched, and what is bad.

use rollback_core::ComponentName;
use rollback_core::Result;
use rollback_core::condition::Rule;
use rollback_core::probe::ProbeSpec;
use rollback_core::registry::known;
use rollback_core::time::Lasting;
use rollback_notify::{Kind, SinkSpec};
use rollback_watch::{Settings, Severity, Trigger, named};

use super::parts;
use super::section::Section;

/// The kind of probe that is the driver itself: every look at what runs is a sample.
pub(crate) const DRIVER: &str = "driver";

/// How it is watched: `[watch]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchConfig {
    /// For the watcher.
    pub settings: Settings,
}

/// What is bad: one table of `[[triggers]]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TriggerConfig {
    /// What it is called. One of the names that [`named`] knows brings its rule along.
    pub name: String,
    /// The component.
    pub component: ComponentName,
    /// What is sampled.
    pub probe: ProbeSpec,
    /// What is bad.
    pub rule: Rule,
    /// How bad that is.
    pub severity: Severity,
}

impl TriggerConfig {
    /// The trigger, which has seen nothing.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        Trigger::new(self.name.clone(), self.rule.clone(), self.severity)
    }

    /// Whether the driver is asked, and no probe.
    #[must_use]
    pub fn asks_driver(&self) -> bool {
        self.probe.kind == DRIVER
    }
}

pub(super) fn watch(top: &Section<'_>) -> Result<WatchConfig> {
    let settings = top.inner("watch", |section| {
        section.only(&["budget", "window", "soak", "look_every", "patience"])?;
        let mut settings = Settings::default();
        if let Some(budget) = section.number("budget")? {
            if !(0.0..=100.0).contains(&budget) || budget.fract() != 0.0 {
                let fault = section.fault("budget", "is no number of rollbacks");
                return Err(fault.next("write a whole number, like 2; 0 for none without a person"));
            }
            settings.budget = budget as u32;
        }
        let time = |key: &str, is: &mut Lasting| -> Result<()> {
            if let Some(time) = section.parsed::<Lasting>(key)? {
                if time.as_duration().is_zero() {
                    return Err(section.fault(key, "is zero").next("write it like 30s or 15m"));
                }
                *is = time;
            }
            Ok(())
        };
        time("window", &mut settings.window)?;
        time("soak", &mut settings.soak)?;
        time("look_every", &mut settings.look_every)?;
        time("patience", &mut settings.patience)?;
        Ok(settings)
    })?;
    Ok(WatchConfig { settings: settings.unwrap_or_default() })
}

/// Who is told of what: one table of `[[notify]]`. Its settings are read when it is set up.
pub(super) fn sink(section: &Section<'_>) -> Result<SinkSpec> {
    let kind = section.required("kind", section.text("kind")?, "\"slack\"")?;
    let words = Kind::ALL.map(Kind::as_str).join(", ");
    let read = |word: String| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| {
            section.fault("on", &format!("has {word:?}, which is nothing to hear of")).next(words.clone())
        })
    };
    let on = section.list::<String>("on")?.map(|on| on.into_iter().map(read).collect::<Result<_>>());
    Ok(SinkSpec { kind, on: on.transpose()?, config: section.json(&["kind", "on"]) })
}

pub(super) fn trigger(section: &Section<'_>) -> Result<TriggerConfig> {
    section.only(&["name", "component", "probe", "rule", "severity"])?;
    let name = section.required("name", section.text("name")?, "\"outage\"")?;
    let component = section.required("component", section.parsed("component")?, "\"web\"")?;
    let common = named::trigger(&name);
    let rule = section.inner("rule", |rule| {
        rule.only(&["all", "lasting", "times", "every"])?;
        let begin = Rule { within: None, ..Rule::once_ok(Lasting::from_secs(0)) };
        let begin = common.as_ref().map_or(begin, |common| common.rule().clone());
        let all = begin.all.clone();
        let mut rule = parts::rule_into(&rule, begin)?;
        if rule.all.is_empty() {
            rule.all = all;
        }
        Ok(rule)
    })?;
    let unnamed = || {
        let names = named::triggers();
        let names = names.iter().map(Trigger::name);
        section
            .fault("name", "is not a rule that is known, and no rule is given")
            .next(format!("give a rule, or name one: {}", known("rules", &name, names)))
    };
    let rule = rule.or_else(|| common.as_ref().map(|common| common.rule().clone())).ok_or_else(unnamed)?;
    if rule.all.is_empty() {
        return Err(section
            .fault("rule", "does not say what is bad")
            .next("write all = [\"not-ok\"], or a limit: { above = { metric = \"…\", limit = 5 } }"));
    }
    let severity = match section.text("severity")?.as_deref() {
        Some("P0") => Severity::P0,
        Some("P1") => Severity::P1,
        Some("P2") => Severity::P2,
        Some("P3") => Severity::P3,
        Some(_) => {
            let fault = section.fault("severity", "is none");
            return Err(
                fault.next("write P0 (at once), P1 (after ten minutes), P2 (proposed) or P3 (recorded)")
            );
        }
        None => common.as_ref().map_or(Severity::P1, Trigger::severity),
    };
    // What the driver sees needs no settings.
    let probe = if section.has("probe") || name != named::deploy().name() {
        parts::probe(section)?
    } else {
        ProbeSpec { kind: DRIVER.to_owned(), config: serde_json::Map::new() }
    };
    Ok(TriggerConfig { name, component, probe, rule, severity })
}
