//! Odd keys and many versions.

use std::collections::BTreeMap;

use rollback_testkit::harness::{CaseResult, equal};

use super::shop::{Emulator, Shop};
use super::versions::{between, versioned};

const ODD: [&str; 9] = [
    "with space.html",
    "a+b.js",
    "100%.js",
    "%2e%2e/x.js",
    "grün/🦀.js",
    "it's \"this\"&<that>.js",
    "/leading.js",
    "x/../y.js",
    "line\nend.js",
];

fn odd(emulator: Emulator) -> impl Iterator<Item = &'static str> {
    // moto takes a line end for the end of the path, and answers 404; and it takes `..` and a doubled slash out of the path.
    let known = move |key: &&str| match emulator {
        Emulator::Ministack => true,
        Emulator::Moto => !key.contains('\n') && !key.contains("..") && !key.starts_with('/'),
    };
    ODD.into_iter().filter(known)
}

/// Each key goes back in both ways: half of them were written over, the others were deleted.
pub(super) async fn odd_keys(emulator: Emulator) -> CaseResult {
    let shop = versioned(emulator).await?;
    let good: BTreeMap<String, String> = odd(emulator)
        .flat_map(|key| [key.to_owned(), format!("deleted/{key}")])
        .map(|key| (key, "good".to_owned()))
        .collect();
    shop.deploy_files(&good).await?;
    let between = between();
    let bad = odd(emulator).map(|key| (key.to_owned(), "bad!".to_owned())).collect();
    shop.deploy_files(&bad).await?;
    shop.run(&format!("run web --to as-of={between} --yes --no-quarantine --reason bad"))?.expect(0);
    equal("what is served", &shop.served().await?, &good)
}

/// More than a page of versions, of which one key has several pages.
pub(super) async fn many() -> CaseResult {
    let shop: Shop = versioned(Emulator::Ministack).await?;
    let good = BTreeMap::from([
        ("a.js".to_owned(), "good".to_owned()),
        ("b.js".to_owned(), "good".to_owned()),
        ("index.html".to_owned(), "good".to_owned()),
    ]);
    shop.deploy_files(&good).await?;
    let between = between();
    for number in 0..1_100 {
        shop.put("live/b.js", &format!("bad {number}")).await?;
    }
    shop.remove("live/index.html").await?;
    shop.run(&format!("run web --to as-of={between} --yes --no-quarantine --reason bad"))?.expect(0);
    equal("what is served", &shop.served().await?, &good)
}
