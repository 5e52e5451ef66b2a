//! Real files that are appended to, renamed and cut short, at times that the tests choose.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex as StdMutex;

use jiff::Timestamp;
use serde_json::json;

use super::*;

/// Goes on only when it is told to; waits as the system's does.
#[derive(Debug, Default)]
struct Hand(StdMutex<Duration>);

impl Hand {
    fn advance(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<Hand>,
    probe: LogProbe,
}

impl Bench {
    /// Looks for `ERROR` in `app.log`, which is not there yet.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand::default());
        let settings = json!({ "file": folder.path().join("app.log"), "pattern": "ERROR" });
        let probe =
            LogProbe::new(settings.as_object().unwrap(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        Self { folder, clock, probe }
    }

    /// One whose log holds an error already, which the first sample has passed by.
    async fn placed() -> Self {
        let bench = Self::new();
        bench.append("an ERROR of yesterday\n");
        let first = bench.probe.sample().await;
        assert_unknown(&first, "counting begins now");
        bench
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.log")
    }

    fn append(&self, text: &str) {
        append(&self.path(), text);
    }

    /// Half a minute later.
    async fn sample(&self) -> Sample {
        self.clock.advance(30);
        self.probe.sample().await
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn assert_unknown(seen: &Sample, says: &str) {
    assert!(!seen.known && !seen.ok && seen.metrics.is_empty(), "{seen:?}");
    assert!(seen.detail.contains(says), "{says:?} is not in {:?}", seen.detail);
}

fn assert_counts(seen: &Sample, matches: u32, lines: u32) {
    assert!(seen.known && seen.ok, "{seen:?}");
    assert_eq!(seen.metrics["matches"], f64::from(matches), "{seen:?}");
    assert_eq!(seen.metrics["lines"], f64::from(lines), "{seen:?}");
}

#[tokio::test]
async fn what_was_appended_since_the_last_sample_is_counted_once() {
    let bench = Bench::placed().await;
    bench.append("ok\nERROR secret=hunter2\nERROR\n");
    let seen = bench.sample().await;
    assert_counts(&seen, 2, 3);
    // Two in half a minute.
    assert_eq!(seen.metrics["matches_per_minute"], 4.0);
    assert!(seen.detail.ends_with("2 of 3 lines in 30s match"), "no line is shown: {}", seen.detail);

    let seen = bench.sample().await;
    assert_counts(&seen, 0, 0);
    assert_eq!(seen.metrics["matches_per_minute"], 0.0);
}

#[tokio::test]
async fn a_line_is_counted_when_it_has_its_end() {
    let bench = Bench::placed().await;
    bench.append("ok\nERR");
    assert_counts(&bench.sample().await, 0, 1);
    bench.append("OR\n");
    assert_counts(&bench.sample().await, 1, 1);
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let bench = Bench::placed().await;
    bench.append("ERROR 1\n");
    let old = bench.folder.path().join("app.log.1");
    fs::rename(bench.path(), &old).unwrap();
    // The service has the old one open for a while, and ends in the middle of a line.
    append(&old, "ERROR 2\nERROR 3, cut");
    bench.append("ERROR 4\nok\n");
    assert_counts(&bench.sample().await, 4, 5);
    // It still has, until it is told to open the new one.
    append(&old, "ERROR 5\n");
    bench.append("ERROR 6\n");
    assert_counts(&bench.sample().await, 2, 2);
    // Not for ever: a file that was removed takes its room for as long as it is open.
    append(&old, "ERROR 7\n");
    bench.append("ERROR 8\n");
    assert_counts(&bench.sample().await, 1, 1);
}

#[tokio::test]
async fn what_came_while_the_file_was_away_is_counted_when_it_is_back() {
    let bench = Bench::placed().await;
    bench.append("ERROR 1\n");
    fs::rename(bench.path(), bench.folder.path().join("app.log.1")).unwrap();
    assert_unknown(&bench.sample().await, "No such file");
    bench.append("ERROR 2\n");
    let seen = bench.sample().await;
    assert_counts(&seen, 2, 2);
    assert_eq!(seen.metrics["matches_per_minute"], 2.0, "over the whole minute");
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_unknown_once() {
    let bench = Bench::placed().await;
    bench.append("ERROR 1\n");
    // Shorter than what was counted.
    fs::write(bench.path(), "ERROR 2\n").unwrap();
    assert_unknown(&bench.sample().await, "cut short");
    bench.append("ERROR 3\n");
    let seen = bench.sample().await;
    assert_counts(&seen, 1, 1);
    assert_eq!(seen.metrics["matches_per_minute"], 2.0);
}

#[tokio::test]
async fn a_file_that_comes_later_is_counted_from_its_beginning() {
    let bench = Bench::new();
    assert_unknown(&bench.sample().await, "No such file");
    bench.append("ERROR\n");
    assert_counts(&bench.sample().await, 1, 1);
}

#[tokio::test]
async fn more_than_is_read_is_unknown_once() {
    let bench = Bench::placed().await;
    bench.append("ERROR\n");
    // A hole takes no room on the disk.
    let file = OpenOptions::new().write(true).open(bench.path()).unwrap();
    file.set_len(MAX_READ + 1024).unwrap();
    assert_unknown(&bench.sample().await, "more than 64 MiB");
    bench.append("ERROR\n");
    assert_counts(&bench.sample().await, 1, 1);
}

#[tokio::test]
async fn what_is_no_file_is_unknown() {
    let bench = Bench::new();
    fs::create_dir(bench.path()).unwrap();
    assert_unknown(&bench.sample().await, "it is not a file");
}

#[test]
fn a_look_that_was_given_up_loses_no_lines() {
    // One thread for what blocks, and it is busy: no look can end before it is given up.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::placed().await;
        bench.append("ERROR\n");
        let (free, busy) = std::sync::mpsc::channel::<()>();
        let thread = tokio::task::spawn_blocking(move || busy.recv());
        drop(begun(&bench.probe));
        free.send(()).unwrap();
        thread.await.unwrap().unwrap();
        let Source::File(_, place) = &bench.probe.source else { panic!() };
        drop(place.lock().await);
        assert_counts(&bench.sample().await, 1, 1);
    });
}

/// A sample that was begun, and not waited for.
fn begun(probe: &LogProbe) -> impl Future<Output = Sample> + '_ {
    let mut sample = probe.sample();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(sample.as_mut().poll(&mut context).is_pending());
    sample
}

#[tokio::test]
async fn two_looks_at_once_are_not_both_counted() {
    let bench = Bench::placed().await;
    let Source::File(_, place) = &bench.probe.source else { panic!() };
    let held = place.lock().await;
    assert_unknown(&bench.sample().await, "the last look at it has not ended yet");
    drop(held);
    assert_counts(&bench.sample().await, 0, 0);
}
