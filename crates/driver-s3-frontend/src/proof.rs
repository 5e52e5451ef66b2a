//! What is served, for core to judge: first the bucket, then the site as browsers get it.

use rollback_core::{Evidence, Goal, Result};
use url::Url;

use crate::client::CloudFront;
use crate::diff::Change;
use crate::names::Prefix;
use crate::order::Pages;
use crate::site::Site;
use crate::snapshot::SiteSnapshot;
use crate::target::part;
use crate::web::{Files, Looked, Web, look};

/// How many things that are amiss are told one by one.
const TOLD: usize = 5;

/// Where browsers find the site, or why nobody looks there.
enum Address {
    At(Url),
    Nowhere(String),
    Unread(String),
}

impl Site {
    /// Everything that can be read about what is served.
    pub(crate) async fn prove(&self, goal: &Goal<SiteSnapshot>) -> Result<Evidence> {
        match self.front.pointer() {
            Some(cloudfront) => self.prove_pointed(cloudfront).await,
            None => self.prove_live(goal).await,
        }
    }

    async fn prove_pointed(&self, cloudfront: &CloudFront) -> Result<Evidence> {
        let pointed = self.pointed_to(cloudfront).await?;
        let evidence = Evidence::default().part(part(pointed.settled())?);
        let (Ok(release), Some(archived)) = (pointed.release(), &pointed.archived) else {
            return Ok(evidence.compared("the origin path of the distribution"));
        };
        let at = self.layout.of(release);
        let objects = archived.snapshot.objects;
        let evidence = evidence.compared(format!(
            "the origin path of {}, and keys, sizes and contents of {objects} objects below {at}",
            cloudfront.id()
        ));
        Ok(self.as_browsers_get_it(evidence, &at, &archived.pages).await)
    }

    async fn prove_live(&self, goal: &Goal<SiteSnapshot>) -> Result<Evidence> {
        let identity = goal.snapshot.identity;
        let recalled = self.memory.to_prove(identity);
        if goal.snapshot.sources.is_empty() {
            // Nobody knows where it is to be had, and nobody need look for it if it is what is listed.
            let seen = match &recalled.live {
                Some(live) => live.seen.clone(),
                None => self.see().await?,
            };
            if seen.listed == identity {
                let same = goal.snapshot.objects;
                return self.proven(goal, same, 0, &seen.pages).await;
            }
        }
        let Some(compared) = self.locate(&goal.snapshot, &recalled).await? else {
            let seen = self.see().await?;
            let part = part(seen.snapshot.as_ref())?;
            return Ok(Evidence::default().part(part).compared("keys, sizes and contents of all objects"));
        };
        let (mut retained, mut headers) = (0, Vec::new());
        let mut amiss = compared.release.identity() != identity;
        for change in &compared.changes {
            match change {
                Change::Headers(entry, _, differing) => {
                    headers.push(format!(
                        "{} as it was, for its {}",
                        entry.key.shown(),
                        differing.join(", ")
                    ));
                }
                change if change.kept(&self.order).is_some() => retained += 1,
                _ => amiss = true,
            }
        }
        if amiss {
            // Browsers get what is wrong: there is nothing to look for.
            let live = part(self.see().await?.snapshot.as_ref())?;
            let same = compared.counts.same;
            return Ok(Evidence::default()
                .part(live)
                .compared(format!("keys, sizes and contents of {same} objects")));
        }
        let same = compared.counts.same + headers.len() as u64;
        let evidence = self.proven(goal, same, retained, &compared.pages).await?;
        Ok(headers.into_iter().take(TOLD).fold(evidence, Evidence::unread))
    }

    /// Where the bucket is as it should be.
    async fn proven(
        &self,
        goal: &Goal<SiteSnapshot>,
        same: u64,
        retained: u64,
        pages: &Pages,
    ) -> Result<Evidence> {
        let mut evidence = Evidence::default()
            .part(part(Some(&goal.snapshot))?)
            .compared(format!("keys, sizes and contents of {same} objects"));
        if retained > 0 {
            evidence =
                evidence.compared(format!("{retained} assets of other releases are kept for open tabs"));
        }
        if self.is_owed().await? {
            evidence =
                evidence.unread("what is cached: CloudFront was not told yet to forget what was replaced");
        }
        Ok(self.as_browsers_get_it(evidence, &self.live, pages).await)
    }

    /// Adds what browsers get of the objects below `at`.
    async fn as_browsers_get_it(&self, evidence: Evidence, at: &Prefix, pages: &Pages) -> Evidence {
        let address = match self.address(at).await {
            Address::At(address) => address,
            Address::Nowhere(why) => {
                return evidence.compared(format!("nobody looked as browsers do: {why}"));
            }
            Address::Unread(why) => return evidence.unread(format!("the site as browsers get it: {why}")),
        };
        match Web::new(&address) {
            Ok(web) => {
                let files = Files { client: &self.client, at };
                told(evidence, &address, pages, &look(&web, &address, files, pages).await)
            }
            Err(error) => evidence.unread(format!("the site as browsers get it: {}", error.message())),
        }
    }

    async fn address(&self, at: &Prefix) -> Address {
        if self.front.unlooked {
            return Address::Nowhere("`check_pages` is false".to_owned());
        }
        if let Some(url) = &self.front.url {
            let address = url.address().map(Address::At);
            return address.unwrap_or_else(|| Address::Nowhere("`url` is no address".to_owned()));
        }
        let Some(cloudfront) = &self.front.cloudfront else {
            return Address::Nowhere("neither `url` nor `distribution` is set".to_owned());
        };
        let distribution = match cloudfront.distribution().await {
            Ok(distribution) => distribution,
            Err(error) => return Address::Unread(error.message().to_owned()),
        };
        if !distribution.enabled {
            return Address::Nowhere(format!("the distribution {} is disabled", distribution.id));
        }
        if distribution.signed {
            return Address::Nowhere(format!("{} answers only signed requests", distribution.id));
        }
        let Some(begins) = distribution.begins(self.client.bucket(), at) else {
            return Address::Nowhere(format!(
                "no origin of {} serves {at:?} of this bucket; set `url`",
                distribution.id
            ));
        };
        match format!("https://{}{begins}", distribution.domain).parse() {
            Ok(address) => Address::At(address),
            Err(_) => Address::Unread(format!("{} is no host", distribution.domain)),
        }
    }
}

/// What browsers get, in words.
fn told(mut evidence: Evidence, address: &Url, pages: &Pages, looked: &Looked) -> Evidence {
    let Looked { pages: same, assets, elsewhere, amiss } = looked;
    let total = pages.total();
    let mut line = format!("{same} of {total} entry points byte for byte through {address}");
    line.push_str(&format!(", and {assets} assets that they refer to"));
    if *elsewhere > 0 {
        line.push_str(&format!("; {elsewhere} references lead to what the release has not"));
    }
    evidence = evidence.compared(line);
    for what in amiss.iter().take(TOLD) {
        evidence = evidence.unread(format!("the site as browsers get it: {what}"));
    }
    if amiss.len() > TOLD {
        evidence = evidence.unread(format!("{} more of its pages and assets", amiss.len() - TOLD));
    }
    evidence
}
