//! Jobs: over SSH, on this machine, and with busybox' tools.

mod place;
mod secret;
mod trouble;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::{Clock, SystemClock};
use rollback_core::{Effect, ErrorKind};
use rollback_ssh_support::{Command, Finished, JobKey, JobState, Jobs, RemotePath, Secret};
use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};

use self::place::{Half, Place};
use crate::commands::ended;
use crate::server::Server;

pub(crate) fn suite() -> Suite {
    crate::suite("jobs")
        .case("a_job_runs_once_here", true, || async { once(&Place::here()?).await })
        .case("a_job_runs_once_with_busybox", true, || async { once(&Place::busybox()?).await })
        .case("a_job_runs_once_with_bash", true, || async { once(&Place::bash()?).await })
        .case("input_is_fed_whole_with_bash", true, || async { input(&Place::bash()?).await })
        .case("a_time_limit_ends_a_job_with_bash", true, || async { time_limit(&Place::bash()?, "73").await })
        .case("a_job_runs_once_on_a_host", true, || async {
            let server = Server::start().await?;
            once(&Place::on(&server)?).await
        })
        .case("a_time_limit_ends_a_job_here", true, || async { time_limit(&Place::here()?, "71").await })
        .case("a_time_limit_ends_a_job_with_busybox", true, || async {
            time_limit(&Place::busybox()?, "72").await
        })
        .case("input_is_fed_whole_or_nothing_begins", true, || async { input(&Place::here()?).await })
        .case("input_is_fed_whole_or_nothing_begins_with_busybox", true, || async {
            input(&Place::busybox()?).await
        })
        .case("an_interrupted_job_is_told_from_a_running_one", true, trouble::interrupted)
        .case("twenty_starts_of_one_key_run_it_once", true, twenty)
        .case("what_hinders_a_start_is_said", true, trouble::hindrances)
        .case("a_full_disk_still_keeps_the_exit_code", true, trouble::full_disk)
        .case("old_jobs_are_removed_and_running_ones_kept", true, trouble::old_ones)
        .case("a_job_outlives_the_cut_of_its_link", true, trouble::cut)
        .case("a_link_cut_at_any_moment_runs_a_job_once_or_not_at_all", true, trouble::any_moment)
        .case("a_job_is_found_by_another_process_after_its_host_was_gone", true, trouble::found_again)
        .case("a_host_that_stays_away_leaves_the_effect_unknown", true, trouble::stays_away)
        .case("a_secret_is_seen_nowhere", true, secret::seen_nowhere)
}

fn key(text: &str) -> JobKey {
    JobKey::new(text).unwrap()
}

