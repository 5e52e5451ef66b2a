//! `sns`: a topic of Amazon SNS.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use rollback_aws_support::{Arn, AwsSettings, Call, Session, Sessions, explain};
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use crate::notice::Notice;
use crate::secret::{Setup, invalid};
use crate::sink::{Sink, SinkFactory, read};
use crate::webhook::header_text;

const KIND: &str = "sns";
const EXAMPLE: &str = "{ kind = \"sns\", topic_arn = \"arn:aws:sns:eu-central-1:123456789012:rollbacks\" }";

/// What SNS takes for a subject: less than a hundred characters of ASCII. <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const LONGEST_SUBJECT: usize = 99;
/// What it takes for a deduplication id.
const LONGEST_ID: usize = 128;

/// Makes sinks that publish to a topic. Needs `sns:Publish` on it, and the feature `sns`.
///
/// | setting | meaning |
/// |---|---|
/// | `topic_arn` | the topic; its region is used unless `region` says otherwise |
/// | `format` | `text`, for subscribers who read e-mail or SMS; `json`, the whole notice, for programs |
/// | `region`, `profile`, `role_arn`, `external_id`, `endpoint_url` | as for all that is on AWS |
///
/// The attributes `kind`, `environment` and `id` go with each message, for filter policies. A FIFO topic keeps the notices of an environment in
/// order and drops those that are sent twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct SnsSinks;

#[derive(serde::Deserialize)]
struct Settings {
    topic_arn: Arn,
    #[serde(default)]
    format: Format,
    #[serde(flatten)]
    aws: AwsSettings,
}

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// Plain text.
    #[default]
    Text,
    /// The notice as JSON.
    Json,
}

impl SinkFactory for SnsSinks {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        let mut properties = AwsSettings::properties();
        let own = json!({
            "topic_arn": { "type": "string", "description": "The topic" },
            "format": { "enum": ["text", "json"], "description": "Text for people, or the whole notice as JSON for programs" },
        });
        properties.extend(
            own.as_object().into_iter().flatten().map(|(name, schema)| (name.clone(), schema.clone())),
        );
        json!({ "type": "object", "properties": properties, "required": ["topic_arn"], "additionalProperties": false })
    }

    fn build(&self, config: &Map<String, Value>, _: &Setup) -> Result<Arc<dyn Sink>> {
        let Settings { topic_arn, format, mut aws } = read(KIND, &self.config_schema(), EXAMPLE, config)?;
        if topic_arn.service() != "sns" || topic_arn.region().is_empty() {
            return Err(invalid(KIND, format!("{:?} is not the ARN of a topic", topic_arn.as_str()))
                .next(format!("write it like {EXAMPLE}")));
        }
        aws.region.get_or_insert_with(|| topic_arn.region().to_owned());
        aws.check()?;
        Ok(Arc::new(SnsSink {
            name: name(&topic_arn),
            topic: topic_arn,
            format,
            with: With::Settings(Box::new(aws)),
        }))
    }
}

fn name(topic: &Arn) -> String {
    format!("{KIND} ({})", topic.resource())
}

/// Publishes to one topic.
#[derive(Debug)]
pub struct SnsSink {
    name: String,
    topic: Arn,
    format: Format,
    with: With,
}

enum With {
    Settings(Box<AwsSettings>),
    Session(Session),
}

impl std::fmt::Debug for With {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Settings(_) => f.write_str("Settings"),
            Self::Session(_) => f.write_str("Session"),
        }
    }
}

impl SnsSink {
    /// A sink over a session that the embedding program made.
    #[must_use]
    pub fn new(session: Session, topic: Arn, format: Format) -> Self {
        Self { name: name(&topic), topic, format, with: With::Session(session) }
    }

    async fn session(&self) -> Result<Session> {
        match &self.with {
            With::Settings(settings) => Sessions::shared().open(settings).await,
            With::Session(session) => Ok(session.clone()),
        }
    }
}

#[async_trait]
impl Sink for SnsSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notice: &Notice) -> Result<()> {
        let session = self.session().await?;
        let wrong = |why: &str| Error::new(ErrorKind::Invalid, format!("tell {}", self.name), why);
        let message = match self.format {
            Format::Text => notice.text(),
            Format::Json => serde_json::to_string(notice).map_err(|_| wrong("the notice is not JSON"))?,
        };
        let attribute = |value: &str| {
            let builder = MessageAttributeValue::builder().data_type("String").string_value(value);
            builder.build().map_err(|_| wrong("an attribute has no type"))
        };
        // Nothing that it sends is sent again by the SDK: that is the notifier's.
        let client = session.clients(|session| Client::new(session.sending()));
        let mut request = client
            .publish()
            .topic_arn(self.topic.as_str())
            .subject(subject(notice))
            .message(message)
            .message_attributes("kind", attribute(notice.kind.as_str())?)
            .message_attributes("environment", attribute(notice.environment.as_str())?)
            .message_attributes("id", attribute(&notice.id)?);
        if self.topic.resource().ends_with(".fifo") {
            let id: String = header_text(&notice.id).chars().take(LONGEST_ID).collect();
            request = request.message_group_id(notice.environment.as_str()).message_deduplication_id(id);
        }
        let call = Call::changes(KIND, "Publish", format!("tell {}", self.name)).permission("sns:Publish");
        request.send().await.map(drop).map_err(|error| explain(&call, &error))
    }
}

/// The title without what is no ASCII.
fn subject(notice: &Notice) -> String {
    let title = notice.title().replace('→', "->").replace('…', "...");
    let ascii = title.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' });
    let subject: String = ascii.take(LONGEST_SUBJECT).collect();
    subject.trim_end().to_owned()
}
