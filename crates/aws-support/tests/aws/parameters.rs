//! Values that are read when they are needed.

use rollback_aws_support::Secret;
use rollback_core::{Error, ErrorKind, Result};
use rollback_scripted_aws::{Does, Injection};
use serde_json::json;

use crate::bed::{Bed, bed};

const PASSWORD: &str = "hunter2hunter2";

async fn full() -> (Bed, String) {
    let bed = bed().await;
    bed.ask("ssm", "PutParameter", json!({ "Name": "/shop/db", "Value": PASSWORD, "Type": "SecureString" }));
    let text = json!({ "user": "shop", "password": PASSWORD, "port": 5432 }).to_string();
    let made = bed.ask("secretsmanager", "CreateSecret", json!({ "Name": "shop/db", "SecretString": text }));
    bed.ask("secretsmanager", "CreateSecret", json!({ "Name": "plain", "SecretString": PASSWORD }));
    bed.ask("secretsmanager", "CreateSecret", json!({ "Name": "binary" }));
    let arn = made["ARN"].as_str().unwrap().to_owned();
    (bed, arn)
}

async fn value(bed: &Bed, reference: &str) -> Result<Secret> {
    bed.parameters.value(&reference.parse().unwrap()).await
}

/// What an error says, in every way that there is. It names the reference, and never the value.
async fn failure(bed: &Bed, reference: &str) -> Error {
    let error = value(bed, reference).await.unwrap_err();
    for text in [error.to_string(), format!("{error:?}"), format!("{:?}", error.to_record())] {
        assert!(!text.contains(PASSWORD) && !text.contains("5432"), "{text}");
    }
    assert!(reference.starts_with(error.operation().strip_prefix("read ").unwrap()), "{error}");
    error
}

#[tokio::test]
async fn values_are_read_as_they_are() {
    let (bed, arn) = full().await;
    let parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/db";
    for (reference, expected) in [
        ("ssm:/shop/db", PASSWORD),
        ("ssm:/shop/db:1", PASSWORD),
        (parameter, PASSWORD),
        ("secretsmanager:plain", PASSWORD),
        ("secretsmanager:shop/db#password", PASSWORD),
        ("secretsmanager:shop/db#port", "5432"),
        (&format!("{arn}#user"), "shop"),
    ] {
        let found = value(&bed, reference).await.unwrap();
        assert_eq!(found.expose(), expected, "{reference}");
        assert_eq!(format!("{found} {found:?}"), "… Secret(…)");
    }
    // They are not remembered.
    bed.ask("ssm", "PutParameter", json!({ "Name": "/shop/db", "Value": "other", "Type": "SecureString" }));
    assert_eq!(value(&bed, "ssm:/shop/db").await.unwrap().expose(), "other");
}

#[tokio::test]
async fn a_secret_of_which_several_keys_are_wanted_is_read_once() {
    let (bed, _) = full().await;
    let names = ["user", "password", "port"].map(|key| format!("secretsmanager:shop/db#{key}"));
    let found = futures_util::future::join_all(names.iter().map(|name| value(&bed, name))).await;
    let found: Vec<_> = found.iter().map(|value| value.as_ref().unwrap().expose()).collect();
    assert_eq!(found, ["shop", PASSWORD, "5432"]);
    assert_eq!(bed.cloud.count("GetSecretValue"), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_named_without_its_value() {
    let (bed, arn) = full().await;
    for (reference, kind) in [
        ("ssm:/shop/gone", ErrorKind::NotFound),
        ("ssm:/shop/db:7", ErrorKind::NotFound),
        ("secretsmanager:gone#password", ErrorKind::NotFound),
        ("secretsmanager:shop/db#gone", ErrorKind::NotFound),
        ("secretsmanager:plain#password", ErrorKind::Invalid),
        ("secretsmanager:binary", ErrorKind::Invalid),
    ] {
        let error = failure(&bed, reference).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.next_step().is_some(), "{error}");
    }
    bed.ask("secretsmanager", "DeleteSecret", json!({ "SecretId": arn }));
    let error = failure(&bed, &format!("{arn}#password")).await;
    assert!(error.message().contains("marked for deletion"), "{error}");

    bed.denies("ssm", "GetParameter");
    bed.denies("secretsmanager", "GetSecretValue");
    for (reference, permission) in
        [("ssm:/shop/db", "ssm:GetParameter"), ("secretsmanager:plain", "secretsmanager:GetSecretValue")]
    {
        let error = failure(&bed, reference).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.next_step().unwrap().contains(permission), "{error}");
    }
}

#[tokio::test]
async fn a_value_elsewhere_is_read_where_it_is() {
    let (bed, _) = full().await;
    let far = "arn:aws:ssm:us-east-1:999999999999:parameter/shop/db";
    bed.ask("ssm", "PutParameter", json!({ "Name": far, "Value": "far", "Type": "String" }));
    assert_eq!(value(&bed, far).await.unwrap().expose(), "far");
    value(&bed, "ssm:/shop/db").await.unwrap();
    assert_eq!(bed.regions("GetParameter"), ["us-east-1", "eu-west-1"]);
}

#[tokio::test]
async fn a_throttled_call_is_sent_again() {
    let (bed, _) = full().await;
    bed.cloud.inject(Injection::new("ssm", "GetParameter", Does::Throttles).times(2));
    assert_eq!(value(&bed, "ssm:/shop/db").await.unwrap().expose(), PASSWORD);
    bed.cloud.inject(Injection::new("ssm", "GetParameter", Does::Throttles));
    assert_eq!(failure(&bed, "ssm:/shop/db").await.kind(), ErrorKind::Throttled);
}
