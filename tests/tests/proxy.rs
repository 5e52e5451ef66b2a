//! Each fault of the proxy, as a client and a server see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::proxy::{Answer, Exchange, Fault, Faults, Proxy, Rule};
use rollback_tests::{LIMIT, Result, until};

/// What a client waits for an answer that does not come.
const SHORT: Duration = Duration::from_millis(300);

/// A server that keeps what it was asked and answers `did <method> <path> <length of the body>` and many dots.
struct Upstream {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

const DOTS: usize = 300_000;

impl Upstream {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    // A proxy that goes away in the middle is what is tested.
                    let _ = serve(&stream, &kept);
                });
            }
        });
        Ok(Self { address, asked })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn proxy(&self, faults: Faults) -> Result<Proxy> {
        let proxy = Proxy::http(self.address)?;
        proxy.faults(faults);
        Ok(proxy)
    }
}

fn serve(stream: &TcpStream, asked: &Mutex<Vec<String>>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some((first, headers)) = head(&mut reader)? {
        let mut body = vec![0; length(&headers)];
        reader.read_exact(&mut body)?;
        let host = headers.iter().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let told = format!("{method} {path} {} {host}", body.len());
        asked.lock().unwrap().push(told.clone());
        let dots = if path.contains("long") { ".".repeat(DOTS) } else { String::new() };
        let body = format!("did {told}{dots}");
        let mut stream = stream;
        if path.contains("chunked") {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for part in [&body[..3], &body[3..]] {
                write!(stream, "{:x}\r\n{part}\r\n", part.len())?;
            }
            write!(stream, "0\r\n\r\n")?;
        } else {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        }
    }
    Ok(())
}

/// The first line and the headers, in small letters; `None` at the end of the stream.
fn head(reader: &mut impl std::io::BufRead) -> std::io::Result<Option<(String, Vec<String>)>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let first = lines.remove(0);
    Ok(Some((first, lines.iter().map(|line| line.to_lowercase()).collect())))
}

fn length(headers: &[String]) -> usize {
    headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0)
}

/// What a client sees of one request.
#[derive(Debug, PartialEq)]
enum Seen {
    Answer(u16, String),
    Reset,
    /// The end of the stream after so many bytes of the body; `None`: before any answer.
    Eof(Option<usize>),
    Nothing,
}

/// A client with one connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(proxy: &Proxy) -> Result<Self> {
        let stream = TcpStream::connect(proxy.address())?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn patience(self, limit: Duration) -> Result<Self> {
        self.0.get_ref().set_read_timeout(Some(limit))?;
        Ok(self)
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Seen {
        self.try_ask(method, path, body).unwrap_or_else(|error| match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Seen::Reset,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Seen::Nothing,
            _ => panic!("{error}"),
        })
    }

    fn try_ask(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<Seen> {
        let length = body.len();
        write!(
            self.0.get_mut(),
            "{method} {path} HTTP/1.1\r\nHost: client\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let Some((first, headers)) = head(&mut self.0)? else { return Ok(Seen::Eof(None)) };
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        if headers.iter().any(|line| line == "transfer-encoding: chunked") {
            return self.chunks().map(|text| Seen::Answer(status, text));
        }
        let wanted = self::length(&headers);
        let mut text = Vec::new();
        let read = (&mut self.0).take(wanted as u64).read_to_end(&mut text)?;
        if read < wanted {
            return Ok(Seen::Eof(Some(read)));
        }
        Ok(Seen::Answer(status, String::from_utf8_lossy(&text).into_owned()))
    }

    fn chunks(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
            let mut chunk = vec![0; size + 2];
            self.0.read_exact(&mut chunk)?;
            if size == 0 {
                return Ok(text);
            }
            text.push_str(&String::from_utf8_lossy(&chunk[..size]));
        }
    }
}

fn always(fault: Fault) -> Faults {
    Faults::none().rule(Rule::new(fault))
}

