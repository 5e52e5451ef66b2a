//! What stands between browsers or the command and ministack, to do what ministack does not: edges that keep what they fetched until they are
//! told to forget it, and a CloudFront that takes its time.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rollback_tests::servers::Account;

/// One request, as far as it matters here.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

/// What is answered.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Something that answers on a port of its own until it is dropped.
pub(crate) struct Relay {
    port: u16,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(
        answer: impl Fn(&Asked) -> io::Result<Answer> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (port, ended) = (listener.local_addr()?.port(), Arc::new(AtomicBool::new(false)));
        let (stop, answer) = (Arc::clone(&ended), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(&stream, &*answer));
            }
        });
        Ok(Self { port, ended, thread: Some(thread) })
    }

    /// Asks it for a path.
    pub(crate) fn get(&self, path: &str) -> io::Result<Answer> {
        forward(self.port, "GET", path, "", b"")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&Asked) -> io::Result<Answer>) {
    let answered = read(stream).and_then(|asked| {
        let answer = answer(&asked)?;
        let head = format!("HTTP/1.1 {} -\r\n{}Connection: close\r\n\r\n", answer.status, answer.headers);
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        if asked.method != "HEAD" {
            stream.write_all(&answer.body)?;
        }
        Ok(())
    });
    // Whoever went away is not waited for.
    drop(answered);
}

/// Head and body, where the head says how long that is.
fn parts(stream: impl io::Read) -> io::Result<(String, String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut headers, mut length) = (String::new(), String::new(), None);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
        if !["connection", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
            headers.push_str(&line);
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => drop(reader.take(length).read_to_end(&mut body)?),
        None if first.starts_with("HTTP/") => drop(reader.read_to_end(&mut body)?),
        None => {}
    }
    Ok((first, headers, body))
}

fn read(stream: &TcpStream) -> io::Result<Asked> {
    let (first, headers, body) = parts(stream)?;
    // Browsers connect before they know what they will ask for, and may go away without a word.
    if first.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Asked { method, path, headers, body })
}

/// Asks a server. In HTTP/1.0, so that an answer ends with the connection.
pub(crate) fn forward(port: u16, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(format!("{method} {path} HTTP/1.0\r\n{headers}\r\n").as_bytes())?;
    stream.write_all(body)?;
    // What the head says of the length of an answer to HEAD is not there.
    let (first, headers, body) = if method == "HEAD" { head(&stream)? } else { parts(&stream)? };
    let status = first.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.unwrap_or(502), headers, body })
}

fn head(stream: &TcpStream) -> io::Result<(String, String, Vec<u8>)> {
    let mut all = String::new();
    let mut stream = stream;
    stream.read_to_string(&mut all)?;
    let (first, headers) = all.split_once("\r\n").unwrap_or_default();
    let kept = headers
        .lines()
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection"));
    Ok((first.to_owned(), kept.map(|line| format!("{line}\r\n")).collect(), Vec::new()))
}

/// The port of an account's endpoint.
pub(crate) fn port_of(account: &Account) -> u16 {
    account.endpoint().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
}

/// As the emulator finds out whose request it is.
pub(crate) fn signed(account: &Account, service: &str) -> String {
    let scope = format!("{}/20260101/us-east-1/{service}/aws4_request", account.key());
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\nX-Amz-Date: 20260101T000000Z\r\n"
    )
}

/// Calls CloudFront, and has what it answers.
pub(crate) fn cloudfront(
    account: &Account,
    method: &str,
    path: &str,
    more: &str,
    body: &str,
) -> io::Result<Answer> {
    let length = format!("Content-Length: {}\r\n", body.len());
    let headers = format!("{}{length}{more}", signed(account, "cloudfront"));
    forward(port_of(account), method, &format!("/2020-05-31/distribution{path}"), &headers, body.as_bytes())
}

/// Whatever stands between these tags.
pub(crate) fn between(text: &str, tag: &str) -> Vec<String> {
    let begins = format!("<{tag}>");
    let pieces = text.split(&begins).skip(1);
    pieces.filter_map(|piece| Some(piece.split_once('<')?.0.to_owned())).collect()
}

/// The invalidations of a distribution, oldest first: the paths of each.
pub(crate) fn invalidations(account: &Account, distribution: &str) -> io::Result<Vec<Vec<String>>> {
    let at = format!("/{distribution}/invalidation");
    let ask = |path: &str| Ok::<_, io::Error>(cloudfront(account, "GET", path, "", "")?.text());
    let ids = between(&ask(&at)?, "Id");
    ids.iter().map(|id| Ok(between(&ask(&format!("{at}/{id}"))?, "Path"))).collect()
}

/// What edges have fetched, and how many invalidations they know of.
#[derive(Default)]
struct Cache {
    kept: BTreeMap<String, Answer>,
    known: usize,
}

