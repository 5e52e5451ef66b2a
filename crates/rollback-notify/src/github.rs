//! `github`: the state of a deployment, and an issue where a person is needed.

mod deployment;
mod issue;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Url};
use rollback_core::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http::{self, Answer, Http};
use crate::notice::Notice;
use crate::secret::{Secret, Setup, invalid};
use crate::sink::{Sink, SinkFactory, read, schema};
use crate::webhook::authorization;

const KIND: &str = "github";
const EXAMPLE: &str = "{ kind = \"github\", repository = \"owner/name\", token_env = \"GITHUB_TOKEN\", issues = true, deployments = true }";
const API: &str = "https://api.github.com";

/// Makes sinks that write into a repository on GitHub.
///
/// | setting | meaning |
/// |---|---|
/// | `repository` | `owner/name`; in a workflow of GitHub Actions, its own unless told otherwise |
/// | `token_env`, `token_file` | a token that may write issues and deployments; the variable `GITHUB_TOKEN` unless told otherwise |
/// | `api` | the API's address, for an Enterprise server: `https://ghe.example.com/api/v3` |
/// | `issues` | whether what needs a person is written into an issue |
/// | `deployments` | whether rollbacks are written down as deployments |
/// | `labels` | the issue's labels; `rollback` unless told otherwise |
/// | `mention` | who is mentioned in the issue: `@owner/on-call` |
/// | `git_ref` | what a rollback deploys; else the version that all its components go back to, which must be a commit, tag or branch |
///
/// There is one open issue for an environment and its components: what else needs a person, and how it ended, is a comment on it. A rollback
/// is a deployment with the task `rollback`, in the environment of the same name, first `in_progress`, then `success`, `failure` or `error`.
/// What was written already is not written again when a notice is sent twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct GithubSinks;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// owner/name; in a workflow its own
    repository: Option<String>,
    /// The environment variable that holds the token; else GITHUB_TOKEN
    token_env: Option<String>,
    /// The file that holds the token
    token_file: Option<PathBuf>,
    /// The address of an Enterprise server's API
    api: Option<String>,
    /// Whether what needs a person is written into an issue
    #[serde(default)]
    issues: bool,
    /// Whether rollbacks are written down as deployments
    #[serde(default)]
    deployments: bool,
    /// The issue's labels
    #[serde(default = "labels")]
    labels: Vec<String>,
    /// Who is mentioned in the issue
    mention: Option<String>,
    /// What a rollback deploys
    git_ref: Option<String>,
}

fn labels() -> Vec<String> {
    vec!["rollback".to_owned()]
}

impl SinkFactory for GithubSinks {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>, setup: &Setup) -> Result<Arc<dyn Sink>> {
        let settings: Settings = read(KIND, &self.config_schema(), EXAMPLE, config)?;
        if !settings.issues && !settings.deployments {
            return Err(invalid(KIND, "it would write nothing")
                .next("set issues = true, deployments = true, or both"));
        }
        let env = settings.token_env.as_deref().or(settings.token_file.is_none().then_some("GITHUB_TOKEN"));
        let token = setup.secret(KIND, "token", env, settings.token_file.as_deref())?;
        let token = token
            .ok_or_else(|| invalid(KIND, "there is no token").next(format!("write it like {EXAMPLE}")))?;
        let repository = settings.repository.or_else(|| setup.variable("GITHUB_REPOSITORY"));
        let repository = repository.filter(|name| is_repository(name)).ok_or_else(|| {
            invalid(KIND, "there is no repository").next("write it like repository = \"owner/name\"")
        })?;
        let api = settings.api.or_else(|| setup.variable("GITHUB_API_URL")).unwrap_or_else(|| API.to_owned());
        let api = http::url(KIND, &Secret::new(api), false)?;
        Ok(Arc::new(Github {
            name: format!("{KIND} ({repository})"),
            authorization: authorization(&token)?,
            http: Http::new(KIND, &api, vec![token])?,
            base: format!("{}/repos/{repository}", api.as_str().trim_end_matches('/')),
            issues: settings.issues,
            deployments: settings.deployments,
            labels: settings.labels,
            mention: settings.mention,
            git_ref: settings.git_ref,
        }))
    }
}

fn is_repository(name: &str) -> bool {
    let part = |part: &str| {
        let clean = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        clean && !part.is_empty() && part != "." && part != ".."
    };
    name.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

struct Github {
    name: String,
    http: Http,
    base: String,
    authorization: HeaderValue,
    issues: bool,
    deployments: bool,
    labels: Vec<String>,
    mention: Option<String>,
    git_ref: Option<String>,
}

impl std::fmt::Debug for Github {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Github").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Github {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notice: &Notice) -> Result<()> {
        // What needs a person comes first: a deployment that cannot be written must not keep it back.
        if self.issues {
            self.tell_issue(notice).await?;
        }
        if self.deployments {
            self.tell_deployment(notice).await?;
        }
        Ok(())
    }
}

impl Github {
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        self.call(Method::GET, path, query, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let wrong = |why: &str| Error::new(ErrorKind::Invalid, format!("tell {}", self.name), why);
        let mut url: Url =
            format!("{}/{path}", self.base).parse().map_err(|_| wrong("its address is none"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .http
            .request(method, url)
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.http.ask(request).await?;
        if !answer.status.is_success() {
            return Err(self.explain(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| wrong("what it answered is not JSON"))
    }

    /// GitHub says that somebody asks too often with the status of what is forbidden, and that something is forbidden with the status of
    /// what does not exist: <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>.
    fn explain(&self, answer: &Answer) -> Error {
        let error = self.http.refused(answer);
        let limited =
            answer.status.as_u16() == 403 && String::from_utf8_lossy(&answer.body).contains("rate limit");
        match error.kind() {
            _ if limited => Error::new(ErrorKind::Throttled, error.operation(), error.message()),
            ErrorKind::Denied | ErrorKind::NotFound => error.next(
                "check the name of the repository, and that the token may write issues and deployments in it (in a workflow: permissions)",
            ),
            _ => error,
        }
    }
}
