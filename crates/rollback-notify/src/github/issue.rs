//! One open issue for an environment and its components.

use rollback_core::{Digest, Result};
use serde_json::{Value, json};

use super::Github;
use crate::notice::{Kind, Notice};

/// How many open issues are looked through.
const MOST: &str = "100";

impl Github {
    /// Opens the issue where a person is needed; what comes after it is a comment.
    pub(super) async fn tell_issue(&self, notice: &Notice) -> Result<()> {
        // How it went on is told where it was told that it began.
        let follows = matches!(notice.kind, Kind::Started | Kind::Done | Kind::Failed);
        if !notice.needs_person && !follows {
            return Ok(());
        }
        let (about, this) = (marker("about", &about(notice)), marker("notice", &notice.id));
        let labels = self.labels.join(",");
        let query = [("state", "open"), ("labels", &labels), ("per_page", MOST)];
        let open = self.get("issues", &query).await?;
        let open = open.as_array().into_iter().flatten().find(|issue| holds(issue, &about));
        let Some(issue) = open else {
            if notice.needs_person {
                let body = format!("{}\n{about}\n{this}\n", self.body(notice));
                let issue = json!({ "title": notice.title(), "body": body, "labels": self.labels });
                self.post("issues", &issue).await?;
            }
            return Ok(());
        };
        let Some(number) = issue["number"].as_u64() else { return Ok(()) };
        let path = format!("issues/{number}/comments");
        let since = notice.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let comments = self.get(&path, &[("since", &since), ("per_page", MOST)]).await?;
        let told =
            holds(issue, &this) || comments.as_array().into_iter().flatten().any(|one| holds(one, &this));
        if !told {
            self.post(&path, &json!({ "body": format!("{}\n{this}\n", self.body(notice)) })).await?;
        }
        Ok(())
    }

    fn body(&self, notice: &Notice) -> String {
        // As a reference, GitHub still takes them for a mention or an issue; not with something in between.
        let text = notice.markdown().replace("&#64;", "&#64;<!-- -->").replace("&#35;", "&#35;<!-- -->");
        match &self.mention {
            Some(mention) if notice.needs_person => format!("{mention}\n\n{text}"),
            _ => text,
        }
    }
}

/// What an issue is about: the same for all that happens to these components here.
fn about(notice: &Notice) -> String {
    let mut names: Vec<&str> = notice.components.iter().map(|moved| moved.component.as_str()).collect();
    names.sort_unstable();
    format!("{} {}", notice.environment, names.join(" "))
}

/// Something that nobody sees, by which an issue or comment is known again. Only digits, so that nothing can end it.
fn marker(what: &str, text: &str) -> String {
    format!("<!-- rollback-{what}: {} -->", Digest::of_bytes(text.as_bytes()).short())
}

fn holds(one: &Value, marker: &str) -> bool {
    one["body"].as_str().is_some_and(|body| body.contains(marker))
}
