//! The tables of a configuration: environments, components, gates.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rollback_core::condition::{Check, Rule};
use rollback_core::contents::{ContentsKey, ContentsKeys};
use rollback_core::environment::{Automatic, FreezeWindow};
use rollback_core::lease::{DEFAULT_TTL, LONGEST_TTL, SHORTEST_TTL};
use rollback_core::probe::{Gate, ProbeSpec};
use rollback_core::registry::known;
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, DriverRegistry, Environment, EnvironmentName, Error, Result};
use rollback_watch::named;
use serde_json::{Map, Value};

use super::document::{Content, Node};
use super::section::Section;
use super::{ComponentConfig, Config};

/// What a configuration without environments is planned in.
pub(super) fn unnamed() -> EnvironmentName {
    EnvironmentName::new("default").expect("it is a good name")
}

/// The time to live of leases.
pub(super) fn lease(top: &Section<'_>) -> Result<Lasting> {
    let lease = top.parsed("lease")?.unwrap_or(DEFAULT_TTL);
    if lease < SHORTEST_TTL {
        return Err(top.fault("lease", "is too short to be kept").next("write at least 1s; 15s is usual"));
    }
    if lease > LONGEST_TTL {
        return Err(top
            .fault("lease", "is too long: others would wait for so long after a crash")
            .next("write at most 10m; 15s is usual"));
    }
    Ok(lease)
}

/// The keys of kept contents. A key that is empty is none: a variable that is not set for everybody.
pub(super) fn contents(top: &Section<'_>) -> Result<Option<ContentsKeys>> {
    let keys = top.inner("contents", |section| {
        section.only(&["key", "earlier_keys"])?;
        let fault = |word: &str, error: &Error| {
            section
                .fault(word, &format!("cannot be used: {}", error.message()))
                .next(error.next_step().unwrap_or_default().to_owned())
        };
        let Some(key) = section.text("key")?.filter(|key| !key.is_empty()) else { return Ok(None) };
        let newest = ContentsKey::new(key.as_bytes()).map_err(|error| fault("key", &error))?;
        let mut keys = ContentsKeys::new(newest);
        for earlier in section.list::<String>("earlier_keys")?.into_iter().flatten() {
            keys =
                keys.or(ContentsKey::new(earlier.as_bytes()).map_err(|error| fault("earlier_keys", &error))?);
        }
        Ok(Some(keys))
    });
    keys.map(Option::flatten)
}

/// The environments; one that asks for nothing if the file has none.
pub(super) fn environments(top: &Section<'_>) -> Result<BTreeMap<EnvironmentName, Environment>> {
    let read = |name: EnvironmentName, section: Section<'_>| {
        environment(name.clone(), &section).map(|environment| (name, environment))
    };
    let found: BTreeMap<_, _> = top.named("environments", read)?.into_iter().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let name = unnamed();
    let environment = Environment::new(name.clone()).require_reason(false).single_operator(true);
    Ok(BTreeMap::from([(name, environment)]))
}

fn environment(name: EnvironmentName, section: &Section<'_>) -> Result<Environment> {
    section.only(&[
        "confirm",
        "expect_account",
        "require_reason",
        "automatic",
        "freeze",
        "contacts",
        "single_operator",
        "plan_expires_after",
        "soak",
    ])?;
    let mut environment = Environment::new(name);
    environment.confirm = section.text("confirm")?;
    if environment.confirm.as_ref().is_some_and(|phrase| phrase.trim() != phrase || phrase.is_empty()) {
        return Err(
            section.fault("confirm", "is empty, or begins or ends with a space: nobody could type it")
        );
    }
    environment.expect_account = section.text("expect_account")?;
    if let Some(require) = section.flag("require_reason")? {
        environment = environment.require_reason(require);
    }
    if let Some(automatic) = section.text("automatic")? {
        environment = environment.automatic(read_automatic(section, &automatic)?);
    }
    if let Some(single) = section.flag("single_operator")? {
        environment = environment.single_operator(single);
    }
    if let Some(expiry) = section.parsed::<Lasting>("plan_expires_after")? {
        environment = environment.plan_expires_after(expiry);
    }
    if let Some(soak) = section.parsed::<Lasting>("soak")? {
        environment = environment.soak(soak);
    }
    environment.freeze = section.each("freeze", |window| freeze(&window))?;
    environment.contacts = section.list("contacts")?.unwrap_or_default();
    Ok(environment)
}

fn read_automatic(section: &Section<'_>, text: &str) -> Result<Automatic> {
    match text {
        "act" => Ok(Automatic::Act),
        "propose" => Ok(Automatic::Propose),
        "off" => Ok(Automatic::Off),
        _ => Err(section
            .fault("automatic", "is none of the ways to act")
            .next("write \"act\", \"propose\" or \"off\"")),
    }
}