fn did(text: &str) -> Seen {
    Seen::Answer(200, format!("did {text}"))
}

/// The last exchange that was logged.
fn last(proxy: &Proxy) -> Exchange {
    proxy.log().pop().unwrap()
}

#[test]
fn everything_passes_on_one_connection_and_the_host_as_it_came() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = upstream.proxy(Faults::none())?;
    let mut client = Client::new(&proxy)?;
    assert_eq!(client.ask("PUT", "/a?x=1", "body"), did("PUT /a?x=1 4 client"));
    assert_eq!(client.ask("GET", "/chunked", ""), did("GET /chunked 0 client"));
    let large = "b".repeat(3_000_000);
    assert_eq!(client.ask("POST", "/b", &large), did("POST /b 3000000 client"));
    let Seen::Answer(200, text) = client.ask("GET", "/long", "") else { panic!("no answer") };
    assert!(text.len() > DOTS);
    assert_eq!(upstream.asked().len(), 4);
    let seen = last(&proxy);
    assert_eq!((seen.number, seen.method.as_str(), seen.path.as_str()), (3, "GET", "/long"));
    assert_eq!((seen.status, seen.fault, seen.trouble), (Some(200), None, None));
    Ok(())
}

#[test]
fn the_host_is_rewritten_by_choice() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = Proxy::http_rewriting_host(upstream.address)?;
    let wanted = did(&format!("GET / 0 {}", upstream.address));
    assert_eq!(Client::new(&proxy)?.ask("GET", "/", ""), wanted);
    Ok(())
}

#[test]
fn an_answer_in_its_place_never_reaches_the_server_and_the_connection_goes_on() -> Result<()> {
    let upstream = Upstream::start()?;
    let answer = Answer::s3(503).header("retry-after", "1");
    let proxy = upstream.proxy(Faults::none().rule(Rule::new(Fault::Answer(answer)).first(1)))?;
    let mut client = Client::new(&proxy)?;
    let Seen::Answer(503, text) = client.ask("PUT", "/a", &"b".repeat(1_000_000)) else { panic!("no 503") };
    assert!(text.contains("<Code>SlowDown</Code>"), "{text}");
    assert!(upstream.asked().is_empty());
    assert_eq!((last(&proxy).fault.as_deref(), last(&proxy).status), (Some("answer 503"), None));
    assert_eq!(client.ask("PUT", "/a", ""), did("PUT /a 0 client"));
    assert_eq!(proxy.counts()["answer 503"], 1);
    assert_eq!(proxy.counts()["requests"], 2);
    Ok(())
}

#[test]
fn a_reset_before_does_not_reach_the_server() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = upstream.proxy(always(Fault::ResetBefore))?;
    assert_eq!(Client::new(&proxy)?.ask("PUT", "/a", "body"), Seen::Reset);
    // What passes now shows that nothing was on its way.
    proxy.faults(Faults::none());
    assert_eq!(Client::new(&proxy)?.ask("GET", "/b", ""), did("GET /b 0 client"));
    assert_eq!(upstream.asked(), ["GET /b 0 client"]);
    assert_eq!(proxy.log()[0].fault.as_deref(), Some("reset before"));
    Ok(())
}

#[test]
fn what_ends_after_it_was_done_was_done() -> Result<()> {
    let cases = [
        (Fault::ResetAfter, Seen::Reset),
        (Fault::EofAfter, Seen::Eof(None)),
        (Fault::HangAfter, Seen::Nothing),
    ];
    for (fault, wanted) in cases {
        let upstream = Upstream::start()?;
        let proxy = upstream.proxy(always(fault.clone()))?;
        let patience = if wanted == Seen::Nothing { SHORT } else { LIMIT };
        let mut client = Client::new(&proxy)?.patience(patience)?;
        assert_eq!(client.ask("PUT", "/long", "body"), wanted, "{fault:?}");
        // For one that hangs, the client may have given up first.
        until("the request", || (last(&proxy).status == Some(200)).then_some(()))?;
        assert_eq!(upstream.asked(), ["PUT /long 4 client"], "{fault:?}");
    }
    Ok(())
}

