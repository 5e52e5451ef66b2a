//! Names of images: what is the version, and the same image with another one.

use rollback_core::{Digest, Version};

/// The parts of an image's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image<'a> {
    /// Registry and repository.
    pub(crate) repository: &'a str,
    pub(crate) tag: Option<&'a str>,
    pub(crate) digest: Option<&'a str>,
}

impl<'a> Image<'a> {
    pub(crate) fn parse(name: &'a str) -> Self {
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        // A colon before the last slash is a port.
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        match rest[last..].find(':') {
            Some(at) => Self { repository: &rest[..last + at], tag: Some(&rest[last + at + 1..]), digest },
            None => Self { repository: rest, tag: None, digest },
        }
    }

    /// A name as container runtimes write it: with the registry that is meant where none is named, and with a digest or else a tag.
    pub(crate) fn in_full(name: &str) -> String {
        let parsed = Image::parse(name);
        let first = parsed.repository.split('/').next().unwrap_or_default();
        let is_path = parsed.repository.contains('/');
        let has_registry = is_path && (first.contains(['.', ':']) || first == "localhost");
        let repository = match (has_registry, is_path) {
            (true, _) => parsed.repository.to_owned(),
            (false, true) => format!("docker.io/{}", parsed.repository),
            (false, false) => format!("docker.io/library/{}", parsed.repository),
        };
        match (parsed.digest, parsed.tag) {
            (Some(digest), _) => format!("{repository}@{digest}"),
            (None, tag) => format!("{repository}:{}", tag.unwrap_or("latest")),
        }
    }

    /// The tag, else the beginning of the digest.
    pub(crate) fn version(&self) -> Option<Version> {
        let digest = || self.digest?.parse::<Digest>().ok().map(|digest| digest.short());
        let version = self.tag.map(str::to_owned).or_else(digest)?;
        Version::new(version).ok()
    }

    /// The same repository with another tag. A digest is left out: it is another image's.
    pub(crate) fn tagged(&self, tag: &str) -> String {
        format!("{}:{tag}", self.repository)
    }
}

/// The digest that a container runtime tells of what runs: `docker-pullable://repo@sha256:…`, `repo@sha256:…`. A digest without a
/// repository is that of the configuration, which says nothing about what was pulled.
pub(crate) fn running(image_id: &str) -> Option<Digest> {
    image_id.rsplit_once('@')?.1.parse().ok()
}

/// Whether a text can be a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(inside) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        let hex = "a".repeat(64);
        for (name, repository, tag, digest) in [
            ("web", "web", None, None),
            ("web:v1", "web", Some("v1"), None),
            ("registry:5000/shop/web", "registry:5000/shop/web", None, None),
            ("registry:5000/shop/web:v1", "registry:5000/shop/web", Some("v1"), None),
            ("r/web:v1@sha256:1", "r/web", Some("v1"), Some("sha256:1")),
        ] {
            assert_eq!(Image::parse(name), Image { repository, tag, digest }, "{name}");
        }
        assert_eq!(Image::parse("r:1/web:v1@sha256:1").tagged("v2"), "r:1/web:v2");
        let pinned = format!("r/web@sha256:{hex}");
        assert_eq!(Image::parse(&pinned).version().unwrap().as_str(), "aaaaaaaaaaaa");
        assert!(running(&format!("docker-pullable://r/web@sha256:{hex}")).is_some());
        assert!(running(&format!("sha256:{hex}")).is_none());
        assert!(is_tag("v1.2_3") && !is_tag("v1@x") && !is_tag("-x") && !is_tag(""));
    }

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
            assert_eq!(Image::in_full(image), wanted);
        }
    }
}
