//! Configurations that stand for many components: whatever a selector selects at the moment it is asked.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;

use super::DriverRegistry;
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;

/// What stands between the name of a block and that of its part: `shop.web`.
const SEPARATOR: char = '.';
/// The most parts that a block may have: a plan holds several kilobytes of each.
pub const MOST_PARTS: usize = 10_000;

/// What a driver can do whose configuration may stand for many components: a *block*, of which each component is a *part*.
///
/// # Contract
///
/// - The name of a part says all that the block does not say: [`part`](Self::part) makes its settings of both and asks nobody. So a
///   saved plan, a journal and a command line that name a part mean the same thing for ever, whatever has come or gone since.
/// - [`expand`](Self::expand) names what there is now, and nothing that `part` does not take.
/// - A selection of nothing is an error ([`ErrorKind::NotFound`]) that says what was asked for, and where: nobody configures a block to
///   have nothing rolled back.
///
/// ```
/// use async_trait::async_trait;
/// use rollback_core::registry::Expand;
/// use rollback_core::{ComponentName, Error, ErrorKind, Result};
/// use serde_json::{Value, json};
///
/// /// `{ "hosts": ["a", "b"] }` stands for two components with `{ "host": … }`.
/// struct Hosts;
///
/// #[async_trait]
/// impl Expand for Hosts {
///     fn is_many(&self, config: &Value) -> bool {
///         config.get("hosts").is_some()
///     }
///
///     async fn expand(&self, _: &ComponentName, config: Value) -> Result<Vec<String>> {
///         let hosts = config["hosts"].as_array().into_iter().flatten();
///         Ok(hosts.filter_map(|host| host.as_str().map(str::to_owned)).collect())
///     }
///
///     fn part(&self, component: &ComponentName, config: Value, part: &str) -> Result<Value> {
///         match config["hosts"].as_array().is_some_and(|hosts| hosts.contains(&json!(part))) {
///             true => Ok(json!({ "host": part })),
///             false => {
///                 let why = format!("{component} has no host {part:?}");
///                 Err(Error::new(ErrorKind::NotFound, "find the component", why))
///             }
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Expand: Send + Sync {
    /// Whether this configuration stands for many components. Asks nobody.
    fn is_many(&self, config: &Value) -> bool;

    /// Names the parts that there are now, each by what follows the block's name. `config` was checked as for
    /// [`Driver::connect`](super::Driver::connect).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with the setting that does not fit, [`ErrorKind::NotFound`] when there are none, or what the backend says.
    async fn expand(&self, component: &ComponentName, config: Value) -> Result<Vec<String>>;

    /// The configuration of one part, as [`Driver::connect`](super::Driver::connect) takes it. `part` comes from a person or a file, and
    /// is hostile until it was looked at. Asks nobody: a part that is gone is found out when its target is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when this block could never have a part of this name, [`ErrorKind::Invalid`] with the setting that does not
    /// fit.
    fn part(&self, component: &ComponentName, config: Value, part: &str) -> Result<Value>;
}

/// Whether the name is that of a part of this block, as far as a name can say it: `shop.web` of `shop`.
///
/// ```
/// # use rollback_core::ComponentName;
/// use rollback_core::registry::is_part;
/// let name = |text: &str| ComponentName::new(text).unwrap();
/// assert!(is_part(&name("shop"), &name("shop.web")));
/// assert!(!is_part(&name("shop"), &name("shop")) && !is_part(&name("shop"), &name("shop-web")));
/// ```
#[must_use]
pub fn is_part(block: &ComponentName, name: &ComponentName) -> bool {
    suffix(block, name).is_some()
}

fn suffix<'a>(block: &ComponentName, name: &'a ComponentName) -> Option<&'a str> {
    let rest = name.as_str().strip_prefix(block.as_str())?.strip_prefix(SEPARATOR)?;
    (!rest.is_empty()).then_some(rest)
}

impl DriverRegistry {
    fn expander(&self, driver: &str) -> Option<&dyn Expand> {
        self.drivers.get(driver)?.expand()
    }

    /// Whether this configuration stands for many components. Asks nobody.
    #[must_use]
    pub fn is_many(&self, driver: &str, config: &Value) -> bool {
        self.expander(driver).is_some_and(|expander| expander.is_many(config))
    }

    /// The components that a block stands for now, by name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), what the driver says, and [`ErrorKind::Invalid`] when a part would have a name that no component can
    /// have, or when there are more than [`MOST_PARTS`].
    pub async fn expand(
        &self,
        driver: &str,
        block: &ComponentName,
        config: Value,
    ) -> Result<Vec<ComponentName>> {
        self.checked(driver, block, &config)?;
        let parts = match self.expander(driver) {
            Some(expander) => expander.expand(block, config).await?,
            None => return Err(not_many(driver, block)),
        };
        let wrong = |why: String| Error::new(ErrorKind::Invalid, format!("name the parts of {block}"), why);
        if parts.len() > MOST_PARTS {
            let why = format!("it stands for {} components, and {MOST_PARTS} are the most", parts.len());
            return Err(wrong(why).next("configure several blocks, each with a narrower selection"));
        }
        let named = parts.iter().map(|part| {
            ComponentName::new(format!("{block}{SEPARATOR}{part}")).map_err(|_| {
                let next = "give the block a shorter name, or leave that part out and configure it by itself";
                wrong(format!("{block}{SEPARATOR}{part} is no name that a component can have")).next(next)
            })
        });
        let named: BTreeSet<_> = named.collect::<Result<_>>()?;
        Ok(named.into_iter().collect())
    }

