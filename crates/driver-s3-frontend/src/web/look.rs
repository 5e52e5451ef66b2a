//! Holding what browsers get against what is in the bucket.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};
use rollback_core::{Error, Result};
use url::Url;

use super::{Answer, LARGEST, Web};
use crate::client::{Client, Head, decoded, encode};
use crate::names::{Key, Prefix};
use crate::order::Pages;
use crate::page::references;

/// How many requests are made at a time, as a browser does.
const AT_A_TIME: usize = 6;
/// How many assets are asked for at most.
const ASSETS: usize = 300;
/// What is served where a folder is asked for.
const INDEX: &str = "index.html";

/// The objects that are served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) client: &'a Client,
    /// Where they begin in the bucket.
    pub(crate) at: &'a Prefix,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// How many entry points are as they are in the bucket.
    pub(crate) pages: usize,
    /// How many assets that these refer to are there.
    pub(crate) assets: usize,
    /// How many references lead to what the release has not.
    pub(crate) elsewhere: usize,
    /// What is not as it should be, for people.
    pub(crate) amiss: Vec<String>,
}

/// One page, and what it refers to.
type Page = (usize, Vec<Url>);

/// Gets entry points from below `address` and holds them against the bucket, byte for byte; then everything that they refer to.
pub(crate) async fn look(web: &Web, address: &Url, files: Files<'_>, pages: &Pages) -> Looked {
    let mut looked = Looked::default();
    let mut wanted = BTreeSet::new();
    let held: Vec<Key> = pages.iter().cloned().collect();
    let asked = stream::iter(held).map(|key| page(web, address, files, key));
    let mut asked = asked.buffered(AT_A_TIME);
    while let Some(page) = asked.next().await {
        match page {
            Ok((pages, references)) => {
                looked.pages += pages;
                wanted.extend(references);
            }
            Err(amiss) => looked.amiss.push(amiss),
        }
    }
    drop(asked);
    let asked = stream::iter(wanted.into_iter().take(ASSETS));
    let mut asked = asked.map(|url| asset(web, address, files, url)).buffered(AT_A_TIME);
    while let Some(asset) = asked.next().await {
        match asset {
            Ok(true) => looked.assets += 1,
            Ok(false) => looked.elsewhere += 1,
            Err(amiss) => looked.amiss.push(amiss),
        }
    }
    drop(asked);
    looked
}

async fn page(web: &Web, address: &Url, files: Files<'_>, key: Key) -> Result<Page, String> {
    let Some(url) = place(address, &key) else { return Ok((0, Vec::new())) };
    let full = files.at.join(&key);
    let unread = |error: Error| format!("{url}: {error}");
    let gone = || format!("{url}: {} is gone from the bucket", key.shown());
    let head = files.client.head(&full, None).await.map_err(unread)?.ok_or_else(gone)?;
    // A website endpoint sends browsers elsewhere for it. And what has no extension may be a film: no page is that large.
    if head.headers.redirect.is_some() || head.content.size > LARGEST {
        return Ok((0, Vec::new()));
    }
    let (body, _) = files.client.get(&full).await.map_err(unread)?.ok_or_else(gone)?;
    let mut places = vec![url];
    if key.as_str() == INDEX {
        places.push(address.clone());
    }
    let mut found = Vec::new();
    for url in places {
        let answer = web.page(&url).await.map_err(|why| format!("{url}: {why}"))?;
        served_as(&url, &head, &answer)?;
        if answer.body != body {
            let (theirs, ours) = (answer.body.len(), body.len());
            return Err(format!(
                "{url} is another page than {} in the bucket ({theirs} bytes for {ours}): a cache may still have it",
                key.shown()
            ));
        }
        if is_page(&answer.kind) {
            found.extend(leads_to(&answer));
        }
    }
    Ok((1, found))
}

/// Whether it was answered, and with the type that the object has.
fn served_as(url: &Url, head: &Head, answer: &Answer) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("{url} answers {}, wanted 200", answer.status));
    }
    let plain = |kind: &str| kind.split_whitespace().collect::<String>().to_ascii_lowercase();
    let wanted = head.headers.content_type.as_deref().unwrap_or_default();
    if !wanted.is_empty() && plain(wanted) != plain(&answer.kind) {
        return Err(format!("{url} is served as {:?}, and the object is {wanted:?}", answer.kind));
    }
    Ok(())
}