#[test]
fn a_hang_never_answers_and_never_reaches_the_server() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = upstream.proxy(always(Fault::Hang))?;
    assert_eq!(Client::new(&proxy)?.patience(SHORT)?.ask("PUT", "/a", "body"), Seen::Nothing);
    proxy.faults(Faults::none());
    assert_eq!(Client::new(&proxy)?.ask("GET", "/b", ""), did("GET /b 0 client"));
    assert_eq!(upstream.asked(), ["GET /b 0 client"]);
    Ok(())
}

#[test]
fn a_cut_body_says_how_long_it_is_and_is_not() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = upstream.proxy(always(Fault::CutBody))?;
    for path in ["/a", "/chunked"] {
        let mut client = Client::new(&proxy)?;
        client.0.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: client\r\n\r\n").as_bytes())?;
        let (_, headers) = head(&mut client.0)?.unwrap();
        let mut got = Vec::new();
        let ended = client.0.read_to_end(&mut got).map(drop);
        assert_eq!(length(&headers), format!("did GET {path} 0 client").len());
        assert_eq!(got.len(), length(&headers) / 2);
        assert_eq!(ended.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    }
    assert_eq!(upstream.asked().len(), 2);
    Ok(())
}

#[test]
fn a_delay_is_waited_out_and_then_all_is_well() -> Result<()> {
    let upstream = Upstream::start()?;
    let wait = Duration::from_millis(120);
    let proxy = upstream.proxy(always(Fault::delay(wait)))?;
    let began = SystemClock.monotonic();
    assert_eq!(Client::new(&proxy)?.ask("GET", "/a", ""), did("GET /a 0 client"));
    assert!(SystemClock.monotonic() - began >= wait);
    assert_eq!((last(&proxy).delay, proxy.counts()["delay"]), (wait, 1));
    Ok(())
}

#[test]
fn rules_choose_by_method_path_and_number() -> Result<()> {
    let upstream = Upstream::start()?;
    let rule = |fault| Rule::new(fault).method("PUT").path("/heads/*");
    let proxy = upstream.proxy(Faults::none().rule(rule(Fault::ResetAfter).nth(2)))?;
    let ask = |method, path| Client::new(&proxy).map(|mut client| client.ask(method, path, ""));
    assert_eq!(ask("PUT", "/heads/a")?, did("PUT /heads/a 0 client"));
    assert_eq!(ask("GET", "/heads/a")?, did("GET /heads/a 0 client"));
    assert_eq!(ask("PUT", "/other")?, did("PUT /other 0 client"));
    assert_eq!(ask("PUT", "/heads/b")?, Seen::Reset);
    assert_eq!(ask("PUT", "/heads/a")?, did("PUT /heads/a 0 client"));
    assert_eq!(upstream.asked().len(), 5);
    Ok(())
}

#[test]
fn down_cuts_what_there_is_and_resets_what_comes() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = upstream.proxy(Faults::none())?;
    let mut client = Client::new(&proxy)?;
    assert_eq!(client.ask("GET", "/a", ""), did("GET /a 0 client"));
    proxy.down();
    assert_ne!(client.ask("GET", "/b", ""), did("GET /b 0 client"));
    assert_eq!(Client::new(&proxy)?.ask("GET", "/c", ""), Seen::Reset);
    proxy.up();
    assert_eq!(Client::new(&proxy)?.ask("GET", "/d", ""), did("GET /d 0 client"));
    assert_eq!(upstream.asked(), ["GET /a 0 client", "GET /d 0 client"]);
    Ok(())
}