fn freeze(section: &Section<'_>) -> Result<FreezeWindow> {
    section.only(&["from", "to", "reason"])?;
    let moment = |key: &str| -> Result<Timestamp> {
        let text = section.required(key, section.text(key)?, "2026-12-24T00:00:00Z")?;
        text.parse().map_err(|_| {
            section.fault(key, "is not a time with a zone").next("write it like 2026-12-24T00:00:00Z")
        })
    };
    let (from, to) = (moment("from")?, moment("to")?);
    if to <= from {
        return Err(section.fault("to", "is not after from: the window would never hold"));
    }
    let reason = section.required("reason", section.text("reason")?, "\"why\"")?;
    Ok(FreezeWindow { from, to, reason })
}

pub(super) fn components(
    top: &Section<'_>,
    drivers: &DriverRegistry,
) -> Result<BTreeMap<ComponentName, ComponentConfig>> {
    let read = |name: ComponentName, section: Section<'_>| {
        component(&section, drivers).map(|component| (name, component))
    };
    Ok(top.named("components", read)?.into_iter().collect())
}

/// Keys of a component that are ours; everything else is the driver's.
const OWN_KEYS: [&str; 4] = ["driver", "after", "environments", "overrides"];

fn component(section: &Section<'_>, drivers: &DriverRegistry) -> Result<ComponentConfig> {
    let names: Vec<_> = drivers.drivers().map(rollback_core::Driver::name).collect();
    let example = format!("{:?}", names.first().unwrap_or(&"local"));
    let driver = section.required("driver", section.text("driver")?, &example)?;
    let Some(found) = drivers.drivers().find(|found| found.name() == driver) else {
        return Err(section.fault("driver", "is not a driver of this binary").next(known(
            "drivers",
            &driver,
            names.iter().copied(),
        )));
    };
    let schema = found.config_schema();
    only_settings(section, &schema, &OWN_KEYS)?;
    let environments = section.list::<EnvironmentName>("environments")?;
    let over = section.named("overrides", |name: EnvironmentName, section| {
        only_settings(&section, &schema, &[])?;
        Ok((name, section.json(&[])))
    })?;
    Ok(ComponentConfig {
        driver,
        after: section.list("after")?.unwrap_or_default(),
        environments: environments.map(|names| names.into_iter().collect::<BTreeSet<_>>()),
        settings: section.json(&OWN_KEYS),
        overrides: over.into_iter().collect::<BTreeMap<_, Map<String, Value>>>(),
    })
}

/// Refuses settings that the driver does not have, with their line. What is deeper the registry refuses later.
fn only_settings(section: &Section<'_>, schema: &Value, own: &[&str]) -> Result<()> {
    let open = schema.get("additionalProperties").is_some_and(|more| more != &Value::Bool(false));
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| !open) else {
        return Ok(());
    };
    let words: Vec<&str> = own.iter().copied().chain(properties.keys().map(String::as_str)).collect();
    section.only(&words)
}

pub(super) fn gate(section: &Section<'_>) -> Result<Gate> {
    section.only(&["name", "component", "probe", "rule"])?;
    let name = section.required("name", section.text("name")?, "\"health\"")?;
    let component = section.required("component", section.parsed("component")?, "\"web\"")?;
    let probe = probe(section)?;
    let rule = match section.word("rule") {
        Some("verification") => Some(named::verification()),
        Some(other) => {
            return Err(section
                .fault("rule", &format!("is called {other:?}, and no rule is"))
                .next("write \"verification\", or what must hold: { all = [\"ok\"], lasting = \"1m\", within = \"5m\" }"));
        }
        None => section.inner("rule", |rule| read_rule(&rule))?,
    };
    let rule = rule.unwrap_or_else(|| Rule::once_ok(Lasting::from_secs(120)));
    Ok(Gate { name, component, probe, rule })
}

/// What is sampled.
pub(super) fn probe(section: &Section<'_>) -> Result<ProbeSpec> {
    let probe = section.inner("probe", |probe| {
        let kind = probe.required("kind", probe.text("kind")?, "\"http\"")?;
        Ok(ProbeSpec { kind, config: probe.json(&["kind"]) })
    })?;
    section.required("probe", probe, "{ kind = \"http\", url = \"…\" }")
}

fn read_rule(section: &Section<'_>) -> Result<Rule> {
    section.only(&["all", "lasting", "times", "within", "every"])?;
    // A gate without an end would keep a rollback from ever being reported.
    let within = section.required("within", section.parsed("within")?, "\"2m\"")?;
    rule_into(section, Rule::once_ok(within))
}