/// Whether an asset is served; `false` if the release has none of that name.
async fn asset(web: &Web, address: &Url, files: Files<'_>, url: Url) -> Result<bool, String> {
    let Some(key) = key_of(address, &url) else { return Ok(false) };
    let head =
        files.client.head(&files.at.join(&key), None).await.map_err(|error| format!("{url}: {error}"))?;
    let Some(head) = head else { return Ok(false) };
    let answer = web.asset(&url).await.map_err(|why| format!("{url}: {why}"))?;
    served_as(&url, &head, &answer).map(|()| true)
}

fn is_page(kind: &str) -> bool {
    let kind = kind.trim_start().to_ascii_lowercase();
    kind.starts_with("text/html") || kind.starts_with("application/xhtml")
}

/// What a page refers to at its own place.
fn leads_to(answer: &Answer) -> Vec<Url> {
    let references = references(&String::from_utf8_lossy(&answer.body));
    let base = references.base.and_then(|base| answer.url.join(&base).ok());
    let base = base.as_ref().unwrap_or(&answer.url);
    let found = references.found.iter().filter_map(|reference| base.join(reference).ok());
    let mut found: Vec<Url> = found.filter(|url| url.origin() == answer.url.origin()).collect();
    found.iter_mut().for_each(|url| url.set_fragment(None));
    found
}

/// Where a key is for browsers; `None` where no browser can ask for it: of `a/../b` it would ask for `b`.
fn place(address: &Url, key: &Key) -> Option<Url> {
    let wanted = format!("{}{}", address.path(), encode(key.as_str()));
    let url = address.join(&wanted).ok()?;
    (url.path() == wanted && url.origin() == address.origin()).then_some(url)
}

/// The key that a browser means.
fn key_of(address: &Url, url: &Url) -> Option<Key> {
    let path = url.path().strip_prefix(address.path())?;
    Key::new(decoded(path)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Content, Headers};

    fn address() -> Url {
        "https://shop.example.com/de/".parse().unwrap()
    }

    #[test]
    fn keys_have_places_and_places_keys() {
        for odd in
            ["index.html", "a b.js", "a+b.js", "100%.js", "%2e%2e/x.js", "grün/🦀.js", "what?.js", "a#b.js"]
        {
            let key = Key::new(odd).unwrap();
            let url = place(&address(), &key).expect(odd);
            assert_eq!(url.query(), None, "{odd}");
            assert_eq!(key_of(&address(), &url), Some(key), "{odd}");
        }
        for nowhere in ["../x.js", "a/../../x", "./x"] {
            assert_eq!(place(&address(), &Key::new(nowhere).unwrap()), None, "{nowhere}");
        }
        assert_eq!(key_of(&address(), &"https://shop.example.com/en/app.js".parse().unwrap()), None);
    }

    #[test]
    fn references_are_those_of_the_same_place() {
        let leads = |body: &str| {
            let url = "https://shop.example.com/de/pages/a.html".parse().unwrap();
            let answer = Answer { url, status: 200, kind: "text/html".to_owned(), body: body.into() };
            leads_to(&answer).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            leads("<img src=b.png><img src=/c.png#x><img src=//cdn.example.com/d.png><img src='data:,x'>"),
            ["https://shop.example.com/de/pages/b.png", "https://shop.example.com/c.png"]
        );
        assert_eq!(leads("<base href=/de/><img src=b.png>"), ["https://shop.example.com/de/b.png"]);
    }

    #[test]
    fn the_type_is_that_of_the_object() {
        let check = |wanted: Option<&str>, status: u16, kind: &str| {
            let headers = Headers { content_type: wanted.map(str::to_owned), ..Headers::default() };
            let head = Head { content: Content::default(), headers, tagged: false };
            let answer = Answer { url: address(), status, kind: kind.to_owned(), body: Vec::new() };
            served_as(&address(), &head, &answer)
        };
        assert!(check(Some("text/html; charset=utf-8"), 200, "text/html;charset=UTF-8").is_ok());
        assert!(check(None, 200, "text/html").is_ok());
        assert!(check(Some("text/javascript"), 200, "text/html").unwrap_err().contains("text/javascript"));
        assert!(check(Some("text/html"), 404, "text/html").unwrap_err().contains("404"));
    }
}
