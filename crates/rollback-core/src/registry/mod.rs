//! Drivers by name: configuration in, target out.

mod expand;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result, quoted};
use crate::name::ComponentName;
use crate::target::Capabilities;

pub use self::expand::{Expand, MOST_PARTS, is_part};

/// Makes targets from configuration.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// The name in `driver = "…"`.
    fn name(&self) -> &'static str;

    /// What it rolls back, in one line.
    fn summary(&self) -> &'static str;

    /// The JSON Schema of its configuration. Core refuses keys that are not in it and names the nearest one.
    fn config_schema(&self) -> Value;

    /// The most that its targets can do, for tables.
    fn capabilities(&self) -> Capabilities;

    /// Makes the target of one component. `config` was checked for unknown keys and has its `${ENV}` expanded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with the key and what to write instead.
    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>>;

    /// Its other half, if its configuration can stand for many components: [`Expand`]. A driver that wraps another one hands on what that
    /// has.
    fn expand(&self) -> Option<&dyn Expand> {
        None
    }
}

/// The drivers that a binary was built with.
///
/// ```no_run
/// # use rollback_core::{Driver, DriverRegistry};
/// # fn demo(mine: impl Driver) {
/// let registry = DriverRegistry::new().with(mine);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct DriverRegistry {
    drivers: BTreeMap<&'static str, Arc<dyn Driver>>,
}

impl DriverRegistry {
    /// No drivers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a driver. One of the same name is replaced: the last one given wins.
    #[must_use]
    pub fn with(mut self, driver: impl Driver) -> Self {
        self.drivers.insert(driver.name(), Arc::new(driver));
        self
    }

    /// The drivers, by name.
    pub fn drivers(&self) -> impl Iterator<Item = &dyn Driver> {
        self.drivers.values().map(|driver| &**driver)
    }

    /// Makes the target of one component.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for an unknown driver or key, naming the nearest known one; else what the driver says.
    pub async fn connect(
        &self,
        driver: &str,
        component: &ComponentName,
        config: Value,
    ) -> Result<Arc<dyn DynTarget>> {
        self.checked(driver, component, &config)?.connect(component, config).await
    }

    /// The driver, if it knows all keys.
    fn checked(&self, driver: &str, component: &ComponentName, config: &Value) -> Result<&dyn Driver> {
        let operation = || format!("set up component {component:?}");
        let Some(found) = self.drivers.get(driver) else {
            return Err(Error::new(
                ErrorKind::Invalid,
                operation(),
                format!("there is no driver {driver:?}"),
            )
            .next(known("drivers", driver, self.drivers.keys().copied())));
        };
        check_keys(config, &found.config_schema()).map_err(|unknown| {
            Error::new(
                ErrorKind::Invalid,
                operation(),
                format!("the {driver} driver has no setting {:?}", unknown.path),
            )
            .next(known("settings", &unknown.key, unknown.known.iter().map(String::as_str)))
        })?;
        Ok(&**found)
    }
}

impl fmt::Debug for DriverRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.drivers.keys()).finish()
    }
}

