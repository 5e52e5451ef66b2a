//! A small application as bundlers make them: one page, and assets whose names change with their content. Each asset says of which
//! release it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// How many chunks the page asks for only later, where there are many and where a few do.
pub(crate) const MANY: usize = 160;
pub(crate) const FEW: usize = 5;
/// Assets that no release changes: one for so many chunks.
const SHARED: usize = 5;
/// How wide the image of release 0 is.
const WIDTH: u32 = 100;

/// What a page notes of itself while it loads.
const NOTED: &str = "<script>window.seen = { failed: [] };\
    addEventListener('error', event => seen.failed.push(event.target.src ?? event.target.href ?? event.message), true)</script>";

/// Asks the page what it is made of, once everything that it asked for has come or failed.
pub(crate) const REPORT: &str = "(async () => {
    const seen = window.seen ?? { failed: ['no page of the application'] };
    await seen.first;
    const root = document.documentElement;
    const width = document.querySelector('#logo')?.naturalWidth ?? 0;
    const of = {
        page: root.dataset.release, script: seen.script, chunk: seen.chunk, vendor: seen.vendor,
        style: getComputedStyle(root).getPropertyValue('--release').trim(), image: width,
    };
    return { of, failed: seen.failed };
})()";

/// Asks an open page for a chunk that it did not need until now. What was asked for under another number is asked for again: it is another
/// module for it.
pub(crate) fn later(number: usize) -> String {
    format!("seen.later({number}).catch(String)")
}

/// What is to be seen of a release.
pub(crate) fn wanted(release: u32) -> serde_json::Value {
    let name = name(release);
    serde_json::json!({
        "page": name, "script": name, "chunk": name, "vendor": "any", "style": name, "image": WIDTH + release,
    })
}

pub(crate) fn name(release: u32) -> String {
    format!("v{release}")
}

/// The files of a release with so many chunks: with [`MANY`] some two hundred.
pub(crate) fn files(release: u32, chunks: usize) -> BTreeMap<String, String> {
    let (mut files, of) = (BTreeMap::new(), name(release));
    let mut add = |stem: &str, extension: &str, body: String| {
        let hash = Sha256::digest(&body).iter().take(4).fold(String::new(), |mut hash, byte| {
            // A text takes everything.
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let name = format!("{stem}.{hash}.{extension}");
        files.insert(format!("assets/{name}"), body);
        name
    };
    for number in 0..chunks / SHARED {
        add(&format!("shared-{number:03}"), "js", format!("export const number = {number};\n"));
    }
    let later: Vec<String> = (0..chunks)
        .map(|number| {
            let body = format!("export const number = {number}, release = '{of}';\n");
            format!("./{}", add(&format!("later-{number:03}"), "js", body))
        })
        .collect();
    let vendor = add("vendor", "js", "export const release = 'any';\n".to_owned());
    let chunk = add("chunk", "js", format!("export const release = '{of}';\n"));
    let script = format!(
        "import {{ release as vendor }} from './{vendor}';\nconst later = {later:?};\n\
         Object.assign(seen, {{ script: '{of}', vendor, later: number => import(`${{later[number % later.length]}}#${{number}}`).then(one => one.release) }});\n\
         seen.first = import('./{chunk}').then(one => {{ seen.chunk = one.release; }}, why => {{ seen.failed.push(String(why)); }});\n"
    );
    let script = add("app", "js", script);
    let paper = add("paper", "svg", image(WIDTH + 50 + release));
    let style = format!(":root {{ --release: {of}; }}\nbody {{ background: url({paper}); }}\n");
    let style = add("style", "css", style);
    let logo = add("logo", "svg", image(WIDTH + release));
    let page = format!(
        "<!doctype html><html data-release={of}><head><meta charset=utf-8><title>{of}</title><link rel=icon href=data:,>{NOTED}\
         <link rel=stylesheet href=assets/{style}><script type=module src=assets/{script}></script></head>\
         <body><img id=logo src=assets/{logo}></body></html>\n"
    );
    files.insert("index.html".to_owned(), page);
    files
}

fn image(width: u32) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='20'><rect width='9' height='9'/></svg>\n"
    )
}
