//! Whether the images of the destination can still be had, as far as that can be known without asking registries.

use rollback_core::Reading;
use rollback_core::target::Finding;

use crate::client::{Client, Held};
use crate::image::Image;
use crate::look::Look;
use crate::registry::Said;
use crate::template::Template;
use crate::text::{list, text};

type Presence = Reading<Option<jiff::Timestamp>>;

/// Each of these images with what is known of it. Nodes are asked only about what no pod of the workload runs, and registries only about
/// what nodes do not have.
pub(super) async fn presence(
    client: &Client,
    look: &Look,
    to: &Template,
    images: &[String],
) -> (Vec<Presence>, Vec<Finding>) {
    let missing: Vec<&String> = images.iter().filter(|image| !runs(look, image)).collect();
    let mut findings = Vec::new();
    let mut open = Vec::new();
    if !missing.is_empty() {
        let held = client.held().await;
        for image in missing {
            match on_nodes(&held, image, is_always_pulled(to, image)) {
                Ok(finding) => findings.push(finding),
                Err(why) => open.push((image, why)),
            }
        }
    }
    let asked: Vec<&str> = open.iter().map(|(image, _)| image.as_str()).collect();
    let said = client.ask_registries(to, &asked).await;
    let said: Vec<_> =
        open.into_iter().zip(said).map(|((image, why), said)| (image, told(&why, said))).collect();
    let one = |image: &String| {
        let found = said.iter().find(|(asked, _)| *asked == image);
        found.map_or(Reading::Known(None), |(_, presence)| presence.clone())
    };
    (images.iter().map(one).collect(), findings)
}

/// What comes of asking a registry about an image of which nodes say nothing.
fn told(nodes: &str, said: Option<Said>) -> Presence {
    let unknown = |why: &str| Reading::Unknown(format!("{why}, no pod runs it now, and {nodes}"));
    match said {
        Some(Said::Has) => Reading::Known(None),
        Some(Said::HasNot) => Reading::Absent,
        Some(Said::Unknown(why)) => unknown(&why),
        None => unknown("no registry is asked"),
    }
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

/// That nodes have it, or why that is not known.
fn on_nodes(held: &Held, image: &str, always_pulled: bool) -> Result<Finding, String> {
    let (counts, nodes) = match held {
        Held::Closed => return Err("the nodes may not be asked".to_owned()),
        Held::Unread => return Err("the nodes could not be asked".to_owned()),
        Held::On(counts, nodes) => (counts, nodes),
    };
    match counts.get(&Image::in_full(image)).or_else(|| counts.get(image)) {
        // A node tells of the largest ones only.
        None => Err(format!("none of the {nodes} nodes that were asked shows it")),
        Some(_) if always_pulled => {
            Err("although nodes have it, it is pulled each time: `imagePullPolicy` is Always".to_owned())
        }
        Some(count) => {
            let message = format!(
                "{count} of {nodes} nodes have image {image}, where it starts without a registry; whether a registry still has it is \
                 not asked"
            );
            Ok(Finding::info("image-on-nodes", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rollback_core::fingerprint::FingerprintKey;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_not_known_is_worded_as_that() {
        let counts = BTreeMap::from([("docker.io/shop/web:v1".to_owned(), 2)]);
        let on = Held::On(counts, 3);
        let message = on_nodes(&on, "shop/web:v1", false).unwrap().message;
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
            let why = on_nodes(held, image, always).unwrap_err();
            assert!(why.contains(wanted), "{why}");
        }
        let unknown = |said| match told("the nodes may not be asked", said) {
            Reading::Unknown(why) => why,
            other => panic!("{other:?}"),
        };
        let asked = unknown(Some(Said::Unknown("registry r does not tell without a login".to_owned())));
        assert_eq!(
            asked,
            "registry r does not tell without a login, no pod runs it now, and the nodes may not be asked"
        );
        assert!(unknown(None).starts_with("no registry is asked, no pod runs it now"));
        assert_eq!(told("", Some(Said::Has)), Reading::Known(None));
        assert_eq!(told("", Some(Said::HasNot)), Reading::Absent);
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