    /// The configuration of one part of a block, for [`connect`](Self::connect). Asks nobody.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and [`ErrorKind::NotFound`] when the block could never have a part of this name.
    pub fn part(
        &self,
        driver: &str,
        block: &ComponentName,
        config: Value,
        part: &ComponentName,
    ) -> Result<Value> {
        self.checked(driver, block, &config)?;
        let expander = self.expander(driver).ok_or_else(|| not_many(driver, block))?;
        let Some(suffix) = suffix(block, part) else {
            let why = format!("{part} is no part of {block}");
            return Err(Error::new(ErrorKind::NotFound, "find the component", why)
                .next(format!("parts are called {block}{SEPARATOR}NAME")));
        };
        expander.part(block, config, suffix)
    }
}

fn not_many(driver: &str, block: &ComponentName) -> Error {
    let why = format!("the {driver} driver has no configuration that stands for many");
    Error::new(ErrorKind::Unsupported, format!("find the parts of {block}"), why)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::erased::DynTarget;
    use crate::registry::Driver;
    use crate::target::Capabilities;

    /// `{ "all": [..] }` stands for each of the list.
    struct Many;

    #[async_trait]
    impl Expand for Many {
        fn is_many(&self, config: &Value) -> bool {
            config.get("all").is_some()
        }

        async fn expand(&self, _: &ComponentName, config: Value) -> Result<Vec<String>> {
            serde_json::from_value(config["all"].clone())
                .map_err(|_| Error::new(ErrorKind::Invalid, "read", "no list"))
        }

        fn part(&self, _: &ComponentName, _: Value, part: &str) -> Result<Value> {
            Ok(json!({ "one": part }))
        }
    }

    #[async_trait]
    impl Driver for Many {
        fn name(&self) -> &'static str {
            "many"
        }

        fn summary(&self) -> &'static str {
            "many"
        }

        fn config_schema(&self) -> Value {
            json!({ "properties": { "all": {}, "one": {} } })
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::least()
        }

        async fn connect(&self, _: &ComponentName, _: Value) -> Result<Arc<dyn DynTarget>> {
            Err(Error::new(ErrorKind::Unsupported, "connect", "not here"))
        }

        fn expand(&self) -> Option<&dyn Expand> {
            Some(self)
        }
    }

    fn name(text: &str) -> ComponentName {
        ComponentName::new(text).unwrap()
    }

    async fn expanded(all: &Value) -> Result<Vec<String>> {
        let registry = DriverRegistry::new().with(Many);
        let parts = registry.expand("many", &name("shop"), json!({ "all": all })).await?;
        Ok(parts.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn parts_are_named_after_their_block() {
        assert_eq!(expanded(&json!(["web", "api", "web"])).await.unwrap(), ["shop.api", "shop.web"]);
        for part in ["a/b", "a b", "\u{202e}", &"a".repeat(60)] {
            let error = expanded(&json!([part])).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{part:?}");
            assert!(error.next_step().is_some_and(|next| next.contains("shorter name")), "{error}");
        }
        let many: Vec<_> = (0..=MOST_PARTS).map(|number| number.to_string()).collect();
        assert!(expanded(&json!(many)).await.unwrap_err().message().contains("10001 components"));
    }

    #[tokio::test]
    async fn settings_are_checked_before_anybody_is_asked() {
        let registry = DriverRegistry::new().with(Many);
        let (shop, stray) = (name("shop"), json!({ "al": 1 }));
        let error = registry.expand("many", &shop, stray.clone()).await.unwrap_err();
        assert!(error.message().contains("no setting \"al\""), "{error}");
        assert!(registry.part("many", &shop, stray, &name("shop.web")).is_err());
        assert!(
            registry.expand("mainy", &shop, json!({})).await.unwrap_err().message().contains("no driver")
        );
    }

    #[test]
    fn a_name_alone_leads_to_the_settings_of_a_part() {
        let registry = DriverRegistry::new().with(Many);
        let (shop, config) = (name("shop"), json!({ "all": ["web"] }));
        assert!(registry.is_many("many", &config) && !registry.is_many("many", &json!({ "one": "web" })));
        let part = |part: &str| registry.part("many", &shop, config.clone(), &name(part));
        assert_eq!(part("shop.gone").unwrap(), json!({ "one": "gone" }));
        for stranger in ["shop", "shop.", "shop-web", "web"] {
            assert_eq!(part(stranger).unwrap_err().kind(), ErrorKind::NotFound, "{stranger}");
        }
    }
}
