//! Jobs whose host, disk, link or runner fails.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::{Clock, SystemClock};
use rollback_core::{Effect, ErrorKind};
use rollback_ssh_support::{Command, Finished, JobKey, JobState, Jobs, RemotePath, Secret};
use rollback_testkit::harness::{CaseResult, ensure, equal, ignore};
use rustix::process::{Pid, Signal, kill_process};

use super::place::{Bare, Place};
use super::{finished, key};
use crate::server::{Server, eventually, pause};

/// Kills the runner of a job, and all that it started.
pub(super) fn kill_runner(place: &Place, key: &JobKey) -> CaseResult {
    let folder = place.folder.path().join("state/jobs").join(key.as_str()).display().to_string();
    let mut killed = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(pid) =
            process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        if words.first() == Some(&&b"sh"[..]) && words.get(4) == Some(&folder.as_bytes()) {
            kill_process(pid, Signal::KILL)?;
            killed += 1;
        }
    }
    ensure(killed > 0, "there is no runner to kill")
}

pub(super) async fn interrupted() -> CaseResult {
    let place = Place::here()?;
    let (one, job) = (key("one"), Command::script(r#": > "$1"; exec sleep 5.875"#).arg(place.file("runs")));
    equal("started", &place.jobs.start(&one, &job).await?, &JobState::Running)?;
    eventually("it runs", || Path::new(&place.file("runs")).exists()).await?;
    kill_runner(&place, &one)?;
    equal("its command still runs", &place.jobs.look(&one).await?, &JobState::Running)?;
    let end = JobState::Interrupted { begun: true };
    equal("waited for", &place.jobs.wait(&one, Duration::from_secs(20)).await?, &end)?;
    equal("started again", &place.jobs.start(&one, &job).await?, &end)?;
    let error = place.jobs.run(&one, &job).await.unwrap_err();
    equal("effect", &error.effect(), &Effect::Unknown)?;
    ensure(!error.is_transient(), "nothing to wait for")?;
    // As a reboot leaves it, before the runner had begun.
    fs::rename(place.of_job(&one, "begun"), place.of_job(&one, "ready"))?;
    equal("not begun", &place.jobs.look(&one).await?, &JobState::Interrupted { begun: false })?;
    equal("effect", &place.jobs.run(&one, &job).await.unwrap_err().effect(), &Effect::None)?;
    place.jobs.forget(&one).await?;
    equal("forgotten", &place.jobs.look(&one).await?, &JobState::Absent)
}

pub(super) async fn hindrances() -> CaseResult {
    let place = Place::here()?;
    fs::write(place.file("state"), "a file")?;
    let error = place.jobs.start(&key("one"), &Command::new("true")).await.unwrap_err();
    ensure(
        error.effect() == Effect::None && error.to_string().contains("cannot be written"),
        error.to_string(),
    )?;
    // A host that lacks a tool.
    let place = Place::busybox()?;
    let bare = Arc::new(Bare);
    let jobs = Jobs::new(bare).in_folder(RemotePath::new(place.file("state"))?);
    let error = jobs.start(&key("one"), &Command::new("true")).await.unwrap_err();
    equal("kind", &error.kind(), &ErrorKind::Unsupported)?;
    ensure(error.to_string().contains("has no flock"), error.to_string())?;
    ensure(!Path::new(&place.file("state")).exists(), "nothing was made")
}

pub(super) async fn full_disk() -> CaseResult {
    if !rustix::process::geteuid().is_root() {
        return ignore("only root can mount a small file system");
    }
    let place = Place::here()?;
    let state = place.folder.path().join("state");
    fs::create_dir(&state)?;
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "none"])
        .arg(&state)
        .status()?;
    if !mounted.success() {
        return ignore("no file system can be mounted here");
    }
    let filling = Command::script("cat /dev/zero; echo \"cat ended with $?\" >&2; exit 4");
    let done = place.jobs.run(&key("filling"), &filling).await;
    let other = place.jobs.start(&key("other"), &Command::new("true")).await;
    let unmounted = std::process::Command::new("umount").arg(&state).status()?;
    ensure(unmounted.success(), "unmounted")?;
    equal("code", &done?.code, &4)?;
    let error = other.unwrap_err();
    equal("effect", &error.effect(), &Effect::None)?;
    ensure(error.to_string().contains("no space"), error.to_string())
}

