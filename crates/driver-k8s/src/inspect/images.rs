//! Whether the images of the destination can still be had, as far as that can be known without asking registries.

use rollback_core::Reading;
use rollback_core::target::Finding;

use crate::client::{Client, Held};
use crate::image::Image;
use crate::look::Look;
use crate::template::Template;
use crate::text::{list, text};

type Presence = Reading<Option<jiff::Timestamp>>;

/// Each of these images with what is known of it. Nodes are asked only about what no pod of the workload runs.
pub(super) async fn presence(
    client: &Client,
    look: &Look,
    to: &Template,
    images: &[String],
) -> (Vec<Presence>, Vec<Finding>) {
    let there: Vec<bool> = images.iter().map(|image| runs(look, image)).collect();
    if there.iter().all(|there| *there) {
        return (vec![Reading::Known(None); images.len()], Vec::new());
    }
    let held = client.held().await;
    let mut findings = Vec::new();
    let one = |(image, there): (&String, bool)| match there {
        true => Reading::Known(None),
        false => {
            let (presence, finding) = on_nodes(&held, image, is_always_pulled(to, image));
            findings.extend(finding);
            presence
        }
    };
    let presence = images.iter().zip(there).map(one).collect();
    (presence, findings)
}

/// Whether a pod that is ready now was made from a template with this image.
fn runs(look: &Look, image: &str) -> bool {
    (0..look.entries.len()).any(|index| {
        let has = look.entries[index].template.images().into_iter().any(|(_, one)| one == image);
        has && look.pods_of(index).iter().any(|pod| pod.ready)
    })
}

/// Whether what a node has is of no use, because the registry is asked each time.
fn is_always_pulled(to: &Template, image: &str) -> bool {
    let all = ["/containers", "/initContainers"].into_iter().flat_map(|at| list(to.spec(), at));
    let latest = || {
        let image = Image::parse(image);
        image.digest.is_none() && image.tag.is_none_or(|tag| tag == "latest")
    };
    all.filter(|one| text(one, "/image") == Some(image))
        .any(|one| text(one, "/imagePullPolicy").map_or_else(latest, |policy| policy == "Always"))
}

fn on_nodes(held: &Held, image: &str, always_pulled: bool) -> (Presence, Option<Finding>) {
    let unknown = |why: String| {
        (Reading::Unknown(format!("no registry is asked, no pod runs it now, and {why}")), None)
    };
    match held {
        Held::Closed => unknown("the nodes may not be asked".to_owned()),
        Held::Unread => unknown("the nodes could not be asked".to_owned()),
        Held::On(counts, nodes) => match counts.get(&in_full(image)).or_else(|| counts.get(image)) {
            // A node tells of the largest ones only.
            None => unknown(format!("none of the {nodes} nodes that were asked shows it")),
            Some(_) if always_pulled => unknown(
                "although nodes have it, it is pulled each time: `imagePullPolicy` is Always".to_owned(),
            ),
            Some(count) => {
                let message = format!(
                    "{count} of {nodes} nodes have image {image}, where it starts without a registry; whether a registry still has it is \
                     not asked"
                );
                (Reading::Known(None), Some(Finding::info("image-on-nodes", message)))
            }
        },
    }
}

/// As container runtimes write it: with the registry that is meant where none is named, and with a tag.
fn in_full(image: &str) -> String {
    let parsed = Image::parse(image);
    let first = parsed.repository.split('/').next().unwrap_or_default();
    let has_registry =
        parsed.repository.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let repository = match (has_registry, parsed.repository.contains('/')) {
        (true, _) => parsed.repository.to_owned(),
        (false, true) => format!("docker.io/{}", parsed.repository),
        (false, false) => format!("docker.io/library/{}", parsed.repository),
    };
    match (parsed.digest, parsed.tag) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, tag) => format!("{repository}:{}", tag.unwrap_or("latest")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rollback_core::fingerprint::FingerprintKey;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn names_are_completed_as_runtimes_do() {
        for (image, wanted) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.25", "docker.io/library/nginx:1.25"),
            ("shop/web:v1", "docker.io/shop/web:v1"),
            ("localhost/web:v1", "localhost/web:v1"),
            ("registry:5000/web", "registry:5000/web:latest"),
            ("r.example/web:v1@sha256:1", "r.example/web@sha256:1"),
        ] {
            assert_eq!(in_full(image), wanted);
        }
    }

    #[test]
    fn what_is_not_known_is_worded_as_that() {
        let counts = BTreeMap::from([("docker.io/shop/web:v1".to_owned(), 2)]);
        let on = Held::On(counts, 3);
        let (presence, finding) = on_nodes(&on, "shop/web:v1", false);
        assert_eq!(presence, Reading::Known(None));
        let message = finding.unwrap().message;
        assert!(
            message.starts_with("2 of 3 nodes have image shop/web:v1") && message.contains("not asked"),
            "{message}"
        );
        for (held, image, always, wanted) in [
            (&on, "shop/web:v1", true, "pulled each time"),
            (&on, "shop/web:v0", false, "none of the 3 nodes that were asked shows it"),
            (&Held::Closed, "shop/web:v1", false, "may not be asked"),
            (&Held::Unread, "shop/web:v1", false, "could not be asked"),
        ] {
            match on_nodes(held, image, always) {
                (Reading::Unknown(why), None) => {
                    assert!(
                        why.starts_with("no registry is asked, no pod runs it now") && why.contains(wanted),
                        "{why}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_image_that_is_always_pulled_has_to_be_in_its_registry() {
        let always = |image: &str, policy: Value| {
            let raw = json!({ "spec": { "containers": [{ "name": "web", "image": image, "imagePullPolicy": policy }] } });
            is_always_pulled(&Template::of(&raw, &FingerprintKey::public(crate::NAME, "ns")), image)
        };
        assert!(
            always("web:v1", json!("Always"))
                && always("web", Value::Null)
                && always("web:latest", json!("Always"))
        );
        assert!(!always("web:v1", Value::Null) && !always("web:latest", json!("IfNotPresent")));
        assert!(!always("web@sha256:1", Value::Null));
    }
}
