//! A tiny HTTP service that serves the release it was started from.
//!
//! `restart ROOT` stops the one that runs and starts a new one in what `ROOT/current` points to; it returns once that one
//! has written its pid file. `serve ROOT` is the service: it answers with what `index.html` held when it started.
//! Whatever happens, it ends when ROOT is removed, or after ten minutes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::{Result, alive, append, pause, signal, until};

const LONGEST: Duration = Duration::from_secs(600);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "restart", root] => restart(Path::new(root)),
        [_, "serve", root] => serve(Path::new(root)),
        _ => Err("usage: e2e-service restart|serve ROOT".into()),
    }
}

fn restart(root: &Path) -> Result<()> {
    // One at a time, as a service manager does it: a restart that was left behind by a killed command may still run.
    let lock = fs::File::create(root.join("restart.lock"))?;
    lock.lock()?;
    if root.join("closed").exists() {
        return Err("the site is closed".into());
    }
    let pid_file = root.join("pid");
    if let Ok(old) = fs::read_to_string(&pid_file) {
        let old: u32 = old.trim().parse()?;
        if alive(old) {
            signal(old, "TERM")?;
            until("the old process to end", || (!alive(old)).then_some(()))?;
        }
        fs::remove_file(&pid_file)?;
    }
    let release = fs::canonicalize(root.join("current"))?;
    append(&root.join("restarts"), &format!("{}\n", release.display()))?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve".as_ref(), root.as_os_str()])
        .current_dir(&release)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    until("the new process", || match child.try_wait() {
        Ok(None) => pid_file.exists().then_some(Ok(())),
        ended => Some(Err(format!("the service ended: {ended:?}"))),
    })??;
    Ok(())
}

fn serve(root: &Path) -> Result<()> {
    let page = fs::read_to_string("index.html")?;
    // Where the one before it listened, so that others find it there; that may be taken by now.
    let before = fs::read_to_string(root.join("port")).ok().and_then(|port| port.trim().parse().ok());
    let before = before.and_then(|port: u16| TcpListener::bind(("127.0.0.1", port)).ok());
    let listener = before.map_or_else(|| TcpListener::bind("127.0.0.1:0"), Ok)?;
    write_whole(root, "port", &listener.local_addr()?.port().to_string())?;
    write_whole(root, "pid", &std::process::id().to_string())?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is none of our business.
            let _ = answer(stream, &page);
        }
    });
    let began = SystemClock.monotonic();
    while root.exists() && SystemClock.monotonic().saturating_sub(began) < LONGEST {
        pause(Duration::from_millis(200));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, page: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = [0; 1024];
    let _ = stream.read(&mut request)?;
    let status = if page.contains("bad") { "500 Internal Server Error" } else { "200 OK" };
    let length = page.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}")
}

fn write_whole(root: &Path, name: &str, text: &str) -> Result<()> {
    let draft = root.join(format!(".{name}.{}", std::process::id()));
    fs::write(&draft, text)?;
    fs::rename(draft, root.join(name))?;
    Ok(())
}
