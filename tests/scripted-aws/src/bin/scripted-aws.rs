//! Serves the double on this machine, to try things by hand:
//!
//! ```text
//! scripted-aws 4566
//! aws --endpoint-url http://127.0.0.1:4566 ecs describe-services --cluster prod --services web
//! ```
//!
//! Each call lets two logical seconds pass. There is a cluster `prod` with a service `web`, two revisions of `web`, and
//! images with the tags `crash`, `missing`, `unhealthy` and `nowhere` that do as they are called.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use rollback_scripted_aws::{Behaviour, Cloud};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = match std::env::args().nth(1) {
        None => 0,
        Some(port) => port.parse().map_err(|_| format!("{port:?} is no port: scripted-aws [PORT]"))?,
    };
    let cloud = Cloud::new();
    furnish(&cloud).map_err(|fault| format!("{}: {}", fault.code(), fault.message()))?;
    let server = cloud.serve_on(port).await?;
    writeln!(std::io::stdout(), "{}", server.url())?;
    server.wait().await;
    Ok(())
}

fn furnish(cloud: &Cloud) -> Result<(), rollback_scripted_aws::Fault> {
    let behaviours = [
        ("crash", Behaviour::Crash),
        ("missing", Behaviour::MissingImage),
        ("unhealthy", Behaviour::Unhealthy),
        ("nowhere", Behaviour::NoCapacity),
    ];
    for (tag, behaviour) in behaviours {
        cloud.behave(&format!("registry/web:{tag}"), behaviour);
    }
    cloud.cluster("prod");
    cloud.register("web", "registry/web:1")?;
    cloud.register("web", "registry/web:2")?;
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    cloud.create_service("prod", "web", "web:1", 2, &breaker)?;
    cloud.advance_per_call(Duration::from_secs(2));
    Ok(())
}
