//! `log`: how many lines say something?

mod count;
mod output;
mod tail;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regex::bytes::{Regex, RegexBuilder};
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Clock, Lasting, SystemClock, within};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use self::count::Count;
use self::tail::Place;
use crate::settings::{invalid, limit, one_line, read, schema};

const KIND: &str = "log";
const NAMES: [&str; 4] = ["file", "command", "pattern", "timeout"];
const EXAMPLE: &str =
    "{ kind = \"log\", file = \"/var/log/shop/app.log\", pattern = \"ERROR|panicked\", timeout = \"10s\" }";

/// The most that is read for one sample, in bytes.
const MAX_READ: u64 = 64 * 1024 * 1024;

/// The most memory that a pattern may take, in bytes: what a person writes takes a hundredth.
const MAX_PATTERN: usize = 1024 * 1024;

/// Makes probes that count the lines which match a pattern.
///
/// | setting | meaning |
/// |---|---|
/// | `file` | the log: what was appended to it since the last sample is counted |
/// | `command` | or a program and its arguments, as a list: what it prints to its standard output is counted |
/// | `pattern` | a [regular expression](https://docs.rs/regex/latest/regex/#syntax), looked for in each line; `(?i)` at its beginning ignores case |
/// | `timeout` | how long it may take in all, 10 s unless told otherwise |
///
/// Ok is a count that was made, **whatever it is**: hold it to a limit with `above` or `below`, since a rule without any is met by
/// every count. Numbers: `matches`, `lines`, and for a file `matches_per_minute`, over the time since the sample before. What a
/// command prints is of a time that only the command knows, as `journalctl --since -1m` does.
///
/// The first sample of a file only finds its end, and is [unknown](Sample::unknown): nothing was counted yet. A file that is
/// renamed (by logrotate) is read to its end before the new one, and once more with the next sample, for whoever still writes to it.
/// Unknown is also what cannot be counted in full: a file that is not there or cannot be read, one that was cut short (by logrotate's
/// `copytruncate`; what was written just before is gone), more than 64 MiB since the last sample, a command that fails. Two renames
/// between two samples are not noticed, and neither is a file that was cut short and is longer again by the next sample.
///
/// A line without its end is counted once it has one. Of a line, the first 64 KiB are searched. Details never show a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogProbes;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// A log: what was appended to it since the last sample is counted
    #[serde(default)]
    file: Option<PathBuf>,
    /// Or a program and its arguments: what it prints is counted
    #[serde(default)]
    command: Option<Vec<String>>,
    /// A regular expression, looked for in each line
    pattern: String,
    /// How long it may take in all
    #[serde(default = "ten_seconds")]
    #[schemars(with = "String")]
    timeout: Lasting,
}

fn ten_seconds() -> Lasting {
    Lasting::from_secs(10)
}

impl ProbeFactory for LogProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        Ok(Arc::new(LogProbe::new(config, Arc::new(SystemClock))?))
    }
}

/// What is counted in.
enum Source {
    /// A file, and what was counted of it. Locked while it is read: a file system that hangs holds up one thread, not one for
    /// each sample.
    File(PathBuf, Arc<Mutex<Option<Place>>>),
    Command(Vec<String>),
}

struct LogProbe {
    source: Source,
    pattern: Regex,
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for LogProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source.to_string();
        f.debug_struct("LogProbe")
            .field("source", &source)
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, _) => write!(f, "{}", path.display()),
            Self::Command(argv) => write!(f, "{:?}", argv[0]),
        }
    }
}

impl LogProbe {
    fn new(config: &Map<String, Value>, clock: Arc<dyn Clock>) -> Result<Self> {
        let settings: Settings = read(KIND, &NAMES, EXAMPLE, config)?;
        let source = match (settings.file, settings.command) {
            (Some(file), None) if !file.as_os_str().is_empty() => Source::File(file, Arc::default()),
            (None, Some(argv)) if argv.first().is_some_and(|program| !program.is_empty()) => {
                Source::Command(argv)
            }
            _ => {
                return Err(invalid(KIND, "it must have a `file` or a `command`, and not both")
                    .next(format!("write it like {EXAMPLE}")));
            }
        };
        let pattern = pattern(&settings.pattern)?;
        Ok(Self { source, pattern, limit: limit(KIND, settings.timeout)?, clock })
    }

    async fn look(&self) -> Result<Sample, String> {
        match &self.source {
            Source::File(path, place) => {
                let counting = tail::count(path.clone(), self.pattern.clone(), place, self.clock.monotonic());
                let counted = within(&*self.clock, self.limit, counting).await;
                let (count, since) = counted.unwrap_or_else(|| Err(too_slow(self.limit)))?;
                Ok(sample(count, Some(since)))
            }
            Source::Command(argv) => {
                let count = output::count(argv, &self.pattern, &*self.clock, self.limit).await?;
                Ok(sample(count, None))
            }
        }
    }
}

#[async_trait]
impl Probe for LogProbe {
    async fn sample(&self) -> Sample {
        self.look().await.unwrap_or_else(|why| Sample::unknown(format!("{}: {why}", self.source)))
    }
}

fn too_slow(limit: Duration) -> String {
    format!("not read within {}", Lasting::new(limit))
}

fn pattern(text: &str) -> Result<Regex> {
    let wrong = |why: String| {
        invalid(KIND, format!("the pattern {text:?}: {why}"))
            .next("write it like pattern = \"ERROR|panicked\"; https://docs.rs/regex has the syntax")
    };
    if text.is_empty() {
        return Err(wrong("every line holds the empty text".to_owned()));
    }
    let built = RegexBuilder::new(text).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
    // The last line of such an error says what is wrong; those before it point at where.
    built.map_err(|error| wrong(one_line(error.to_string().lines().last().unwrap_or_default())))
}

fn sample(count: Count, since: Option<Duration>) -> Sample {
    let Count { matches, lines } = count;
    #[expect(clippy::cast_precision_loss, reason = "64 MiB hold fewer lines than that")]
    let (matching, all) = (matches as f64, lines as f64);
    let over = since.map_or_else(String::new, |since| {
        format!(
            " in {}",
            Lasting::new(Duration::from_millis(since.as_millis().try_into().unwrap_or(u64::MAX)))
        )
    });
    let sample = Sample::ok(format!("{matches} of {lines} lines{over} match"))
        .with("matches", matching)
        .with("lines", all);
    match since {
        // Of no time at all there is no rate.
        Some(since) if !since.is_zero() => {
            sample.with("matches_per_minute", matching * 60.0 / since.as_secs_f64())
        }
        _ => sample,
    }
}

#[cfg(test)]
mod tests;
