//! What a page refers to that a browser gets before it shows anything.
//!
//! It reads as much of HTML as that needs, and never fails: what is no tag is text.
//! <https://html.spec.whatwg.org/multipage/parsing.html#tokenization>

/// Elements whose content is text up to their end tag, whatever it looks like.
const TEXT: [&str; 6] = ["script", "style", "textarea", "title", "xmp", "noembed"];
/// What `rel` of a link says of something that is fetched at once.
const FETCHED: [&str; 6] = ["stylesheet", "modulepreload", "preload", "icon", "manifest", "apple-touch-icon"];

/// The references of a page, as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// What all the others are relative to, if the page says so.
    pub(crate) base: Option<String>,
    /// In their order.
    pub(crate) found: Vec<String>,
}

/// Reads a page.
pub(crate) fn references(page: &str) -> References {
    let mut references = References::default();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
        } else if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, after) = Tag::read(rest);
            references.add(&tag);
            rest = if TEXT.contains(&tag.name.as_str()) { behind(after, &tag.name) } else { after };
        }
        // End tags, declarations and stray `<`: there is nothing in them.
    }
    references
}

impl References {
    fn add(&mut self, tag: &Tag) {
        let found = match tag.name.as_str() {
            "script" | "img" => tag.value("src"),
            "link" => {
                let rel = tag.value("rel").unwrap_or_default().to_ascii_lowercase();
                let fetched = rel.split_ascii_whitespace().any(|word| FETCHED.contains(&word));
                tag.value("href").filter(|_| fetched)
            }
            "base" => {
                self.base = self.base.take().or_else(|| tag.value("href").map(str::to_owned));
                None
            }
            _ => None,
        };
        let found = found.map(str::trim).filter(|found| !found.is_empty());
        self.found.extend(found.map(str::to_owned));
    }
}

/// What comes after the end tag of this element.
fn behind<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        let ends = rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        if ends && !rest[name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-') {
            return rest;
        }
    }
    ""
}

/// A tag that begins an element.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// Reads one from behind its `<`, and what comes after it.
    fn read(text: &str) -> (Self, &str) {
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>');
        let (name, mut rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        let mut tag = Self { name: name.to_ascii_lowercase(), attributes: Vec::new() };
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return (tag, rest);
            }
            if let Some(after) = rest.strip_prefix('>') {
                return (tag, after);
            }
            // A name may begin with `=`, and has at least one character.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let length =
                rest[first..].find(|c: char| ends(c) || c == '=').map_or(rest.len(), |at| first + at);
            let (name, after) = rest.split_at(length);
            let (value, after) = value(after);
            tag.attributes.push((name.to_ascii_lowercase(), unescaped(value)));
            rest = after;
        }
    }

    /// The first attribute of this name: others of the same one do not count.
    fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The value that follows the name of an attribute, and what comes after it.
fn value(text: &str) -> (&str, &str) {
    let Some(given) = text.trim_ascii_start().strip_prefix('=') else { return ("", text) };
    let given = given.trim_ascii_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = given.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    given.split_at(given.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(given.len()))
}

/// The few characters that are written by name in an address.
fn unescaped(value: &str) -> String {
    if !value.contains('&') {
        return value.to_owned();
    }
    // `&amp;` last: what it makes is no name again.
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&#x2F;", "/"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(value.to_owned(), |text, (name, character)| text.replace(name, character))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(page: &str) -> Vec<String> {
        references(page).found
    }

    #[test]
    fn what_bundlers_write() {
        let page = r#"<!doctype html><html><head><meta charset="utf-8">
            <link rel="icon" href="/favicon.svg"/>
            <link rel="stylesheet" crossorigin href="/assets/index-4f.css">
            <LINK REL='modulepreload' HREF='/assets/vendor-1b.js'>
            <link rel="shortcut icon" href=favicon.ico>
            <link rel="canonical" href="https://shop.example.com/"><link rel=manifest href=app.webmanifest>
            <script type="module" crossorigin src="/assets/index-9c.js"></script>
            <script>const html = "<img src=not-this.png>"; if (a </script.length) {}</script>
            <!-- <script src="nor-this.js"></script> --></head>
            <body><img alt="a > b" src = "logo.png?a=1&amp;b=2" src="second.png"><a href="next.html">x</a><img></body>"#;
        assert_eq!(
            found(page),
            [
                "/favicon.svg",
                "/assets/index-4f.css",
                "/assets/vendor-1b.js",
                "favicon.ico",
                "app.webmanifest",
                "/assets/index-9c.js",
                "logo.png?a=1&b=2",
            ]
        );
        assert_eq!(references(page).base, None);
    }

    #[test]
    fn odd_pages() {
        assert_eq!(found("<script src=a.js></SCRIPT ><img src=b.png>"), ["a.js", "b.png"]);
        assert_eq!(found("<script src=assets/app.1.js></script>"), ["assets/app.1.js"]);
        assert_eq!(found("<style>a { content: '<img src=x>' }</style><img src=y>"), ["y"]);
        assert_eq!(found("<img src='broken"), ["broken"]);
        assert_eq!(found("<img src=\"\"><img src><img/src=c.png>"), ["c.png"]);
        assert_eq!(found("1 < 2 <3 </p> <!x> <?y?> <"), Vec::<String>::new());
        assert_eq!(found("<scripts src=a.js><imgs src=b.js>"), Vec::<String>::new());
        let based = references("<base href=/a/><base href=/b/><img src=c.png>");
        assert_eq!((based.base.as_deref(), based.found), (Some("/a/"), vec!["c.png".to_owned()]));
    }

    proptest! {
        #[test]
        fn anything_can_be_read(page in "([<>/=\"' !a-]|script|img|src|é|&amp;|-->|<!--|</script){0,40}") {
            references(&page);
        }
    }
}