/// Reads a driver's settings, and names the one that does not fit: for [`Driver::connect`].
///
/// ```
/// # use rollback_core::ComponentName;
/// use rollback_core::registry::read_settings;
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Settings {
///     releases: String,
/// }
/// let schema = serde_json::json!({ "properties": { "releases": { "description": "a folder" } } });
/// let name = ComponentName::new("web")?;
/// let wrong = serde_json::json!({ "releases": 7 });
/// let error = read_settings::<Settings>(&name, &wrong, &schema).unwrap_err();
/// assert!(error.to_string().contains("setting \"releases\" does not fit: invalid type"));
/// assert_eq!(error.next_step(), Some("releases is: a folder"));
/// # Ok::<(), rollback_core::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Invalid`].
pub fn read_settings<T: DeserializeOwned>(
    component: &ComponentName,
    config: &Value,
    schema: &Value,
) -> Result<T> {
    let fault = match serde_json::from_value::<T>(config.clone()) {
        Ok(settings) => return Ok(settings),
        Err(error) => without_value(&error.to_string()),
    };
    // The culprit is the setting without which another error, or none, comes up.
    let without = |key: &String| {
        let mut rest = config.clone();
        rest.as_object_mut().map(|settings| settings.remove(key));
        serde_json::from_value::<T>(rest).err().map(|error| without_value(&error.to_string()))
    };
    let keys = config.as_object().into_iter().flatten().map(|(key, _)| key);
    let culprit = keys.into_iter().find(|key| without(key).as_ref() != Some(&fault));
    let operation = format!("set up component {component:?}");
    let Some(key) = culprit else {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<_> = required.filter_map(Value::as_str).collect();
        return Err(Error::new(ErrorKind::Invalid, operation, fault)
            .next(format!("these settings must be there: {}", required.join(", "))));
    };
    let about = schema.get("properties").and_then(|all| all.get(key)).and_then(|one| one.get("description"));
    let about = about.and_then(Value::as_str).unwrap_or("see the driver's documentation");
    Err(Error::new(ErrorKind::Invalid, operation, format!("setting {key:?} does not fit: {fault}"))
        .next(format!("{key} is: {about}")))
}

/// As [`read_settings`], and refuses a key of the topmost level that the schema does not have, naming the nearest one.
///
/// For reading settings that no [`DriverRegistry`] has checked, into a type that cannot refuse strangers by itself: one that flattens
/// others. The value of the stranger is not quoted.
///
/// ```
/// # use rollback_core::ComponentName;
/// use rollback_core::registry::read_known_settings;
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Settings {
///     releases: String,
/// }
/// let schema = serde_json::json!({ "properties": { "releases": { "description": "a folder" } } });
/// let name = ComponentName::new("web")?;
/// let misspelt = serde_json::json!({ "relases": "/srv/releases" });
/// let error = read_known_settings::<Settings>(&name, &misspelt, &schema).unwrap_err();
/// assert_eq!(error.message(), "there is no setting \"relases\"");
/// assert_eq!(error.next_step(), Some("did you mean \"releases\"? the settings are: releases"));
/// # Ok::<(), rollback_core::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Invalid`].
pub fn read_known_settings<T: DeserializeOwned>(
    component: &ComponentName,
    config: &Value,
    schema: &Value,
) -> Result<T> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let words = || properties.into_iter().flatten().map(|(word, _)| word.as_str());
    let given = config.as_object().into_iter().flatten().map(|(word, _)| word);
    if let Some(stranger) = given.into_iter().find(|word| words().all(|known| known != *word)) {
        let why = format!("there is no setting {}", quoted(stranger));
        return Err(Error::new(ErrorKind::Invalid, format!("set up component {component:?}"), why)
            .next(known("settings", stranger, words())));
    }
    read_settings(component, config, schema)
}

/// The refusal of a setting whose value is of the right type and cannot be meant. The value is quoted: not for secrets.
///
/// ```
/// use rollback_core::registry::wrong_setting;
///
/// let error = wrong_setting("namespace", "Shop!", "is no namespace's name", "write it like shop");
/// assert_eq!(
///     error.to_string(),
///     "cannot use setting \"namespace\": \"Shop!\" is no namespace's name\n  next: write it like shop",
/// );
/// ```
#[must_use]
pub fn wrong_setting(key: &str, value: &str, why: &str, next: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("use setting {key:?}"), format!("{} {why}", quoted(value)))
        .next(next)
}

/// A complaint about the type of a value, without the value: that may be a secret which was written in the wrong way.
fn without_value(fault: &str) -> String {
    let Some((head, rest)) = fault.split_once(": ").filter(|(head, _)| head.starts_with("invalid ")) else {
        return fault.to_owned();
    };
    match (rest.split(' ').next(), rest.rfind(", expected ")) {
        (Some(kind @ ("string" | "integer" | "floating" | "boolean" | "character" | "byte")), Some(at)) => {
            let kind = if kind == "floating" { "number" } else { kind };
            format!("{head}: {kind}{}", &rest[at..])
        }
        _ => fault.to_owned(),
    }
}

