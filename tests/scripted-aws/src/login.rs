//! Logins to the registry.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::protocol::epoch;
use crate::world::World;

/// For how long a login is good.
const VALID: SignedDuration = SignedDuration::from_hours(12);

/// Another one each time, good for twelve hours. AWS's are about as long.
pub(crate) fn token(world: &mut World) -> Value {
    let password: String = (0..32).map(|_| world.hex()).collect();
    let data = json!({
        "authorizationToken": BASE64_STANDARD.encode(format!("AWS:{password}")),
        "expiresAt": epoch(world.now + VALID),
        "proxyEndpoint": format!("https://{}.dkr.ecr.{}.amazonaws.com", world.account, world.region),
    });
    json!({ "authorizationData": [data] })
}