/// The edges of a distribution: what was fetched once is kept, until an invalidation names it. ministack fetches each time.
pub(crate) fn edge(account: &Account, distribution: &str, domain: &str) -> io::Result<Relay> {
    let (account, distribution) = (account.clone(), distribution.to_owned());
    let headers = format!("Host: {domain}\r\n{}", signed(&account, "s3"));
    let cache = Mutex::new(Cache::default());
    Relay::start(move |asked| {
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        let all = invalidations(&account, &distribution)?;
        for path in all.iter().skip(cache.known).flatten() {
            let fits =
                |kept: &str| path.strip_suffix('*').map_or(kept == path, |start| kept.starts_with(start));
            cache.kept.retain(|kept, _| !fits(kept));
        }
        cache.known = all.len();
        if let Some(kept) = cache.kept.get(&asked.path) {
            return Ok(kept.clone());
        }
        let answer = forward(port_of(&account), "GET", &asked.path, &headers, b"")?;
        // Errors are kept for ten seconds only; that is as good as not at all here.
        if answer.status != 200 {
            return Ok(answer);
        }
        cache.kept.insert(asked.path.clone(), answer.clone());
        Ok(answer)
    })
}

/// A CloudFront that is done only when it has been asked so often: until then invalidations and changed distributions are in progress.
pub(crate) fn slow(account: &Account, looks: u32) -> io::Result<Relay> {
    busy(account, (looks, looks), false)
}

/// A CloudFront in which a change of the distribution is in progress that somebody else made, until it has been asked so often.
pub(crate) fn deploying(account: &Account, looks: u32) -> io::Result<Relay> {
    busy(account, (0, looks), true)
}

fn busy(account: &Account, looks: (u32, u32), already: bool) -> io::Result<Relay> {
    let (port, left) = (port_of(account), Mutex::new(looks));
    Relay::start(move |asked| {
        let mut answer = forward(port, &asked.method, &asked.path, &asked.headers, &asked.body)?;
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of) = asked.path.strip_prefix("/2020-05-31/distribution/") else { return Ok(answer) };
        let (done, count, all) = match of.contains("/invalidation") {
            true => ("Completed", &mut left.0, looks.0),
            false => ("Deployed", &mut left.1, looks.1),
        };
        // Before anything was changed, all is at rest.
        let begun = already || asked.method != "GET" || *count < all;
        if begun && *count > 0 && answer.status < 300 {
            *count -= 1;
            let text = answer.text().replace(&format!("<Status>{done}<"), "<Status>InProgress<");
            answer.headers = without_length(&answer.headers);
            answer.body = text.into_bytes();
        }
        Ok(answer)
    })
}

/// S3 as it treats copies: what they write over must be what they say. ministack does not look at that. While one byte of what is to
/// be copied is read, which is after the look, somebody else writes what is served as `key`.
pub(crate) fn strict(account: &Account, bucket: &str, key: &str, body: &'static str) -> io::Result<Relay> {
    let (port, signed, came) = (port_of(account), signed(account, "s3"), AtomicBool::new(false));
    let written = format!("/{bucket}/live/{key}");
    Relay::start(move |asked| {
        let is_read = asked.method == "GET" && asked.path.contains("/versions/v1/");
        if is_read && !came.swap(true, Ordering::Relaxed) {
            let headers = format!("{signed}Content-Length: {}\r\n", body.len());
            forward(port, "PUT", &written, &headers, body.as_bytes())?;
        }
        if let Some(wanted) = header(&asked.headers, "if-match").filter(|_| asked.method == "PUT") {
            let path = asked.path.split('?').next().unwrap_or_default();
            let there = forward(port, "HEAD", path, &signed, b"")?;
            if header(&there.headers, "etag") != Some(wanted) {
                let body = b"<Error><Code>PreconditionFailed</Code></Error>".to_vec();
                return Ok(Answer { status: 412, headers: String::new(), body });
            }
        }
        forward(port, &asked.method, &asked.path, &asked.headers, &asked.body)
    })
}

/// S3 as it says that an upload in parts is complete. moto says so with an element that is not the one S3 says it with, which no SDK for
/// Rust reads.
pub(crate) fn completed(account: &Account) -> io::Result<Relay> {
    let port = port_of(account);
    Relay::start(move |asked| {
        let mut answer = forward(port, &asked.method, &asked.path, &asked.headers, &asked.body)?;
        if asked.method == "POST" && asked.path.contains("uploadId=") {
            let text =
                answer.text().replace("CompleteMultipartUploadResponse", "CompleteMultipartUploadResult");
            answer.headers = without_length(&answer.headers);
            answer.body = text.into_bytes();
        }
        Ok(answer)
    })
}

/// Headers without how long the body is: it ends with the connection.
fn without_length(headers: &str) -> String {
    let kept = |line: &&str| !line.to_ascii_lowercase().starts_with("content-length");
    headers.lines().filter(kept).map(|line| format!("{line}\r\n")).collect()
}

/// S3 as it tells of the first part of an object: how large that is. ministack tells of the whole.
pub(crate) fn with_first_part(account: &Account, bytes: usize) -> io::Result<Relay> {
    let port = port_of(account);
    Relay::start(move |asked| {
        let mut answer = forward(port, &asked.method, &asked.path, &asked.headers, &asked.body)?;
        if asked.method == "HEAD" && asked.path.contains("partNumber=1") {
            answer.headers = without_length(&answer.headers);
            answer.headers.push_str(&format!("Content-Length: {bytes}\r\n"));
        }
        Ok(answer)
    })
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    let mut all = headers.lines().filter_map(|line| line.split_once(':'));
    all.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
}
