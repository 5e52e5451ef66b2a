//! Names, keys, digests, destinations, run ids and lengths of time.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use jiff::Timestamp;
use rollback_core::store::{Key, KeyPrefix};
use rollback_core::time::Lasting;
use rollback_core::{
    ComponentName, Destination, Digest, EnvironmentName, Error, IdempotencyKey, Incarnation, PartId, Result,
    Revision, RunId, StepId, TargetId, Version,
};
use rollback_driver_local::ReleaseName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::promises::refused;

/// Every kind of name is tried on every text.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    both::<ComponentName>(text);
    both::<EnvironmentName>(text);
    both::<TargetId>(text);
    both::<Revision>(text);
    both::<Version>(text);
    both::<PartId>(text);
    both::<StepId>(text);
    both::<Incarnation>(text);
    both::<IdempotencyKey>(text);
    both::<Digest>(text);
    both::<RunId>(text);
    both::<Destination>(text);
    both::<Lasting>(text);
    key(text);
    release(text);
    moments(text);
}

/// What is accepted is shown safely, and reads back as the same, from text and from JSON.
fn both<T>(text: &str)
where
    T: FromStr<Err = Error> + Display + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let decoded = serde_json::from_value::<T>(text.into());
    match text.parse::<T>() {
        Err(error) => {
            refused(&error);
            assert!(decoded.is_err(), "JSON lets {text:?} pass, text does not");
        }
        Ok(name) => {
            let shown = name.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?} would steer a terminal");
            assert_eq!(shown.parse::<T>().ok().as_ref(), Some(&name), "{text:?} reads back as another");
            assert_eq!(decoded.ok().as_ref(), Some(&name), "JSON understands {text:?} differently");
            let json = serde_json::to_value(&name).expect("a name is JSON");
            assert_eq!(serde_json::from_value::<T>(json).ok(), Some(name), "{text:?} does not survive JSON");
        }
    }
}

/// A store may use keys as paths: nothing leaves the folder.
fn key(text: &str) {
    let safe = |part: &str| !part.is_empty() && !part.starts_with('.');
    match Key::new(text) {
        Ok(key) => assert!(key.as_str() == text && text.split('/').all(safe), "{text:?} is no safe key"),
        Err(error) => refused(&error),
    }
    match KeyPrefix::new(text) {
        Ok(prefix) => {
            let inner = prefix.key("x").ok();
            assert!(inner.is_none_or(|key| prefix.covers(&key) && key.last_segment() == "x"), "{text:?}");
        }
        Err(error) => refused(&error),
    }
}

fn release(text: &str) {
    let checked: Result<ReleaseName> = ReleaseName::new(text);
    match checked {
        Ok(name) => {
            let hostile = text.contains(['/', '\0']) || text == "." || text == "..";
            assert!(name.as_str() == text && !hostile, "{text:?} is no safe folder name");
        }
        Err(error) => refused(&error),
    }
}

/// Counting from any time never leaves what can be represented.
fn moments(text: &str) {
    if let Ok(lasting) = text.parse::<Lasting>() {
        for at in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            assert!(lasting.before(at) <= at && at <= lasting.after(at), "{text:?} from {at}");
        }
    }
    if let Ok(Destination::AsOf(moment)) = text.parse() {
        let _ = moment.resolve(Timestamp::UNIX_EPOCH);
    }
    if let Ok(run) = text.parse::<RunId>() {
        let _ = run.made_at();
    }
}
