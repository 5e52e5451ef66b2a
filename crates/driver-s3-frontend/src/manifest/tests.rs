use rollback_core::Snapshot as _;
use serde_json::json;

use super::*;
use crate::object::Headers;
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

fn site() -> (Bucket, Prefix) {
    (Bucket::new("shop-site").unwrap(), Prefix::new("live/").unwrap())
}

fn recorded(cache_control: &str, tags: Option<BTreeMap<String, String>>) -> Arc<Recorded> {
    let headers = Headers {
        content_type: Some("text/javascript".to_owned()),
        cache_control: Some(cache_control.to_owned()),
        kms_key: Some("arn:aws:kms:eu-west-1:123456789012:key/1".to_owned()),
        ..Headers::default()
    };
    Arc::new(Recorded::of(&headers, tags))
}

fn objects(count: usize) -> Vec<Entry> {
    (0..count).map(|number| Entry::of(&listed(&format!("{number:06}.js"), 1), None).unwrap()).collect()
}

fn written(objects: Vec<Entry>, headers: All) -> Manifest {
    let ((bucket, live), identity) = (site(), identity_of(&objects).unwrap());
    Manifest::new((&bucket, &live), identity, objects, headers)
}

/// Reads a manifest that is called what it is.
fn read(written: &serde_json::Value, identity: Identity) -> Result<Manifest> {
    let ((bucket, live), body) = (site(), serde_json::to_vec(written).unwrap());
    Manifest::opened((&bucket, &live), identity, Digest::of_bytes(&body), &body)
}

#[test]
fn each_set_of_headers_is_written_once_and_found_by_its_objects() {
    let sets = [Some(recorded("no-cache", None)), Some(recorded("max-age=9", None)), None];
    let headers = (0..5_000).map(|number| sets[number % 3].clone()).collect();
    let with = written(objects(5_000), headers);
    let (body, _) = with.sealed().unwrap();
    let (without, _) = written(objects(5_000), vec![None; 5_000]).sealed().unwrap();
    assert!(body.len() < without.len() + 2_000, "{} bytes are {} with headers", without.len(), body.len());
    assert_eq!(String::from_utf8(body.clone()).unwrap().matches("max-age=9").count(), 1);
    let again = read(&serde_json::from_slice(&body).unwrap(), with.identity).unwrap();
    assert_eq!(again, with);
    for (number, entry) in again.objects.iter().enumerate() {
        assert_eq!(again.recorded(entry), sets[number % 3].as_ref());
        assert_eq!(again.of_version(&entry.listed()), sets[number % 3].as_ref());
        let other = entry.listed().with_version(VersionId::new("another").unwrap());
        assert_eq!(again.of_version(&other), None, "other versions have their own");
    }
}

#[test]
fn manifests_of_older_schemas_are_read() {
    let new = written(objects(3), vec![Some(recorded("no-cache", None)); 3]);
    let mut old = serde_json::to_value(&new).unwrap();
    let first = old["headers"][0].clone();
    for row in old["objects"].as_array_mut().unwrap() {
        assert_eq!(row.as_array_mut().unwrap().pop(), Some(json!(0)));
    }
    (old["schema"], old["headers"]) = (json!("s3-manifest/2"), json!({ "000001.js": first }));
    let second = read(&old, new.identity).unwrap();
    let found = second.objects.iter().map(|entry| second.recorded(entry).is_some()).collect::<Vec<_>>();
    assert_eq!(found, [false, true, false]);
    old["schema"] = json!("s3-manifest/1");
    old.as_object_mut().unwrap().remove("headers");
    let first = read(&old, new.identity).unwrap();
    assert!(first.objects.iter().all(|entry| first.recorded(entry).is_none()));
    // None that is yet to come.
    old["schema"] = json!("s3-manifest/4");
    assert!(read(&old, new.identity).is_err());
}

#[test]
fn headers_that_are_not_there_and_too_many_objects_are_refused() {
    let good = written(objects(3), vec![Some(recorded("no-cache", None)); 3]);
    let value = serde_json::to_value(&good).unwrap();
    assert!(read(&value, good.identity).is_ok());
    for (at, wrong) in [
        ("/objects/2/7", json!(1)),
        ("/objects/2/7", json!(-1)),
        ("/objects/2/7", json!(4_294_967_296_u64)),
        ("/headers", json!([])),
        ("/headers", json!({})),
        ("/headers/0/headers/cache-control", json!(7)),
        ("/headers/0/headers/cookie", json!("a")),
    ] {
        let mut bad = value.clone();
        match bad.pointer_mut(at) {
            Some(place) => *place = wrong,
            None => bad["headers"][0]["headers"]["cookie"] = wrong,
        }
        assert!(read(&bad, good.identity).is_err(), "{at}");
    }
    let many = written(objects(MOST + 1), vec![None; MOST + 1]);
    let refused = read(&serde_json::to_value(&many).unwrap(), many.identity).unwrap_err();
    assert!(refused.message().contains("more objects"), "{refused}");
    let (bucket, live) = site();
    let large = vec![b' '; LARGEST + 1];
    assert!(Manifest::opened((&bucket, &live), good.identity, Digest::of_bytes(&large), &large).is_err());
}

#[test]
fn only_what_a_version_keeps_for_good_is_not_asked_again() {
    let untagged = Some(BTreeMap::new());
    let headers = vec![
        Some(recorded("a", untagged.clone())),
        Some(recorded("a", Some([("team".to_owned(), "shop".to_owned())].into()))),
        Some(recorded("a", None)),
        None,
        Some(recorded("a", untagged)),
    ];
    let mut all = objects(5);
    all[4].4 = Some(VersionId::new("null").unwrap());
    let before = written(all.clone(), headers);
    let known: Vec<_> = all.iter().map(|entry| before.known(entry).is_some()).collect();
    assert_eq!(known, [true, false, false, false, false]);
    // Another version of the same bytes, and no version at all.
    let mut other = all[0].clone();
    for version in [Some(VersionId::new("v2").unwrap()), None] {
        other.4 = version;
        assert!(before.known(&other).is_none(), "{other:?}");
    }
}
