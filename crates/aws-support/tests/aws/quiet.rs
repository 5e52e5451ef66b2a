//! What is logged, down to the finest level.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use rollback_aws_support::ecr::ImageId;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use crate::bed::{bed, web};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_in_no_log_and_no_debug() {
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(|| Log).init();
    let bed = bed().await;
    let secret = "canary-of-the-quiet-test";
    bed.ask("ssm", "PutParameter", json!({ "Name": "/quiet", "Value": secret, "Type": "SecureString" }));
    let text = json!({ "password": secret }).to_string();
    bed.ask("secretsmanager", "CreateSecret", json!({ "Name": "quiet", "SecretString": text }));

    let digest = bed.push("logged-in-full").to_string();
    bed.ecr.image(&web(), ImageId::Tag("logged-in-full".to_owned())).await;
    let login = bed.ecr.login(web().registry()).await.unwrap();
    for reference in ["ssm:/quiet", "secretsmanager:quiet#password", "secretsmanager:quiet#gone"] {
        let value = bed.parameters.value(&reference.parse().unwrap()).await;
        tracing::info!(?value, "read");
    }
    tracing::info!(?login, ecr = ?bed.ecr, parameters = ?bed.parameters, "shown");

    let log = String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    // Were nothing logged, nothing would be shown: the bodies of other calls are there.
    assert!(
        log.contains(&digest) && log.contains("read HTTP response body"),
        "the SDK's trace is not in the log"
    );
    assert!(log.contains("Login") && log.contains("secretsmanager:quiet"), "{log}");
    let password = login.password().expose();
    let encoded = base64::prelude::BASE64_STANDARD.encode(format!("AWS:{password}"));
    for hidden in [secret, password, &encoded] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
}