/// Names the nearest known word, or all of them.
///
/// ```
/// let text = rollback_core::registry::known("settings", "relases", ["releases", "current"]);
/// assert_eq!(text, "did you mean \"releases\"? the settings are: releases, current");
/// ```
pub fn known<'a>(what: &str, wrong: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    let nearest = words
        .iter()
        .map(|word| (strsim::damerau_levenshtein(wrong, word), word))
        .filter(|(distance, word)| *distance <= word.len().max(wrong.len()) / 3 + 1)
        .min();
    let all = words.join(", ");
    match nearest {
        Some((_, word)) => format!("did you mean {word:?}? the {what} are: {all}"),
        None => format!("the {what} are: {all}"),
    }
}

struct UnknownKey {
    path: String,
    key: String,
    known: Vec<String>,
}

/// Looks for keys that the schema does not have. Follows plain objects; lists and maps of free keys pass.
fn check_keys(config: &Value, schema: &Value) -> std::result::Result<(), UnknownKey> {
    check_keys_at("", config, schema, schema)
}

fn check_keys_at(
    path: &str,
    config: &Value,
    schema: &Value,
    root: &Value,
) -> std::result::Result<(), UnknownKey> {
    let schema = resolve(schema, root);
    let (Some(entries), Some(properties)) =
        (config.as_object(), schema.get("properties").and_then(Value::as_object))
    else {
        return Ok(());
    };
    let open = schema.get("additionalProperties").is_some_and(|more| more != &Value::Bool(false));
    for (key, value) in entries {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match properties.get(key) {
            Some(inner) => check_keys_at(&here, value, inner, root)?,
            None if open => {}
            None => {
                return Err(UnknownKey {
                    path: here,
                    key: key.clone(),
                    known: properties.keys().cloned().collect(),
                });
            }
        }
    }
    Ok(())
}

/// Follows a local `$ref`, and the single alternative of an optional object.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'))
    {
        return root.pointer(pointer).unwrap_or(schema);
    }
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let object = alternatives.and_then(|all| all.iter().find(|one| one.get("$ref").is_some()));
    match object {
        Some(object) => resolve(object, root),
        None => schema,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_keys_are_found_at_any_depth() {
        let schema = json!({
            "properties": { "a": {}, "inner": { "anyOf": [{ "$ref": "#/$defs/Inner" }, { "type": "null" }] } },
            "$defs": { "Inner": { "properties": { "deep": {} } } },
        });
        assert!(check_keys(&json!({ "a": 1, "inner": { "deep": 2 } }), &schema).is_ok());
        let unknown = check_keys(&json!({ "inner": { "deap": 2 } }), &schema).unwrap_err();
        assert_eq!(unknown.path, "inner.deap");
        assert!(
            known("settings", &unknown.key, unknown.known.iter().map(String::as_str)).contains("\"deep\"")
        );
    }

    #[test]
    fn values_of_the_wrong_type_are_not_quoted() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only what cannot be read into it matters")]
        struct Settings {
            port: u16,
            token: String,
        }
        let name = ComponentName::new("web").unwrap();
        let read = |settings| {
            read_settings::<Settings>(&name, &settings, &Value::Null).unwrap_err().message().to_owned()
        };
        let secret = "hunter2, expected nobody";
        assert_eq!(
            read(json!({ "port": secret, "token": "x" })),
            "setting \"port\" does not fit: invalid type: string, expected u16"
        );
        assert_eq!(
            read(json!({ "port": 1, "token": 77.5 })),
            "setting \"token\" does not fit: invalid type: number, expected a string"
        );
        assert!(!read(json!({ "port": 707_070, "token": "x" })).contains("707"));
    }

    #[test]
    fn far_off_words_get_no_guess() {
        assert_eq!(known("drivers", "mainframe", ["local", "ecs"]), "the drivers are: local, ecs");
    }
}
