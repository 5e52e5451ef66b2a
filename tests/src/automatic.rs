//! Automatic rollback: a watcher beside something that is really deployed, and what its incident must say of a bad deploy.
//!
//! ```no_run
//! # use rollback_tests::{Result, Site, automatic};
//! # fn deploy_badly() -> Result<()> { Ok(()) }
//! # fn example(site: &Site) -> Result<()> {
//! automatic::watched(site, &automatic::outage("{ kind = \"http\", url = \"http://127.0.0.1:8000/\" }"))?;
//! automatic::record(site)?;
//! let watcher = automatic::watch(site)?;
//! deploy_badly()?;
//! let (incident, _) = automatic::ended(site, "a service", watcher)?;
//! automatic::detected_in_time(&incident, "outage", automatic::LASTING)?;
//! # Ok(())
//! # }
//! ```

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::{Ran, Result, Running, Site, pause, until};

/// For how long it is bad before [`outage`] fires.
pub const LASTING: Duration = Duration::from_secs(2);
/// The pause between two samples of [`outage`].
pub const EVERY: Duration = Duration::from_millis(200);
/// For how long a deploy has failed before [`DEPLOY`] fires.
pub const FAILING: Duration = Duration::from_secs(1);
/// The trigger on what the driver sees, which fires when looks have shown for a second that a deploy failed.
pub const DEPLOY: &str =
    "[[triggers]]\nname = \"deploy\"\ncomponent = \"web\"\nrule = { lasting = \"1s\" }\n";

/// What production has in a test: nobody is asked, and what runs is looked at often.
const PRODUCTION: &str = "lease = \"2s\"\n\
    [environments.prod]\nautomatic = \"act\"\nconfirm = \"ROLLBACK-PROD\"\nsingle_operator = true\n\
    [watch]\nlook_every = \"500ms\"\nsoak = \"1h\"\n";

/// Adds to a configuration with a component `web` that it is watched, in an environment where nobody is asked.
///
/// # Errors
///
/// What the file system says.
pub fn watched(site: &Site, triggers: &str) -> Result<()> {
    let text = fs::read_to_string(site.path("rollback.toml"))?;
    site.write_configuration(&format!("{PRODUCTION}{text}{triggers}"))
}

/// The trigger on a probe of `web`: bad for [`LASTING`], asked every [`EVERY`].
#[must_use]
pub fn outage(probe: &str) -> String {
    let (lasting, every) = (LASTING.as_millis(), EVERY.as_millis());
    format!(
        "[[triggers]]\nname = \"outage\"\ncomponent = \"web\"\nprobe = {probe}\n\
         rule = {{ lasting = \"{lasting}ms\", every = \"{every}ms\" }}\n"
    )
}

/// Records what runs as good, as a person does.
///
/// # Errors
///
/// When it does not end.
///
/// # Panics
///
/// When it fails.
#[track_caller]
pub fn record(site: &Site) -> Result<()> {
    site.run("record web --good --by ana")?.expect(0);
    Ok(())
}

/// Starts a watcher, and waits until it has looked once.
///
/// # Errors
///
/// When it ends before that.
pub fn watch(site: &Site) -> Result<Running> {
    let watcher = site.start("watch")?;
    watcher.until_said(" is there")?;
    Ok(watcher)
}

/// Waits until what was deployed is rolled back and over, and stops the watcher: the incident, and what the watcher said. How long each phase took is printed.
///
/// # Errors
///
/// When it does not come to that.
///
/// # Panics
///
/// When it ends in any other way than restored by one run, or is not put down to the deploy.
#[track_caller]
pub fn ended(site: &Site, what: &str, watcher: Running) -> Result<(Value, Ran)> {
    let incident = rolled_back(site);
    watcher.signal("TERM")?;
    let ended = watcher.end()?.expect(0);
    let incident = incident.map_err(|error| format!("{error}; the watcher: {ended}"))?;
    assert_eq!(incident["state"], "restored", "{incident:#}; the watcher: {ended}");
    assert_eq!((&incident["onset"], &incident["runs"]), (&"after".into(), &1.into()), "{incident:#}");
    told(what, &incident);
    Ok((incident, ended))
}

/// The incidents of a site, the newest first.
///
/// # Errors
///
/// When they cannot be listed.
///
/// # Panics
///
/// When the command fails.
#[track_caller]
pub fn incidents(site: &Site) -> Result<Vec<Value>> {
    let document = site.run("incidents --output json")?.expect(0).json();
    Ok(document["incidents"].as_array().cloned().unwrap_or_default())
}

/// Waits for the one incident whose rollback has ended, and that is over.
///
/// # Errors
///
/// When there is none in time.
pub fn rolled_back(site: &Site) -> Result<Value> {
    let ended = until("the rollback to end", || {
        // What is waited for shall have the processors.
        pause(EVERY);
        let ended = incidents(site).ok()?.into_iter().find(|incident| !incident["state"].is_null());
        ended.filter(|incident| !incident["over_at"].is_null())
    });
    ended.map_err(|error| format!("{error}: {:#?}", incidents(site)).into())
}

/// The seconds from one moment of an incident to another.
///
/// # Panics
///
/// When it has not come to one of them.
#[must_use]
#[track_caller]
pub fn seconds(incident: &Value, from: &str, to: &str) -> f64 {
    let (Some(from), Some(to)) = (moment(&incident[from]), moment(&incident[to])) else {
        panic!("{from}, {to}: {incident:#}")
    };
    to.duration_since(from).as_secs_f64()
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Prints how long each phase took.
fn told(what: &str, incident: &Value) {
    for (phase, from, to) in [
        ("seen to detected", "since", "fired_at"),
        ("detected to begun", "fired_at", "acted_at"),
        ("begun to proven", "acted_at", "acted_until"),
        ("seen to over", "since", "over_at"),
    ] {
        println!("{what}: {phase}: {:.2} s", seconds(incident, from, to));
    }
}

/// A trouble is detected once it has lasted for `lasting`, and within two pauses between samples after that: as long as they really were, for
/// on a machine that is busy each is longer than was wanted.
///
/// # Errors
///
/// When it was detected at another time, or nothing is remembered of the trigger.
pub fn detected_in_time(incident: &Value, trigger: &str, lasting: Duration) -> Result<()> {
    let plots = incident["samples"].as_array().into_iter().flatten();
    let plot = plots.into_iter().find(|plot| plot["trigger"] == trigger);
    let points = plot.and_then(|plot| plot["points"].as_array()).ok_or("no samples")?;
    let at: Vec<_> = points.iter().filter_map(|point| moment(&point["at"])).collect();
    let pauses = at.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64());
    let pause = pauses.fold(EVERY.as_secs_f64(), f64::max);
    let (took, lasting) = (seconds(incident, "since", "fired_at"), lasting.as_secs_f64());
    // A moment is told to the microsecond, by two clocks.
    if took >= lasting - 0.001 && took <= lasting + 2.0 * pause {
        return Ok(());
    }
    Err(format!("detected after {took} s, not {lasting} s and {pause} s for a sample: {incident:#}").into())
}