/// A job that says so and appends a line to a file each time it runs.
fn counting(file: String) -> Command {
    Command::script(r#"echo "run by $2"; echo err >&2; echo x >> "$1"; exit 3"#)
        .args([file, "it's me".to_owned()])
}

fn finished(state: JobState) -> Result<Finished, Failure> {
    match state {
        JobState::Finished(finished) => Ok(finished),
        state => Err(format!("not finished: {state:?}").into()),
    }
}

async fn once(place: &Place) -> CaseResult {
    let (one, count) = (key("run-1.web_up"), place.file("count"));
    equal("before", &place.jobs.look(&one).await?, &JobState::Absent)?;
    let done = place.jobs.run(&one, &counting(count.clone())).await?;
    equal("done", &done, &Finished::new(3, false, "run by it's me\nerr\n"))?;
    equal("again", &place.jobs.run(&one, &counting(count.clone())).await?, &done)?;
    equal(
        "started",
        &place.jobs.start(&one, &counting(count.clone())).await?,
        &JobState::Finished(done.clone()),
    )?;
    equal("looked at", &finished(place.jobs.look(&one).await?)?, &done)?;
    equal("runs", &fs::read_to_string(&count)?, &"x\n".to_owned())?;
    let mode = fs::metadata(place.of_job(&one, "log"))?.permissions().mode();
    equal("for its user alone", &(mode & 0o077), &0)?;

    // Started, and waited for.
    let slow =
        Command::script("sleep 2.5; pwd; echo $A").current_dir(RemotePath::new("/usr/bin")?).env("A", "b  c");
    equal("slow", &place.jobs.start(&key("slow"), &slow).await?, &JobState::Running)?;
    equal("a short wait", &place.jobs.wait(&key("slow"), Duration::ZERO).await?, &JobState::Running)?;
    let error = place.jobs.forget(&key("slow")).await.unwrap_err();
    equal("a running one is not forgotten", &error.kind(), &ErrorKind::Conflict)?;
    let slow = finished(place.jobs.wait(&key("slow"), Duration::from_secs(20)).await?)?;
    equal("slow", &slow, &Finished::new(0, false, "/usr/bin\nb c\n"))?;

    // Forgotten, the key is free.
    place.jobs.forget(&one).await?;
    place.jobs.forget(&one).await?;
    equal("forgotten", &place.jobs.look(&one).await?, &JobState::Absent)?;
    place.jobs.run(&one, &counting(count.clone())).await?;
    equal("runs", &fs::read_to_string(&count)?, &"x\nx\n".to_owned())?;

    // What runs on by itself does not hold the job.
    let daemon = Command::script("sleep 45.125 > /dev/null 2>&1 < /dev/null & echo up");
    let begun = SystemClock.monotonic();
    equal("a daemon", &place.jobs.run(&key("daemon"), &daemon).await?.code, &0)?;
    ensure(SystemClock.monotonic() - begun < Duration::from_secs(30), "the daemon was waited for")?;
    let nowhere = Command::new("true").current_dir(RemotePath::new("/no/such/folder")?);
    equal("no folder", &place.jobs.run(&key("nowhere"), &nowhere).await?.code, &126)?;
    equal(
        "no program",
        &place.jobs.run(&key("nothing"), &Command::new("no-such-program")).await?.code,
        &127,
    )?;
    let killed = Command::script("kill -9 $$");
    let killed = place.jobs.run(&key("killed"), &killed).await?;
    ensure(killed.code == 137 && !killed.over_limit, format!("{killed:?}"))
}

async fn time_limit(place: &Place, fraction: &str) -> CaseResult {
    let mark = format!("{}.{fraction}", 60_000 + std::process::id() % 10_000);
    // busybox' timeout ends the program alone, and not what that started: here the sleep becomes the program.
    let sleeper = Command::script(r#"echo begun; exec sleep "$1""#).arg(mark.clone());
    let done = place.jobs.run(&key("limit"), &sleeper.limit(Duration::from_secs(1))).await?;
    ensure(done.over_limit && done.code != 0, format!("{done:?}"))?;
    ensure(done.log().starts_with("begun\n"), done.log())?;
    equal("error", &done.clone().checked("migrate").unwrap_err().kind(), &ErrorKind::Timeout)?;
    equal("it is kept", &finished(place.jobs.look(&key("limit")).await?)?, &done)?;
    ended(&mark).await
}

async fn input(place: &Place) -> CaseResult {
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 256).unwrap()).collect();
    let copy = Command::script(r#"cat > "$1""#).arg(place.file("copy")).stdin(Secret::new(bytes.clone()));
    equal("copied", &place.jobs.run(&key("copy"), &copy).await?.code, &0)?;
    ensure(fs::read(place.file("copy"))? == bytes, "each byte arrives")?;
    let empty = Command::new("wc").arg("-c").stdin(Secret::new(""));
    equal("nothing", place.jobs.run(&key("empty"), &empty).await?.log().trim(), "0")?;
    let unread = Command::new("true").stdin(Secret::new(vec![b'x'; 900_000]));
    equal("unread", &place.jobs.run(&key("unread"), &unread).await?.code, &0)?;
    let long = Command::new("true").stdin(Secret::new(vec![b'x'; 1_100_000]));
    equal("too long", &place.jobs.run(&key("long"), &long).await.unwrap_err().kind(), &ErrorKind::Invalid)?;

    // Half of the input, as after a cut.
    let cut = Jobs::new(Arc::new(Half)).in_folder(RemotePath::new(place.file("state"))?);
    let counting = counting(place.file("count")).stdin(Secret::new("password"));
    let error = cut.run(&key("half"), &counting).await.unwrap_err();
    equal("effect", &error.effect(), &Effect::None)?;
    equal("state", &place.jobs.look(&key("half")).await?, &JobState::Absent)?;
    ensure(!Path::new(&place.file("count")).exists(), "nothing ran")
}

async fn twenty() -> CaseResult {
    let server = Server::start().await?;
    let place = Place::on(&server)?;
    let job = Command::script(r#"echo x >> "$1"; sleep 0.3; exit 5"#).arg(place.file("count"));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (jobs, job) = (place.jobs.clone(), job.clone());
            tokio::spawn(async move { jobs.run(&key("one"), &job).await })
        })
        .collect();
    for task in tasks {
        equal("code", &task.await??.code, &5)?;
    }
    equal("runs", &fs::read_to_string(place.file("count"))?, &"x\n".to_owned())
}
