//! Logins for registries, out of the secrets that pods are pulled with.

use http::HeaderValue;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::text::text;

/// Whom a registry knows. It is shown nowhere.
pub(crate) struct Login {
    /// `user:password`.
    pair: String,
}

impl Login {
    /// As the header has it.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        super::secret(&format!("Basic {}", encoded(&self.pair)?))
    }
}

/// By registry, or by repositories of it.
#[derive(Default)]
pub(crate) struct Logins(Vec<(String, Login)>);

impl Logins {
    /// Adds what a Secret of either kind holds.
    pub(crate) fn add(&mut self, secret: &Value) {
        let newer = text(secret, "/data/.dockerconfigjson").and_then(decoded);
        let older = text(secret, "/data/.dockercfg").and_then(decoded);
        let read = |text: &String| serde_json::from_str::<Value>(text).ok();
        let newer = newer.as_ref().and_then(read).and_then(|config| config.get("auths").cloned());
        for all in [newer, older.as_ref().and_then(read)].into_iter().flatten() {
            for (place, one) in all.as_object().into_iter().flatten() {
                self.0.extend(login(one).map(|login| (place_of(place), login)));
            }
        }
    }

    /// The login for a repository with its registry: the one that is closest to it.
    pub(super) fn of(&self, repository: &str) -> Option<&Login> {
        let covers = |place: &str| {
            repository.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let meant = self.0.iter().filter(|(place, _)| covers(place));
        meant.max_by_key(|(place, _)| place.len()).map(|(_, login)| login)
    }
}

/// A key of such a file, as images write it: some have a scheme, and Docker's own says the version of an API.
fn place_of(key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.trim_end_matches("/v1").trim_end_matches("/v2");
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

fn login(one: &Value) -> Option<Login> {
    let pair = match (text(one, "/username"), text(one, "/password")) {
        (Some(user), Some(password)) => format!("{user}:{password}"),
        _ => decoded(text(one, "/auth")?)?,
    };
    pair.contains(':').then_some(Login { pair })
}

fn decoded(text: &str) -> Option<String> {
    let bytes: ByteString = serde_json::from_value(json!(text)).ok()?;
    String::from_utf8(bytes.0).ok()
}

fn encoded(text: &str) -> Option<String> {
    let value = serde_json::to_value(ByteString(text.as_bytes().to_vec())).ok()?;
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(key: &str, content: &Value) -> Value {
        json!({ "data": { key: encoded(&content.to_string()).unwrap() } })
    }

    fn basic(logins: &Logins, repository: &str) -> Option<String> {
        let value = logins.of(repository)?.basic()?;
        assert!(!format!("{value:?}").contains("Basic"), "it is not shown");
        decoded(value.to_str().ok()?.strip_prefix("Basic ")?)
    }

    #[test]
    fn the_closest_login_is_taken() {
        let mut logins = Logins::default();
        let pair = |pair: &str| json!({ "auth": encoded(pair).unwrap() });
        logins.add(&secret(
            ".dockerconfigjson",
            &json!({ "auths": { "r.example:5000": pair("all:1"), "https://r.example:5000/shop": pair("shop:a:2"),
                "https://index.docker.io/v1/": { "username": "me", "password": "3" }, "broken": { "auth": "%" }, "no": pair("colon") } }),
        ));
        logins.add(&secret(".dockercfg", &json!({ "old.example": pair("old:4") })));
        logins.add(&json!({ "data": { ".dockerconfigjson": "not base64" } }));
        logins.add(&json!({}));
        for (repository, wanted) in [
            ("r.example:5000/shop/web", Some("shop:a:2")),
            ("r.example:5000/shopping/web", Some("all:1")),
            ("docker.io/library/nginx", Some("me:3")),
            ("old.example/web", Some("old:4")),
            ("r.example/web", None),
            ("broken/web", None),
            ("no/web", None),
        ] {
            assert_eq!(basic(&logins, repository).as_deref(), wanted, "{repository}");
        }
    }
}
