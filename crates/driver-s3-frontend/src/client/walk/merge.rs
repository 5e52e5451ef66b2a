//! Two lists that come in parts are held against each other as two lists that are there whole.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::diff::{Change, Diff};
use crate::object::{Content, ETag};
use crate::sum::Sum;

type Site = BTreeMap<String, u8>;

fn listed(key: &str, content: u8) -> Listed {
    let content = Content::listed(7, ETag::new(format!("{content:032x}")).unwrap());
    Listed::new(Key::new(key).unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap())
}

/// What a bucket answers that holds a site below a prefix, beside others.
fn bucket(site: &Site, prefix: &'static str, page: usize) -> Ask {
    let site = Arc::new(site.clone());
    Arc::new(move |after| {
        let after = after.unwrap_or_default();
        let mut keys = site.iter().filter(|(key, _)| format!("{prefix}{key}") > after);
        let objects: Vec<_> = keys.by_ref().take(page).map(|(key, content)| listed(key, *content)).collect();
        let next = objects
            .last()
            .map(|last| format!("{prefix}{}", last.key.as_str()))
            .filter(|_| keys.next().is_some());
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(Page { objects, next })
        })
    })
}

fn way(site: &Site, prefix: &'static str, page: usize) -> Way {
    let reserved = Reserved::default();
    Way { ask: bucket(site, prefix, page), prefix: Prefix::new(prefix).unwrap(), reserved }
}

/// In parts, side by side.
fn streamed(release: &Site, live: &Site, page: usize, shared: &Shared) -> (Vec<Change>, Sum) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut sum = Sum::default();
        let walked = walk_beside(way(release, "versions/v1/", page), shared.clone());
        let walked = futures_util::StreamExt::map(walked, |listed| {
            let listed = listed?;
            sum.add(&listed)?;
            Ok(listed)
        });
        let mut changes = Vec::new();
        {
            let mut diff = Diff::new(walked, walk_beside(way(live, "live/", page), shared.clone()));
            while let Some(change) = diff.next().await.unwrap() {
                changes.push(change);
            }
        }
        (changes, sum)
    })
}

fn naive(release: &Site, live: &Site) -> Vec<Change> {
    let mut keys: Vec<_> = release.keys().chain(live.keys()).collect();
    keys.sort();
    keys.dedup();
    let change = |key: &String| match (release.get(key), live.get(key)) {
        (Some(good), None) => Change::Missing(listed(key, *good)),
        (None, Some(bad)) => Change::Extra(listed(key, *bad)),
        (Some(good), Some(bad)) if good != bad => Change::Differs(listed(key, *good), listed(key, *bad)),
        _ => Change::Same,
    };
    keys.into_iter().map(change).collect()
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c/]{1,4}",
        "assets/(card|map)-(card|map)\\.[0-9a-f]{1,4}\\.js",
        "photos/[0-9]{1,2}/[0-9]{1,2}/IMG_[0-9]{1,3}",
        "(a|ab|ü)[ %+~ü\u{10FFFF}\n\u{0}-]{1,3}",
    ]
}

proptest! {
    #[test]
    fn what_differs_is_what_a_naive_comparison_finds(
        // Of most keys both sites have the same, of some only one has any.
        objects in prop::collection::vec((key(), prop_oneof![4 => Just((1, 1)), 1 => (0..3_u8, 0..3_u8)]), 0..300),
        page in 1_usize..30,
    ) {
        let side = |of: fn((u8, u8)) -> u8| -> Site {
            objects.iter().map(|(key, both)| (key.clone(), of(*both))).filter(|(_, content)| *content > 0).collect()
        };
        let (release, live) = (side(|both| both.0), side(|both| both.1));
        let shared = Shared::default();
        // The second time the lists are known.
        for _ in 0..2 {
            let (changes, sum) = streamed(&release, &live, page, &shared);
            prop_assert_eq!(&changes, &naive(&release, &live));
            let mut whole = Sum::default();
            release.iter().for_each(|(key, content)| whole.add(&listed(key, *content)).unwrap());
            prop_assert_eq!(sum.identity(), whole.identity());
        }
    }
}
