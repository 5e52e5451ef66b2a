//! A gate of a simulated component: a probe with a mood.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::condition::Rule;
use rollback_core::probe::{Gate, Probe, ProbeFactory, ProbeSpec, Sample};
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::process::Process;
use super::script::Mood;

const KIND: &str = "mood";
/// For how long a gate is asked.
const WITHIN: Duration = Duration::from_secs(20);

/// The gate of a component that is in this mood.
pub(super) fn gate(component: &ComponentName, mood: Mood) -> Gate {
    let mut config = Map::new();
    config.insert("mood".to_owned(), Value::from(format!("{mood:?}")));
    Gate {
        name: format!("{component} is well"),
        component: component.clone(),
        probe: ProbeSpec { kind: KIND.to_owned(), config },
        rule: Rule::once_ok(Lasting::new(WITHIN)),
    }
}

/// Makes the probes of one process.
pub(super) struct Moods {
    pub(super) process: Process,
}

impl ProbeFactory for Moods {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        serde_json::json!({ "type": "object", "properties": { "mood": { "type": "string" } } })
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        let mood = match config.get("mood").and_then(Value::as_str) {
            Some("Well") => Mood::Well,
            Some("Ill") => Mood::Ill,
            Some("Moody") => Mood::Moody,
            _ => return Err(Error::new(ErrorKind::Invalid, "set up a probe", "there is no such mood")),
        };
        Ok(Arc::new(Moody { process: self.process.clone(), mood, looks: AtomicU64::new(0) }))
    }
}

#[derive(Debug)]
struct Moody {
    process: Process,
    mood: Mood,
    looks: AtomicU64,
}

#[async_trait]
impl Probe for Moody {
    async fn sample(&self) -> Sample {
        self.process.step(|| format!("gate {:?}", self.mood)).await;
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        match self.mood {
            Mood::Well => Sample::ok("well"),
            Mood::Moody if look % 2 == 1 => Sample::ok("well this time"),
            Mood::Ill | Mood::Moody => Sample::bad("ill"),
        }
    }
}
