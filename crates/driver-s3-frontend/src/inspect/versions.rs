//! Going back by the versions of the objects.

use rollback_core::target::Finding;
use rollback_core::{Error, Result};

use super::Way;
use crate::client::{Versioning, readable};
use crate::past::Sought;
use crate::site::Site;
use crate::snapshot::{SiteSnapshot, Source};

pub(super) async fn look(site: &Site, to: &SiteSnapshot) -> Result<Way<Source>> {
    // The history that core asked for a moment ago has asked this, and listed them.
    let site = &site.remembering();
    let versioning = match readable(site.versioning().await)? {
        Ok(versioning) => versioning,
        Err(denied) => return Ok(unread("whether the bucket keeps versions", &denied)),
    };
    let bucket = site.client.bucket();
    let next = format!(
        "aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled: \
         then later deploys can be gone back from"
    );
    match versioning {
        Versioning::Off => {
            let told = "versioning of the bucket is off: what is written over is lost";
            Ok(Way::closed("versioning of the bucket is off")
                .finding(Finding::warning("versioning-off", told).next(next)))
        }
        Versioning::Suspended => {
            let told = "versioning of the bucket is suspended: what is written over now is lost";
            Ok(Way::closed("versioning of the bucket is suspended")
                .finding(Finding::warning("versioning-suspended", told).next(next)))
        }
        Versioning::On { .. } => on(site, to).await,
    }
}

async fn on(site: &Site, to: &SiteSnapshot) -> Result<Way<Source>> {
    let rules = readable(site.client.rules(&site.live).await)?;
    let found = site.find_and_compare_past(to, rules.as_deref().unwrap_or_default()).await;
    let mut way = match readable(found)? {
        Err(denied) => return Ok(unread("the versions of its objects", &denied)),
        Ok(Sought::Found(source, compared)) => {
            Way::through(source, *compared).tried(site, &site.live).await?
        }
        Ok(Sought::Nowhere(Some(gone))) => return Ok(Way::closed(gone.why)),
        Ok(Sought::Nowhere(None)) => {
            let why = "versions of it were removed, or it was never served as it is";
            return Ok(Way::closed(format!("no time is known at which it was served: {why}")));
        }
    };
    match rules {
        Err(denied) => {
            let told = format!("whether a lifecycle rule removes versions could not be read: {denied}");
            let finding = Finding::warning("lifecycle-unread", told);
            way = way.finding(match denied.next_step() {
                Some(next) => finding.next(next),
                None => finding,
            });
        }
        Ok(rules) => {
            let until = way.compared.as_ref().and_then(|compared| compared.until);
            if let (Some(until), Some(rule)) = (until, rules.iter().min_by_key(|rule| rule.days)) {
                let told = format!(
                    "lifecycle rule {} removes versions {} days after they were replaced, the first of these at {until:.0}",
                    rule.id, rule.days
                );
                let next = "restore before then, or switch the rule off";
                way = way.finding(Finding::warning("versions-expire", told).next(next));
            }
        }
    }
    Ok(way)
}

fn unread(what: &str, denied: &Error) -> Way<Source> {
    let why = format!("{what} could not be read: {}", denied.message());
    let finding = Finding::info("versions-unread", why.clone());
    let finding = match denied.next_step() {
        Some(next) => finding.next(next),
        None => finding,
    };
    Way::closed(why).finding(finding)
}
