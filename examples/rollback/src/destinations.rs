//! `--to`: one destination for all components, or one for each.

use std::collections::BTreeMap;
use std::str::FromStr;

use rollback_core::{ComponentName, Destination, Error, ErrorKind, Result};

/// One `--to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct To {
    /// The component it is for; `None` = all that have none of their own.
    pub(crate) component: Option<ComponentName>,
    pub(crate) destination: Destination,
}

impl FromStr for To {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // `as-of=2026-11-21T03:00:00Z` has colons of its own, but `as-of=2026-…` is no component name.
        let named =
            text.split_once(':').and_then(|(name, rest)| Some((name.parse::<ComponentName>().ok()?, rest)));
        match named {
            Some((component, rest)) => Ok(Self { component: Some(component), destination: rest.parse()? }),
            None => Ok(Self { component: None, destination: text.parse()? }),
        }
    }
}

/// One `--method`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct By {
    /// The component it is for; `None` = all that have none of their own.
    pub(crate) component: Option<ComponentName>,
    pub(crate) method: String,
}

impl FromStr for By {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.split_once(':') {
            Some((component, method)) => {
                Self { component: Some(component.parse()?), method: method.to_owned() }
            }
            None => Self { component: None, method: text.to_owned() },
        })
    }
}

/// The method of each component that has one. One that is named for a component counts more than one for all.
pub(crate) fn methods<'a>(
    components: impl IntoIterator<Item = &'a ComponentName>,
    by: &[By],
) -> Result<BTreeMap<ComponentName, String>> {
    let (own, common): (Vec<_>, Vec<_>) = by.iter().partition(|by| by.component.is_some());
    let common = common.into_iter().map(|by| &by.method).next_back();
    let mut methods: BTreeMap<_, _> =
        components.into_iter().map(|component| (component.clone(), common.cloned())).collect();
    for By { component, method } in own {
        let slot = component.as_ref().and_then(|component| methods.get_mut(component));
        let Some(slot) = slot else {
            let name = component.as_ref().map_or("", ComponentName::as_str);
            let message = format!("{name} has one and is not among the components");
            return Err(Error::new(ErrorKind::Invalid, "read the methods", message)
                .next(format!("name {name} as a component as well, or leave its --method out")));
        };
        *slot = Some(method.clone());
    }
    Ok(methods.into_iter().filter_map(|(component, method)| Some((component, method?))).collect())
}

/// Those whose names say that they are meant; nothing if that is all there are.
pub(crate) fn meant(named: &[ComponentName], to: &[To]) -> Vec<ComponentName> {
    if !named.is_empty() {
        return named.to_vec();
    }
    let own: Vec<_> = to.iter().map(|to| to.component.clone()).collect();
    own.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The components that are meant, each with its destination: those that are named, else those that a `--to` names,
/// else all.
pub(crate) fn choose(
    named: &[ComponentName],
    to: &[To],
    all: impl IntoIterator<Item = ComponentName>,
) -> Result<BTreeMap<ComponentName, Option<Destination>>> {
    let wrong = |message: String| Error::new(ErrorKind::Invalid, "read the destinations", message);
    let mut common = None;
    let mut own = BTreeMap::new();
    for To { component, destination } in to {
        let before = match component {
            None => common.replace(destination.clone()),
            Some(component) => own.insert(component.clone(), destination.clone()),
        };
        if before.is_some() {
            let whose = component.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
            return Err(wrong(format!("there are two for {whose}"))
                .next("give one --to DEST, and at most one --to COMPONENT:DEST for each component"));
        }
    }
    // Naming a component in --to only must not roll back its neighbours as well.
    let chosen: Vec<ComponentName> = match (named.is_empty(), own.is_empty(), &common) {
        (false, _, _) => named.to_vec(),
        (true, false, None) => own.keys().cloned().collect(),
        _ => all.into_iter().collect(),
    };
    if let Some(stray) = own.keys().find(|component| !chosen.contains(component)) {
        return Err(wrong(format!("{stray} has one and is not among the components"))
            .next(format!("name {stray} as a component as well, or leave its --to out")));
    }
    let with_destination = |component: ComponentName| {
        let destination = own.get(&component).or(common.as_ref()).cloned();
        (component, destination)
    };
    Ok(chosen.into_iter().map(with_destination).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ComponentName {
        text.parse().unwrap()
    }

    fn chosen(named: &[&str], to: &[&str]) -> Result<Vec<String>> {
        let named: Vec<_> = named.iter().map(|text| name(text)).collect();
        let to: Vec<To> = to.iter().map(|text| text.parse()).collect::<Result<_>>()?;
        let chosen = choose(&named, &to, [name("db"), name("web")])?;
        let text = |destination: Option<Destination>| destination.map_or("-".to_owned(), |to| to.to_string());
        Ok(chosen.into_iter().map(|(component, to)| format!("{component} {}", text(to))).collect())
    }

    #[test]
    fn destinations_for_all_and_for_one() {
        assert_eq!(chosen(&[], &[]).unwrap(), ["db -", "web -"]);
        assert_eq!(chosen(&["web"], &["previous"]).unwrap(), ["web previous"]);
        assert_eq!(chosen(&[], &["web:version=abc"]).unwrap(), ["web version=abc"]);
        assert_eq!(
            chosen(&[], &["previous", "web:version=a:b"]).unwrap(),
            ["db previous", "web version=a:b"]
        );
        assert_eq!(
            chosen(&["web"], &["as-of=2026-11-21T03:00:00Z"]).unwrap(),
            ["web as-of=2026-11-21T03:00:00Z"]
        );
        assert_eq!(chosen(&["web"], &["revision=a:b"]).unwrap(), ["web revision=a:b"]);
    }

    #[test]
    fn methods_for_all_and_for_one() {
        let chosen = |by: &[&str]| {
            let by: Vec<By> = by.iter().map(|text| text.parse()).collect::<Result<_>>()?;
            let found = methods(&[name("db"), name("web")], &by)?;
            Ok(found
                .into_iter()
                .map(|(component, method)| format!("{component} {method}"))
                .collect::<Vec<_>>())
        };
        let ok =
            |by: &[&str]| -> Vec<String> { chosen(by).map_err(|error: Error| error.to_string()).unwrap() };
        assert!(ok(&[]).is_empty());
        assert_eq!(ok(&["sync"]), ["db sync", "web sync"]);
        assert_eq!(ok(&["web:shift-traffic", "sync"]), ["db sync", "web shift-traffic"]);
        assert_eq!(ok(&["web:sync"]), ["web sync"]);
        assert!(chosen(&["api:sync"]).unwrap_err().to_string().contains("api has one"));
        assert!(chosen(&["/:sync"]).is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let fails = |named: &[&str], to: &[&str], wanted: &str| {
            let error = chosen(named, to).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        };
        fails(&[], &["previous", "last-good"], "two for all");
        fails(&[], &["web:previous", "web:last-good"], "two for web");
        fails(&["db"], &["web:previous"], "web has one and is not among the components");
        fails(&[], &["web:yesterday"], "\"yesterday\" names none");
        fails(&[], &["yesterday"], "write previous, last-good");
    }
}
