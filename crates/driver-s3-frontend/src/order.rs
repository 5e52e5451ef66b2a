//! In which order objects are written: what pages refer to first, the pages last, deletions after that.

use std::collections::BTreeSet;

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, checked_text};
use schemars::JsonSchema;

use crate::names::Key;

/// What browsers ask for by a name that stays: from here they learn the names of everything else.
const ENTRY_POINTS: [&str; 13] = [
    "*.html",
    "*.htm",
    "*.xhtml",
    "*.webmanifest",
    "manifest.json",
    "asset-manifest.json",
    "ngsw.json",
    "service-worker.js",
    "sw.js",
    "ngsw-worker.js",
    "firebase-messaging-sw.js",
    "robots.txt",
    "sitemap*.xml",
];
/// When an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// First: nobody sees it before a page refers to it.
    Asset,
    /// Last: whoever gets it asks for the rest.
    EntryPoint,
}

checked_text! {
    /// A pattern for keys, or for the names after their last `/`: `*` stands for any text.
    #[derive(JsonSchema)]
    #[schemars(inline)]
    Pattern, |text| {
        let fits = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) && text.matches('*').count() <= 4;
        let refused = || Error::new(ErrorKind::Invalid, "read a pattern", format!("{} is none", quoted(text)))
            .next("write a key, with at most four '*' for any text: *.html, app/config*.json");
        fits.then_some(()).ok_or_else(refused)
    }
}

impl Pattern {
    /// Whether a key is meant. A pattern without `/` is held against the name after the last one.
    #[must_use]
    pub(crate) fn fits(&self, key: &Key) -> bool {
        let text = if self.0.contains('/') { key.as_str() } else { key.name() };
        let Some((first, behind)) = self.0.split_once('*') else { return text == self.0 };
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let (pieces, last) = behind.rsplit_once('*').unwrap_or(("", behind));
        // From the left, each as early as it goes: what is left for the last one is as much as can be.
        for piece in pieces.split('*') {
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last)
    }
}

/// Tells entry points from assets. Every key of a site is held against all patterns: those that are no more than a name or an ending are
/// kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    names: Vec<String>,
    endings: Vec<String>,
    others: Vec<Pattern>,
}

impl Default for Order {
    fn default() -> Self {
        let mut order = Self { names: Vec::new(), endings: Vec::new(), others: Vec::new() };
        ENTRY_POINTS.iter().filter_map(|text| Pattern::new(*text).ok()).for_each(|known| order.add(known));
        order
    }
}

impl Order {
    /// With these beside those that are known.
    #[must_use]
    pub(crate) fn with(patterns: &[Pattern]) -> Self {
        let mut order = Self::default();
        patterns.iter().for_each(|pattern| order.add(pattern.clone()));
        order
    }

    fn add(&mut self, pattern: Pattern) {
        match pattern.0.split_once('*') {
            _ if pattern.0.contains('/') => self.others.push(pattern),
            None => self.names.push(pattern.0),
            Some(("", ending)) if !ending.contains('*') => self.endings.push(ending.to_owned()),
            Some(_) => self.others.push(pattern),
        }
    }

    /// When an object is written.
    #[must_use]
    pub(crate) fn stage(&self, key: &Key) -> Stage {
        if self.is_entry_point(key) { Stage::EntryPoint } else { Stage::Asset }
    }

    /// Whether its name makes it one. What has no extension is taken for a page: `about`, served as one.
    #[must_use]
    pub(crate) fn is_entry_point(&self, key: &Key) -> bool {
        let name = key.name();
        !name.contains('.')
            || self.endings.iter().any(|ending| name.ends_with(ending))
            || self.names.iter().any(|known| name == known)
            || self.others.iter().any(|pattern| pattern.fits(key))
    }
}

/// How many entry points are looked at through the address of the site.
const LOOKED_AT: usize = 30;

/// The entry points of a site, of which the first few are held: the shallowest, as visitors come there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    held: BTreeSet<(usize, Key)>,
    total: u64,
}

impl Pages {
    /// One more key, if it is one of an entry point.
    pub(crate) fn add(&mut self, order: &Order, key: &Key) {
        if !order.is_entry_point(key) {
            return;
        }
        self.total += 1;
        let depth = key.as_str().matches('/').count();
        let last = self.held.last().map(|(last, held)| (*last, held));
        if self.held.len() < LOOKED_AT || last.is_some_and(|last| last > (depth, key)) {
            self.held.insert((depth, key.clone()));
        }
        if self.held.len() > LOOKED_AT {
            self.held.pop_last();
        }
    }

    /// Those that are held.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.held.iter().map(|(_, key)| key)
    }

    /// How many there are.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(key: &str) -> Stage {
        Order::with(&[Pattern::new("config/*.json").unwrap()]).stage(&Key::new(key).unwrap())
    }

    #[test]
    fn pages_and_what_controls_them_come_last() {
        for page in [
            "index.html",
            "de/about.html",
            "about",
            "sw.js",
            "app.webmanifest",
            "sitemap-2.xml",
            "config/live.json",
        ] {
            assert_eq!(stage(page), Stage::EntryPoint, "{page}");
        }
        for asset in ["assets/app.1f3a.js", "logo.png", "data/config.json", "sw.js.map", "html.css"] {
            assert_eq!(stage(asset), Stage::Asset, "{asset}");
        }
        assert!(Stage::Asset < Stage::EntryPoint);
    }

    #[test]
    fn patterns() {
        let fits = |pattern: &str, key: &str| Pattern::new(pattern).unwrap().fits(&Key::new(key).unwrap());
        assert!(
            fits("*.html", "a/b.html")
                && fits("a/*.html", "a/b/c.html")
                && fits("*", "x")
                && fits("a*c*e", "abcde")
        );
        assert!(fits("a*a", "aa") && !fits("a*a", "a"), "no character stands for two");
        assert!(!fits("*.html", "a.html.gz") && !fits("a/*.html", "b/a.html") && !fits("sw.js", "asw.js"));
        assert!(Pattern::new("").is_err() && Pattern::new("*****").is_err() && Pattern::new("a\nb").is_err());
    }

    #[test]
    fn names_and_endings_are_told_as_their_patterns_tell_them() {
        let patterns = ["*.html", "app.js", "*", "*a*.js", "a/*.js", "b/app.js", "app*", "*.min*"];
        let patterns = patterns.map(|pattern| Pattern::new(pattern).unwrap());
        let none = Order { names: Vec::new(), endings: Vec::new(), others: Vec::new() };
        for pattern in &patterns {
            let mut order = none.clone();
            order.add(pattern.clone());
            for key in
                ["x.html", "a/b.html", "app.js", "b/app.js", "xapp.js", "a/x.js", "a.html.gz", "q.min.js"]
            {
                let key = Key::new(key).unwrap();
                assert_eq!(order.is_entry_point(&key), pattern.fits(&key), "{pattern} and {key}");
            }
        }
    }

    #[test]
    fn the_shallowest_pages_are_held() {
        let (order, mut pages) = (Order::default(), Pages::default());
        for number in (0..LOOKED_AT).rev() {
            pages.add(&order, &Key::new(format!("a/{number:03}.html")).unwrap());
        }
        for key in ["a/b/deep.html", "index.html", "app.js"] {
            pages.add(&order, &Key::new(key).unwrap());
        }
        let held: Vec<&str> = pages.iter().map(Key::as_str).collect();
        assert_eq!((held[0], held.len(), pages.total()), ("index.html", LOOKED_AT, LOOKED_AT as u64 + 2));
        assert_eq!(held.last(), Some(&"a/028.html"));
    }
}
