use rollback_core::Snapshot as _;
use serde_json::json;

use super::*;
use crate::snapshot::SiteSnapshot;

fn listed(key: &str, tag: u8) -> Listed {
    let content = Content::listed(7, ETag::new(format!("{tag:032x}")).unwrap());
    let listed = Listed::new(Key::new(key).unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap());
    listed.with_version(VersionId::new(format!("v{tag}")).unwrap())
}

#[test]
fn odd_keys_and_copies_come_back_as_they_were_and_count_as_what_they_were_copied_from() {
    let odd = listed("../\"]}\n%2e grün/🦀.js", 1);
    let from = ETag::new("0123456789abcdef0123456789abcdef-3").unwrap();
    let plain = Entry::of(&odd, None).unwrap();
    let copy = Entry::of(&odd, Some(&from)).unwrap();
    for entry in [&plain, &copy] {
        let text = serde_json::to_string(entry).unwrap();
        assert_eq!(&serde_json::from_str::<Entry>(&text).unwrap(), entry);
        assert!(entry.is(&odd) && entry.equals(&odd) && !entry.is(&listed("a", 2)));
    }
    assert_eq!(plain.counted().content.etag, odd.content.etag);
    assert_eq!(copy.counted().content.etag, Some(from));
    assert_ne!(identity_of(&[plain]).unwrap(), identity_of(&[copy]).unwrap());
}

#[test]
fn what_is_not_in_order_is_no_manifest() {
    let (a, b) = (Entry::of(&listed("a", 1), None).unwrap(), Entry::of(&listed("b", 1), None).unwrap());
    assert!(identity_of(&[a.clone(), b.clone()]).is_ok());
    assert!(identity_of(&[b, a.clone()]).is_err() && identity_of(&[a.clone(), a]).is_err());
}

#[test]
fn keys_and_tags_from_outside_are_checked() {
    let good = serde_json::to_value(Entry::of(&listed("a", 1), None).unwrap()).unwrap();
    for (at, wrong) in
        [(0, json!("")), (1, json!(-1)), (2, json!("a\"b")), (4, json!("a b")), (5, json!("x"))]
    {
        let mut entry = good.clone();
        entry[at] = wrong;
        assert!(serde_json::from_value::<Entry>(entry).is_err(), "{at}");
    }
}

#[test]
fn a_snapshot_says_which_manifest_it_is_from() {
    let source = json!({ "manifest": Digest::of_bytes(b"m") });
    let source: crate::snapshot::Source = serde_json::from_value(source).unwrap();
    let mut sum = Sum::default();
    sum.add(&listed("a", 1)).unwrap();
    let (bucket, live) = (Bucket::new("shop-site").unwrap(), Prefix::new("live/").unwrap());
    let mut snapshot = SiteSnapshot::new(bucket, live, &sum).unwrap();
    snapshot.sources = vec![source];
    assert_eq!((snapshot.manifest(), snapshot.time()), (Some(Digest::of_bytes(b"m")), None));
    assert_eq!(snapshot.info().version, None);
}
