//! Blocks: tables `[components.NAME]` that stand for many components, whatever there is when it is asked.
//!
//! A part is found by its name alone, so nobody is asked for those that a person, a plan or a journal names. What a block stands for is
//! asked when the block itself is meant, and only then.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};
use rollback_core::registry::is_part;
use rollback_core::{ComponentName, EnvironmentName, Error, ErrorKind, Result};
use serde_json::Value;

use crate::config::ComponentConfig;
use crate::destinations::{By, To};
use crate::session::Session;

/// How many blocks are asked about at once.
const AT_ONCE: usize = 8;

/// What the blocks among some names stand for now.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    blocks: BTreeMap<ComponentName, Vec<ComponentName>>,
    /// Blocks of which that is not known: these have no parts above.
    pub(crate) failed: Vec<(ComponentName, Error)>,
}

impl Spread {
    /// The same, if all of it is known.
    pub(crate) fn whole(mut self) -> Result<Self> {
        if self.failed.is_empty() { Ok(self) } else { Err(self.failed.swap_remove(0).1) }
    }

    /// The names with each block's parts in its place, and each once.
    pub(crate) fn names(&self, names: &[ComponentName]) -> Vec<ComponentName> {
        let mut seen = BTreeSet::new();
        let mut all: Vec<_> = names.iter().flat_map(|name| self.parts(name)).cloned().collect();
        all.retain(|name| seen.insert(name.clone()));
        all
    }

    fn parts<'a>(&'a self, name: &'a ComponentName) -> &'a [ComponentName] {
        self.blocks.get(name).map_or(std::slice::from_ref(name), Vec::as_slice)
    }

    /// A destination for a block is one for each of its parts that has none of its own.
    pub(crate) fn to(&self, to: &[To]) -> Vec<To> {
        let with = |one: &To, component| To { component, destination: one.destination.clone() };
        self.each(to, |one| one.component.as_ref(), with)
    }

    /// The same of methods.
    pub(crate) fn by(&self, by: &[By]) -> Vec<By> {
        let with = |one: &By, component| By { component, method: one.method.clone() };
        self.each(by, |one| one.component.as_ref(), with)
    }

    fn each<T>(
        &self,
        all: &[T],
        component: impl Fn(&T) -> Option<&ComponentName>,
        with: impl Fn(&T, Option<ComponentName>) -> T,
    ) -> Vec<T> {
        let own: Vec<_> = all.iter().filter_map(&component).collect();
        let of =
            |one| self.of(component(one), &own).into_iter().map(|component| with(one, component)).collect();
        all.iter().flat_map(|one| -> Vec<T> { of(one) }).collect()
    }

    fn of(&self, component: Option<&ComponentName>, own: &[&ComponentName]) -> Vec<Option<ComponentName>> {
        match component {
            Some(block) if self.blocks.contains_key(block) => {
                let parts = self.parts(block).iter().filter(|part| !own.contains(part));
                parts.cloned().map(Some).collect()
            }
            other => vec![other.cloned()],
        }
    }
}

impl Session<'_> {
    /// Where a component is configured: under its own name, or as a part of a block. Of several blocks the one with the longest name.
    pub(crate) fn configured(
        &self,
        environment: &EnvironmentName,
        name: &ComponentName,
    ) -> Option<(&ComponentName, &ComponentConfig)> {
        let here = || self.config.components.iter().filter(|(_, component)| component.is_in(environment));
        if let Some(found) = here().find(|(block, _)| *block == name) {
            return Some(found);
        }
        let blocks = here().filter(|(block, _)| is_part(block, name) && self.is_block(environment, block));
        blocks.max_by_key(|(block, _)| block.as_str().len())
    }

    /// Whether a name is that of a table that stands for many.
    fn is_block(&self, environment: &EnvironmentName, name: &ComponentName) -> bool {
        self.config.components.get(name).is_some_and(|component| {
            self.app.drivers.is_many(&component.driver, &component.settings_in(environment))
        })
    }

    /// The driver of a component, and its settings there. Nobody is asked.
    pub(crate) fn settings(
        &self,
        environment: &EnvironmentName,
        name: &ComponentName,
    ) -> Result<(&str, Value)> {
        let Some((block, component)) = self.configured(environment, name) else {
            return Err(self.unknown(environment, name));
        };
        let settings = component.settings_in(environment);
        if block != name {
            let settings = self.app.drivers.part(&component.driver, block, settings, name)?;
            return Ok((&component.driver, settings));
        }
        if self.is_block(environment, name) {
            let why = format!("{name} stands for many components, and one is wanted");
            return Err(Error::new(ErrorKind::Invalid, "choose the component", why)
                .next(format!("name one of its parts: `rollback status {name}` lists them")));
        }
        Ok((&component.driver, settings))
    }

    /// Asks what the blocks among these names stand for.
    pub(crate) async fn spread(&self, environment: &EnvironmentName, names: &[ComponentName]) -> Spread {
        let blocks: BTreeSet<_> = names.iter().filter(|name| self.is_block(environment, name)).collect();
        let asked =
            blocks.into_iter().map(|block| async move { (block, self.parts(environment, block).await) });
        let mut asked = stream::iter(asked).buffered(AT_ONCE);
        let mut spread = Spread::default();
        while let Some((block, parts)) = asked.next().await {
            let parts = parts.unwrap_or_else(|error| {
                spread.failed.push((block.clone(), error));
                Vec::new()
            });
            spread.blocks.insert(block.clone(), parts);
        }
        spread
    }

    async fn parts(
        &self,
        environment: &EnvironmentName,
        block: &ComponentName,
    ) -> Result<Vec<ComponentName>> {
        let component = &self.config.components[block];
        let settings = component.settings_in(environment);
        let parts = self.app.drivers.expand(&component.driver, block, settings).await?;
        // A name must lead back to where it comes from.
        let found = |part: &ComponentName| self.configured(environment, part).map(|(found, _)| found);
        match parts.iter().find(|part| found(part) != Some(block)) {
            None => Ok(parts),
            Some(part) => {
                let why = format!("its part {part} has the name of another component");
                Err(Error::new(ErrorKind::Invalid, format!("name the parts of {block}"), why)
                    .next("rename one of the two in the configuration"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ComponentName {
        text.parse().unwrap()
    }

    fn spread() -> Spread {
        let parts = vec![name("shop.api"), name("shop.web")];
        Spread { blocks: BTreeMap::from([(name("shop"), parts)]), failed: Vec::new() }
    }

    #[test]
    fn a_block_is_its_parts_and_each_is_meant_once() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|text| name(text)).collect();
            spread().names(&names).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(&["db", "shop"]), ["db", "shop.api", "shop.web"]);
        assert_eq!(names(&["shop.web", "shop"]), ["shop.web", "shop.api"]);
        assert_eq!(names(&["shop.gone"]), ["shop.gone"]);
    }

    #[test]
    fn what_is_said_of_a_part_counts_more_than_what_is_said_of_its_block() {
        let to: Vec<To> =
            ["previous", "shop:last-good", "shop.web:version=a"].map(|text| text.parse().unwrap()).into();
        let told: Vec<_> =
            spread().to(&to).into_iter().map(|to| (to.component, to.destination.to_string())).collect();
        assert_eq!(
            told,
            [
                (None, "previous".to_owned()),
                (Some(name("shop.api")), "last-good".to_owned()),
                (Some(name("shop.web")), "version=a".to_owned()),
            ]
        );
        let by: Vec<By> = ["shop:set-image"].map(|text| text.parse().unwrap()).into();
        assert_eq!(spread().by(&by).len(), 2);
    }
}