#[test]
fn a_server_that_is_gone_is_a_reset_and_said_in_the_log() -> Result<()> {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let proxy = Proxy::http(nobody)?;
    assert_eq!(Client::new(&proxy)?.ask("GET", "/a", ""), Seen::Reset);
    assert!(last(&proxy).trouble.is_some());
    assert_eq!(last(&proxy).fault, None);
    Ok(())
}

#[test]
fn bytes_pass_are_reset_and_hang() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = Proxy::tcp(upstream.address)?;
    let ask =
        |patience| -> Result<Seen> { Ok(Client::new(&proxy)?.patience(patience)?.ask("GET", "/a", "")) };
    assert_eq!(ask(LIMIT)?, did("GET /a 0 client"));
    for (fault, patience, wanted, reaches) in [
        (Fault::ResetBefore, LIMIT, Seen::Reset, false),
        (Fault::Hang, SHORT, Seen::Nothing, false),
        (Fault::ResetAfter, LIMIT, Seen::Reset, true),
        (Fault::EofAfter, LIMIT, Seen::Eof(None), true),
        (Fault::HangAfter, SHORT, Seen::Nothing, true),
    ] {
        let before = upstream.asked().len();
        proxy.faults(always(fault.clone()));
        assert_eq!(ask(patience)?, wanted, "{fault:?}");
        if reaches {
            until("the request", || (upstream.asked().len() > before).then_some(()))?;
        }
        assert_eq!(upstream.asked().len(), before + usize::from(reaches), "{fault:?}");
    }
    proxy.faults(Faults::none());
    let mut client = Client::new(&proxy)?;
    assert_eq!(client.ask("GET", "/b", ""), did("GET /b 0 client"));
    proxy.cut();
    assert_eq!(client.ask("GET", "/c", ""), Seen::Reset);
    assert_eq!(proxy.log()[0].method, "TCP");
    Ok(())
}

#[test]
fn bytes_stand_still_and_take_their_time() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = Proxy::tcp(upstream.address)?;
    let mut before = Client::new(&proxy)?.patience(SHORT)?;
    assert_eq!(before.ask("GET", "/a", ""), did("GET /a 0 client"));
    proxy.freeze();
    assert_eq!(before.ask("GET", "/b", ""), Seen::Nothing);
    assert_eq!(Client::new(&proxy)?.patience(SHORT)?.ask("GET", "/c", ""), Seen::Nothing);
    assert_eq!(upstream.asked(), ["GET /a 0 client"]);
    proxy.thaw();
    until("what was on its way", || (upstream.asked().len() == 3).then_some(()))?;

    proxy.latency(SHORT);
    let began = SystemClock.monotonic();
    assert_eq!(Client::new(&proxy)?.ask("GET", "/d", ""), did("GET /d 0 client"));
    let took = SystemClock.monotonic().saturating_sub(began);
    assert!(took >= SHORT * 2, "{took:?}");
    Ok(())
}

#[test]
fn many_clients_at_once_get_their_own_answers() -> Result<()> {
    let upstream = Upstream::start()?;
    let proxy = upstream.proxy(Faults::seeded(3).rule(Rule::new(Fault::ResetAfter).chance(0.2)))?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let proxy = &proxy;
                scope.spawn(move || -> Result<u64> {
                    let mut resets = 0;
                    let mut client = Client::new(proxy)?;
                    for number in 0..50 {
                        let path = format!("/{thread}/{number}");
                        match client.ask("GET", &path, "") {
                            Seen::Reset => {
                                resets += 1;
                                client = Client::new(proxy)?;
                            }
                            seen => assert_eq!(seen, did(&format!("GET {path} 0 client"))),
                        }
                    }
                    Ok(resets)
                })
            })
            .collect();
        let mut resets = 0;
        for thread in threads {
            resets += thread.join().map_err(|_| "a client panicked")??;
        }
        assert_eq!(proxy.counts()["reset after"], resets);
        assert_eq!(upstream.asked().len(), 400);
        Ok(())
    })
}