pub(super) async fn old_ones() -> CaseResult {
    let place = Place::here()?;
    for name in ["old", "young"] {
        place.jobs.run(&key(name), &Command::new("true")).await?;
    }
    let sleeper = Command::script(r#"echo $$ > "$1"; exec sleep 20.0625"#).arg(place.file("pid"));
    place.jobs.start(&key("running"), &sleeper).await?;
    eventually("it runs", || fs::read_to_string(place.file("pid")).is_ok_and(|pid| pid.ends_with('\n')))
        .await?;
    for name in ["old", "running"] {
        let touched = std::process::Command::new("touch")
            .args(["-d", "40 days ago"])
            .arg(place.of_job(&key(name), "."))
            .status()?;
        ensure(touched.success(), "touched")?;
    }
    place.jobs.run(&key("new"), &Command::new("true")).await?;
    eventually("the old one is gone", || !place.of_job(&key("old"), ".").exists()).await?;
    equal("old", &place.jobs.look(&key("old")).await?, &JobState::Absent)?;
    equal("running", &place.jobs.look(&key("running")).await?, &JobState::Running)?;
    finished(place.jobs.look(&key("young")).await?)?;
    let pid = fs::read_to_string(place.file("pid"))?.trim().parse()?;
    Ok(kill_process(Pid::from_raw(pid).ok_or("a pid")?, Signal::TERM)?)
}

pub(super) async fn cut() -> CaseResult {
    let server = Server::start().await?;
    let place = Place::on(&server)?;
    let job =
        Command::script(r#"echo begun; sleep 7; echo x >> "$1"; echo done; exit 6"#).arg(place.file("count"));
    let (jobs, same) = (place.jobs.clone(), job.clone());
    let task = tokio::spawn(async move { jobs.run(&key("one"), &same).await });
    eventually("it was begun", || place.of_job(&key("one"), "begun").exists()).await?;
    for logins in 1..=3 {
        eventually("it is connected", || server.logins() >= logins && !server.serving().is_empty()).await?;
        let cut = server.serving();
        server.signal(Signal::KILL);
        eventually("it is cut", || server.serving().iter().all(|pid| !cut.contains(pid))).await?;
    }
    equal("found finished", &task.await??, &Finished::new(6, false, "begun\ndone\n"))?;
    equal("runs", &fs::read_to_string(place.file("count"))?, &"x\n".to_owned())?;
    ensure(server.logins() >= 4, format!("{} logins", server.logins()))
}

pub(super) async fn any_moment() -> CaseResult {
    let server = Server::start().await?;
    let place = Place::on(&server)?;
    for round in 0..25_u64 {
        let (name, file) = (format!("round-{round}"), place.file(&format!("count-{round}")));
        let job = Command::script(r#"echo x >> "$1"; sleep 0.1; read -r fed; echo "$fed""#).arg(file.clone());
        let job = job.stdin(Secret::new("fed\n"));
        let (jobs, one) = (place.jobs.clone(), key(&name));
        let task = tokio::spawn(async move { jobs.run(&one, &job).await });
        pause(round * 15).await;
        server.signal(Signal::KILL);
        let runs = match task.await? {
            Ok(done) => {
                equal("done", &done, &Finished::new(0, false, "fed\n"))?;
                1
            }
            // Cut while it connected: nothing was begun.
            Err(error) if error.effect() == Effect::None => 0,
            Err(error) => return Err(error.into()),
        };
        let count = fs::read_to_string(&file).unwrap_or_default();
        equal("runs", &count.len(), &(runs * "x\n".len()))?;
    }
    Ok(())
}

pub(super) async fn found_again() -> CaseResult {
    let mut server = Server::start().await?;
    let place = Place::on(&server)?;
    let job = Command::script(r#"sleep 1; echo x >> "$1"; echo done"#).arg(place.file("count"));
    equal("started", &place.jobs.start(&key("one"), &job).await?, &JobState::Running)?;
    server.stop();
    eventually("it goes on without us", || Path::new(&place.file("count")).exists()).await?;
    let error = place.jobs.look(&key("one")).await.unwrap_err();
    equal("kind", &error.kind(), &ErrorKind::Unavailable)?;
    server.again().await?;
    let other = Jobs::new(Arc::new(server.connection())).in_folder(RemotePath::new(place.file("state"))?);
    equal("found", &other.run(&key("one"), &job).await?, &Finished::new(0, false, "done\n"))?;
    equal("runs", &fs::read_to_string(place.file("count"))?, &"x\n".to_owned())
}

pub(super) async fn stays_away() -> CaseResult {
    let mut server = Server::start().await?;
    let place = Place::on(&server)?;
    let jobs = place.jobs.clone();
    let task = tokio::spawn(async move { jobs.run(&key("one"), &Command::new("sleep").arg("2")).await });
    eventually("it was begun", || place.of_job(&key("one"), "begun").exists()).await?;
    let begun = SystemClock.monotonic();
    server.stop();
    let error = task.await?.unwrap_err();
    equal("effect", &error.effect(), &Effect::Unknown)?;
    ensure(error.is_transient(), "the engine looks again")?;
    ensure(SystemClock.monotonic() - begun < Duration::from_secs(20), "bounded")
}
