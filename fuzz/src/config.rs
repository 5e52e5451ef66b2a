//! Configuration, by the command's own way of reading it, down to the targets and probes that it sets up.

use std::path::Path;

use rollback_cli::config::Config;
use rollback_core::{ComponentName, Driver as _, DriverRegistry, Error};
use rollback_driver_local::LocalDriver;
use rollback_testkit::sim::{Settings, World};
use serde_json::Value;

use crate::driver::Toy;
use crate::promises::refused;
use crate::world::{clock, in_virtual_time};

/// What the variable `SECRET` holds. Errors never show it.
const SECRET: &str = "hunter22-ozymandias";

fn variable(name: &str) -> Option<String> {
    match name {
        "ROOT" => Some("/srv".to_owned()),
        "EMPTY" => Some(String::new()),
        "SECRET" => Some(SECRET.to_owned()),
        _ => None,
    }
}

/// Reads a file, and sets up every component in every environment and every gate. Nothing is looked at or run: the
/// settings name commands.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    in_virtual_time(async {
        let drivers = clouds(DriverRegistry::new())
            .with(LocalDriver)
            .with(Toy(World::new(Settings::default(), clock())));
        let config = match Config::parse(Path::new("ops/rollback.toml"), text, &drivers, &variable) {
            Ok(config) => config,
            Err(error) => return secretly_refused(&error, ""),
        };
        assert!(!format!("{config:?}").contains(SECRET), "a secret is shown for debugging");
        let again = Config::parse(Path::new("ops/rollback.toml"), text, &drivers, &variable).ok();
        assert!(again.as_ref() == Some(&config), "the same text reads differently");
        let hidden = |error: &Error| secretly_refused(error, &config.hidden.hide(&error.to_string()));
        for environment in config.environments.keys() {
            for name in config.components_in(environment) {
                let component = &config.components[name];
                let settings = component.settings_in(environment);
                // Not connected: that reads this machine's own files and asks for credentials.
                if is_cloud(&component.driver, name, &settings, &hidden) {
                    continue;
                }
                if let Err(error) = drivers.connect(&component.driver, name, settings).await {
                    hidden(&error);
                }
            }
        }
        let probes = rollback_probes::registry();
        for gate in &config.gates {
            assert!(gate.rule.within.is_some(), "a gate without an end");
            if let Err(error) = probes.build(&gate.probe) {
                hidden(&error);
            }
        }
        local_round_trip(&config).await;
    });
}

#[cfg(feature = "clouds")]
fn clouds(drivers: DriverRegistry) -> DriverRegistry {
    drivers.with(rollback_driver_ecs::EcsDriver).with(rollback_driver_k8s::K8sDriver::default())
}

#[cfg(not(feature = "clouds"))]
fn clouds(drivers: DriverRegistry) -> DriverRegistry {
    drivers
}

/// Checks the settings of a component, if its driver is one of a cloud.
#[cfg(feature = "clouds")]
fn is_cloud(driver: &str, name: &ComponentName, settings: &Value, hidden: &impl Fn(&Error)) -> bool {
    match driver {
        "ecs" => {
            round_trip(|settings| rollback_driver_ecs::EcsConfig::read(name, settings), settings, hidden);
        }
        "k8s" => {
            round_trip(|settings| rollback_driver_k8s::K8sConfig::read(name, settings), settings, hidden);
        }
        _ => return false,
    }
    true
}

#[cfg(not(feature = "clouds"))]
fn is_cloud(_: &str, _: &ComponentName, _: &Value, _: &impl Fn(&Error)) -> bool {
    false
}

/// What a driver accepts, it accepts again once it was written; and it shows no secret.
#[cfg(feature = "clouds")]
fn round_trip<C: std::fmt::Debug + PartialEq + serde::Serialize>(
    read: impl Fn(&Value) -> rollback_core::Result<C>,
    settings: &Value,
    hidden: &impl Fn(&Error),
) {
    let found = match read(settings) {
        Ok(found) => found,
        Err(error) => return hidden(&error),
    };
    // What somebody puts where a name belongs is a name.
    let mut names = settings.clone();
    names.as_object_mut().map(|names| names.remove("fingerprint_key"));
    let is_name = names.to_string().contains(SECRET);
    assert!(is_name || !format!("{found:?}").contains(SECRET), "a secret is shown for debugging");
    let written = serde_json::to_value(&found).expect("settings are JSON");
    assert_eq!(read(&written).ok().as_ref(), Some(&found), "settings change by being written");
}

/// `shown` is what a person sees of it, where that is not the error as it is.
fn secretly_refused(error: &Error, shown: &str) {
    refused(error);
    let text = if shown.is_empty() { format!("{error} {error:?}") } else { shown.to_owned() };
    assert!(!text.contains(SECRET), "a secret is shown: {text}");
}

/// What the local driver accepts, it accepts again once it was written.
async fn local_round_trip(config: &Config) {
    for component in config.components.values().filter(|component| component.driver == "local") {
        let settings = Value::Object(component.settings.clone());
        let Ok(read) = serde_json::from_value::<rollback_driver_local::LocalConfig>(settings) else {
            continue;
        };
        let written = serde_json::to_value(&read).expect("settings are JSON");
        let again = serde_json::from_value(written.clone());
        assert_eq!(again.ok().as_ref(), Some(&read), "settings change by being written");
        let name = ComponentName::new("web").expect("a good name");
        let connected = LocalDriver.connect(&name, written).await;
        assert_eq!(connected.is_ok(), read.build().is_ok(), "settings are understood in two ways");
    }
}