/// What a rule says, beside its end.
pub(super) fn rule_into(section: &Section<'_>, mut rule: Rule) -> Result<Rule> {
    if let Some(lasting) = section.parsed("lasting")? {
        rule.lasting = lasting;
    }
    if let Some(times) = section.number("times")? {
        let whole = (1.0..=1_000_000.0).contains(&times) && times.fract() == 0.0;
        if !whole {
            return Err(section
                .fault("times", "is no number of samples")
                .next("write a whole number, like 3"));
        }
        rule.times = times as u32;
    }
    if let Some(every) = section.parsed::<Lasting>("every")? {
        if every.as_duration().is_zero() {
            return Err(section.fault("every", "is zero: the probe would be asked without a pause"));
        }
        rule.every = every;
    }
    rule.all = section.items("all")?.iter().map(|item| read_check(section, item)).collect::<Result<_>>()?;
    Ok(rule)
}

fn read_check(section: &Section<'_>, item: &Node) -> Result<Check> {
    let unknown = || {
        section.fault("all", "holds something that is no check").next(
            "write \"ok\", \"not-ok\", { below = { metric = \"latency_ms\", limit = 500 } }, { above = … } or \
             { above-baseline = { metric = \"latency_ms\", factor = 3 } }",
        )
    };
    match &item.content {
        Content::Text(text) if text == "ok" => Ok(Check::Ok),
        Content::Text(text) if text == "not-ok" => Ok(Check::NotOk),
        Content::Table(_) => section.item("all", item, |check| {
            check.only(&["below", "above", "above-baseline"])?;
            let below = check.inner("below", |limit| read_limit(&limit))?;
            let above = check.inner("above", |limit| read_limit(&limit))?;
            let usual = check.inner("above-baseline", |factor| read_factor(&factor))?;
            match (below, above, usual) {
                (Some((metric, limit)), None, None) => Ok(Check::Below { metric, limit }),
                (None, Some((metric, limit)), None) => Ok(Check::Above { metric, limit }),
                (None, None, Some((metric, factor))) => Ok(Check::AboveBaseline { metric, factor }),
                _ => Err(unknown()),
            }
        }),
        _ => Err(unknown()),
    }
}

fn read_limit(section: &Section<'_>) -> Result<(String, f64)> {
    section.only(&["metric", "limit"])?;
    let metric = section.required("metric", section.text("metric")?, "\"latency_ms\"")?;
    let limit = section.required("limit", section.number("limit")?, "500")?;
    Ok((metric, limit))
}

fn read_factor(section: &Section<'_>) -> Result<(String, f64)> {
    section.only(&["metric", "factor"])?;
    let metric = section.required("metric", section.text("metric")?, "\"latency_ms\"")?;
    let factor = section.required("factor", section.number("factor")?, "3")?;
    Ok((metric, factor))
}

/// Names that point from one table to another must be there.
pub(super) fn check_names(config: &Config, top: &Section<'_>, drivers: &DriverRegistry) -> Result<()> {
    let components: Vec<_> = config.components.keys().map(ComponentName::as_str).collect();
    let environments: Vec<_> = config.environments.keys().map(EnvironmentName::as_str).collect();
    if let Some(name) = config.environment.as_ref().filter(|name| !config.environments.contains_key(name)) {
        return Err(top.fault("environment", "names an environment that is not there").next(known(
            "environments",
            name.as_str(),
            environments.iter().copied(),
        )));
    }
    for gate in &config.gates {
        if !config.has(&gate.component, drivers) {
            let message = format!("has a gate {:?} on a component that is not there", gate.name);
            let hint = known("components", gate.component.as_str(), components.iter().copied());
            return Err(top.fault("gates", &message).next(hint));
        }
    }
    for trigger in &config.triggers {
        if !config.has(&trigger.component, drivers) {
            let message = format!("has a trigger {:?} on a component that is not there", trigger.name);
            let hint = known("components", trigger.component.as_str(), components.iter().copied());
            return Err(top.fault("triggers", &message).next(hint));
        }
    }
    top.named("components", |name: ComponentName, section| {
        let component = &config.components[&name];
        if let Some(first) = component.after.iter().find(|first| !config.has(first, drivers)) {
            let hint = known("components", first.as_str(), components.iter().copied());
            return Err(section.fault("after", "names a component that is not there").next(hint));
        }
        if component.after.contains(&name) {
            return Err(section.fault("after", "names the component itself"));
        }
        let restricted = component.environments.iter().flatten().map(|name| ("environments", name));
        let overridden = component.overrides.keys().map(|name| ("overrides", name));
        let mut named = restricted.chain(overridden);
        match named.find(|(_, name)| !config.environments.contains_key(name)) {
            None => Ok(()),
            Some((key, wrong)) => Err(section
                .fault(key, "names an environment that is not there")
                .next(known("environments", wrong.as_str(), environments.iter().copied()))),
        }
    })?;
    Ok(())
}
