//! SNS, against a server that says what SNS says.

use aws_credential_types::Credentials;
use rollback_aws_support::Session;
use rollback_core::ErrorKind;
use rollback_notify::{Sink as _, SnsFormat, SnsSink};
use serde_json::json;

use crate::http::{notice, subscription};
use crate::server::Server;

const TAKEN: &str = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
    <MessageId>1</MessageId></PublishResult></PublishResponse>";

fn sink(server: &Server, topic: &str, format: SnsFormat) -> SnsSink {
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-central-1"))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test"),
        ))
        .endpoint_url(&server.base)
        .build();
    let topic = format!("arn:aws:sns:eu-central-1:123456789012:{topic}").parse().unwrap();
    SnsSink::new(Session::from_sdk_config(config), topic, format)
}

fn fields(server: &Server) -> String {
    let request = server.requests().pop().unwrap();
    String::from_utf8(request.body).unwrap()
}

#[tokio::test]
async fn a_topic_gets_a_message_with_attributes() {
    let server = Server::says(&[(200, TAKEN)]).await;
    sink(&server, "rollbacks", SnsFormat::Text).send(&notice()).await.unwrap();
    let sent = fields(&server);
    for field in [
        "Action=Publish",
        "TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789012%3Arollbacks",
        "Subject=%5Bprod%5D%20Rollback%20not%20done",
        "HTTP%20503%20for%202m",
        "Value.StringValue=failed",
        "Value.StringValue=prod",
        "Value.StringValue=run-7-failed",
    ] {
        assert!(sent.contains(field), "{field} in {sent}");
    }
    assert!(!sent.contains("MessageDeduplicationId"), "{sent}");
}

#[tokio::test]
async fn a_fifo_topic_can_drop_what_is_sent_twice() {
    let server = Server::says(&[(200, TAKEN)]).await;
    sink(&server, "rollbacks.fifo", SnsFormat::Json).send(&notice()).await.unwrap();
    let sent = fields(&server);
    for field in ["MessageDeduplicationId=run-7-failed", "MessageGroupId=prod", "rollback-notice%2F1"] {
        assert!(sent.contains(field), "{field} in {sent}");
    }
}

#[tokio::test]
async fn what_may_pass_is_transient_and_sent_once_by_the_sdk() {
    let refusal = |code: &str| {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        )
    };
    for (status, code, kind, transient) in [
        (400, "Throttling", ErrorKind::Throttled, true),
        (500, "InternalError", ErrorKind::Unavailable, true),
        (403, "AuthorizationError", ErrorKind::Denied, false),
    ] {
        let server = Server::says(&[(status, &refusal(code))]).await;
        let error = sink(&server, "rollbacks", SnsFormat::Text).send(&notice()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error}");
        assert_eq!(server.requests().len(), 1, "the notifier tries again, not the SDK");
    }
}

#[test]
fn a_topic_is_named_by_its_arn() {
    let spec = json!({ "kind": "sns", "topic_arn": "arn:aws:sns:eu-central-1:123456789012:rollbacks" });
    assert_eq!(subscription(spec, String::new()).sink.name(), "sns (rollbacks)");
    let wrong = json!({ "kind": "sns", "topic_arn": "arn:aws:sqs:eu-central-1:123456789012:rollbacks" });
    let wrong = serde_json::from_value(wrong).unwrap();
    let error = rollback_notify::registry().build(&wrong, &rollback_notify::Setup::default()).unwrap_err();
    assert!(error.to_string().contains("is not the ARN of a topic"), "{error}");
}
