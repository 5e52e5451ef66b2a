//! `slack`: a message in a channel, through an incoming webhook.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{Method, Url};
use rollback_core::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http::{self, Http};
use crate::notice::{Fact, Notice};
use crate::secret::{Setup, invalid};
use crate::sink::{Sink, SinkFactory, read, schema};
use crate::webhook::{ID_HEADER, header_text};

const KIND: &str = "slack";
const EXAMPLE: &str = "{ kind = \"slack\", url_env = \"SLACK_URL\", on = [\"needs-somebody\", \"failed\"] }";

/// What Slack takes in one block, in characters, and some room for what is cut in the middle of a reference.
/// <https://docs.slack.dev/reference/block-kit/blocks/section-block> says 3000.
const LONGEST_BLOCK: usize = 2_900;

/// Makes sinks that send a message to a channel of Slack, or of what understands the same: Mattermost, Rocket.Chat, Discord's `/slack`.
///
/// | setting | meaning |
/// |---|---|
/// | `url_env`, `url_file` | the incoming webhook's URL, in an environment variable or a file: whoever knows it can write into the channel |
/// | `format` | `blocks` as Slack shows them; `text` for those that show text only |
/// | `mention` | what is put before a message that needs a person: `<!subteam^S012>`, `<@U012>`, `<!here>` |
/// | `allow_http` | whether `http://` may lead to another machine |
///
/// Nothing in a notice is taken for markup, and nobody is called by it who is not in `mention`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlackSinks;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The environment variable that holds the incoming webhook's URL
    url_env: Option<String>,
    /// The file that holds the incoming webhook's URL
    url_file: Option<PathBuf>,
    /// Blocks as Slack shows them, or text for those that show text only
    #[serde(default)]
    format: Format,
    /// What is put before a message that needs a person, like <!subteam^S012> or <!here>
    mention: Option<String>,
    /// Whether http:// may lead to another machine
    #[serde(default)]
    allow_http: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Format {
    #[default]
    Blocks,
    Text,
}

impl SinkFactory for SlackSinks {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>, setup: &Setup) -> Result<Arc<dyn Sink>> {
        let settings: Settings = read(KIND, &self.config_schema(), EXAMPLE, config)?;
        let named = setup.secret(KIND, "url", settings.url_env.as_deref(), settings.url_file.as_deref())?;
        let text =
            named.ok_or_else(|| invalid(KIND, "there is no URL").next(format!("write it like {EXAMPLE}")))?;
        let url = http::url(KIND, &text, settings.allow_http)?;
        let http = Http::new(KIND, &url, Vec::new())?;
        let name = format!("{KIND} ({})", http.shown());
        Ok(Arc::new(Slack { name, url, http, format: settings.format, mention: settings.mention }))
    }
}

struct Slack {
    name: String,
    url: Url,
    http: Http,
    format: Format,
    mention: Option<String>,
}

impl std::fmt::Debug for Slack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slack").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notice: &Notice) -> Result<()> {
        let mention = self.mention.as_deref().filter(|_| notice.needs_person);
        let message = match self.format {
            Format::Blocks => blocks(notice, mention),
            Format::Text => text(notice, mention),
        };
        let request = self.http.request(Method::POST, self.url.clone());
        let request = request.header(ID_HEADER, header_text(&notice.id)).json(&message);
        self.http.send(request).await.map(drop)
    }
}

/// As Slack wants the three characters that are its markup:
/// <https://docs.slack.dev/messaging/formatting-message-text#escaping>.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn blocks(notice: &Notice, mention: Option<&str>) -> Value {
    // Without links to what looks like one, and without calling whose name is in it.
    let section = |text: String| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } });
    let title = escaped(&notice.title());
    let called = mention.map(|mention| format!("{mention} ")).unwrap_or_default();
    let mut sections = vec![section(format!("{called}{} *{title}*", sign(notice)))];
    let mut lines = Vec::new();
    let mut lists = Vec::new();
    for fact in notice.facts() {
        match fact {
            Fact::Line(label, line) => lines.push(format!("*{label}:* {}", escaped(&line))),
            Fact::List(label, items) => {
                let items = items.iter().map(|item| format!("• {}", escaped(item)));
                lists.push(joined(std::iter::once(format!("*{label}*")).chain(items)));
            }
        }
    }
    sections.push(section(joined(lines.into_iter())));
    sections.extend(lists.into_iter().map(section));
    json!({ "text": format!("{called}{title}"), "blocks": sections })
}

/// The lines for which there is room in one block; none is cut in its middle, where a reference could be.
fn joined(lines: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    let mut room = LONGEST_BLOCK;
    for line in lines {
        let length = line.chars().count() + 1;
        if length > room {
            if !text.ends_with('…') {
                text.push_str("\n…");
            }
            continue;
        }
        room -= length;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

fn text(notice: &Notice, mention: Option<&str>) -> Value {
    let mut text = escaped(&notice.text());
    // Where these are understood without any markup, a text from outside must not call everybody.
    for everybody in ["@channel", "@here", "@all", "@everyone"] {
        let parts: Vec<&str> = text.split(everybody).collect();
        text = parts.join(&format!("@ {}", &everybody[1..]));
    }
    let called = mention.map(|mention| format!("{mention} ")).unwrap_or_default();
    json!({ "text": format!("{called}{} {text}", sign(notice)), "parse": "none", "link_names": false })
}

fn sign(notice: &Notice) -> &'static str {
    use crate::notice::Kind;
    match notice.kind {
        Kind::Started => ":arrows_counterclockwise:",
        Kind::Done => ":white_check_mark:",
        Kind::Failed if notice.needs_person => ":rotating_light:",
        Kind::Failed => ":x:",
        Kind::NeedsSomebody => ":rotating_light:",
        Kind::Proposed => ":raised_hand:",
        Kind::Recorded => ":memo:",
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::EnvironmentName;

    use super::*;
    use crate::notice::Kind;

    fn notice(reason: &str) -> Notice {
        let at = "2026-11-21T03:00:00Z".parse().unwrap();
        let mut notice = Notice::new(Kind::Failed, "x", EnvironmentName::new("prod").unwrap(), at);
        notice.reason = Some(reason.to_owned());
        notice.needs_person = true;
        notice
    }

    #[test]
    fn a_text_from_outside_calls_nobody() {
        let hostile = "<!channel> & <@U1> <https://evil|x> @channel @here";
        let message = blocks(&notice(hostile), None).to_string();
        assert!(message.contains("&lt;!channel&gt; &amp; &lt;@U1&gt;"), "{message}");
        assert!(!message.contains('<'), "{message}");
        let message = text(&notice(hostile), None).to_string();
        assert!(
            !message.contains('<') && !message.contains("@channel") && !message.contains("@here"),
            "{message}"
        );
    }

    #[test]
    fn whoever_is_configured_is_called_only_where_a_person_is_needed() {
        let message = blocks(&notice("x"), Some("<!here>"));
        assert!(message["text"].as_str().unwrap().starts_with("<!here> [prod]"), "{message}");
    }

    #[test]
    fn no_block_is_longer_than_slack_takes() {
        let mut notice = notice(&"&".repeat(5_000));
        notice.next = vec!["<".repeat(400); 60];
        let message = blocks(&notice, None);
        assert!(message.to_string().contains("*Seen:*"), "one long line leaves the others: {message}");
        for block in message["blocks"].as_array().unwrap() {
            let text = block["text"]["text"].as_str().unwrap();
            assert!((1..=3_000).contains(&text.chars().count()), "{text}");
        }
    }
}
