//! Having CloudFront forget what was changed.

use rollback_core::{ActionContext, Error, ErrorKind, Landing, Result};
use serde_json::{Value, json};

use crate::cdn::{Distribution, forget};
use crate::client::{CloudFront, Invalidation};
use crate::names::{DistributionId, Key};
use crate::site::Site;

/// Under which name a step that writes puts out what it changed.
const CHANGED: &str = "changed";
/// How many keys, and how many bytes of them, a journal is given.
const MOST: (usize, usize) = (15, 2_048);

/// What a step that writes puts out: the keys it touched where they are few, else that nobody knows which.
pub(crate) fn changed(keys: Option<Vec<Key>>) -> Value {
    let few = keys.filter(|keys| {
        let bytes: usize = keys.iter().map(|key| key.as_str().len()).sum();
        keys.len() <= MOST.0 && bytes <= MOST.1
    });
    json!({ CHANGED: few })
}

/// What earlier steps changed, if all of them say so.
fn changed_by(cx: &ActionContext) -> Option<Vec<Key>> {
    let mut all = Vec::new();
    for output in cx.outputs.values() {
        let keys: Option<Vec<Key>> = serde_json::from_value(output.get(CHANGED)?.clone()).ok()?;
        all.extend(keys?);
    }
    (!cx.outputs.is_empty()).then_some(all)
}

impl Site {
    /// The distribution that an action names, if it is ours.
    pub(super) fn cloudfront(&self, id: &DistributionId) -> Result<&CloudFront> {
        self.front.cloudfront.as_ref().filter(|cloudfront| cloudfront.id() == id).ok_or_else(|| {
            let found =
                format!("it was planned for the distribution {id}, which is not that of the configuration");
            Error::new(ErrorKind::Invalid, "go on", found).next("plan again")
        })
    }

    /// One invalidation. Sent again it is the same one; nothing is sent while edges may still fetch from where it was before.
    pub(crate) async fn invalidate(&self, cx: &ActionContext, id: &DistributionId) -> Result<Landing> {
        let cloudfront = self.cloudfront(id)?;
        let distribution = cloudfront.distribution().await?;
        if let Some(landing) = self.is_moving(&distribution) {
            return Ok(landing);
        }
        let changed = changed_by(cx);
        let paths = forget(&distribution, self.client.bucket(), &self.live, changed.as_deref());
        let reference = format!("{}-{}", cx.key, paths.digest().short());
        let made = cloudfront.invalidate(&reference, &paths).await?;
        self.is_told().await;
        Ok(landing(cx, &made))
    }

    /// What became of the invalidation, by its reference.
    pub(crate) async fn invalidated(&self, cx: &ActionContext, id: &DistributionId) -> Result<Landing> {
        let cloudfront = self.cloudfront(id)?;
        if let Some(found) = cloudfront.invalidation(cx.key.as_str()).await? {
            return Ok(landing(cx, &found));
        }
        let moving = self.is_moving(&cloudfront.distribution().await?);
        let why = || "CloudFront has no invalidation of this run yet".to_owned();
        Ok(moving.unwrap_or_else(|| Landing::NotApplied { why: why() }))
    }

    /// An edge that still has the old origin path would fetch the old release again, and keep it.
    fn is_moving(&self, distribution: &Distribution) -> Option<Landing> {
        let moving = self.front.pointer && !distribution.deployed;
        let what = || format!("CloudFront brings the new origin path of {} to its edges", distribution.id);
        moving.then(|| Landing::Running { what: what() })
    }
}

fn landing(cx: &ActionContext, found: &Invalidation) -> Landing {
    if found.completed {
        return Landing::Applied(cx.unmoved());
    }
    Landing::Running { what: format!("CloudFront works on the invalidation {}", found.id) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rollback_core::{ComponentName, IdempotencyKey, RunId, StepId};

    use super::*;

    fn after(outputs: &[(&'static str, Value)]) -> Option<Vec<Key>> {
        let run: RunId = "019a0000-0000-7000-8000-000000000000".parse().unwrap();
        let (component, step) = (ComponentName::new("web").unwrap(), StepId::new("invalidate").unwrap());
        let cx = ActionContext::new(run, component, step, IdempotencyKey::new("1").unwrap());
        let outputs = outputs.iter().map(|(step, output)| (StepId::new(*step).unwrap(), output.clone()));
        changed_by(&cx.with_outputs(outputs.collect::<BTreeMap<_, _>>()))
    }

    #[test]
    fn only_what_is_known_to_be_all_is_named() {
        let keys = |names: &[&str]| names.iter().map(|name| Key::new(*name).unwrap()).collect::<Vec<_>>();
        let few = changed(Some(keys(&["index.html", "a.js"])));
        assert_eq!(after(&[("copy", few.clone())]), Some(keys(&["index.html", "a.js"])));
        assert_eq!(after(&[]), None, "no step said anything");
        assert_eq!(after(&[("copy", changed(None))]), None);
        assert_eq!(after(&[("copy", few.clone()), ("other", json!({}))]), None);
        assert_eq!(after(&[("copy", json!({ "changed": [""] }))]), None, "no key");
        let many: Vec<String> = (0..=MOST.0).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(after(&[("copy", changed(Some(keys(&many))))]), None);
        assert_eq!(
            after(&[(
                "copy",
                changed(Some(keys(&[&"x".repeat(1_000), &"y".repeat(1_000), "z", &"w".repeat(60)])))
            )]),
            None
        );
    }
}
