//! Emulators of AWS.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::install::program;
use super::server::{Launch, Ready, Server};
use super::{StartError, http};
use crate::Result;

/// The region of all accounts.
const REGION: &str = "us-east-1";
/// Accounts are twelve digits. Each is used once in a process.
const FIRST_ACCOUNT: u64 = 100_000_000_001;

/// ministack: S3 and most of AWS. Install it with `tests/install-servers ministack`.
#[derive(Debug)]
pub struct Ministack {
    server: Server,
}

impl Ministack {
    /// One of its own, which ends with it: for tests that reset, stop or restart it. `test` names the folder of its log.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start(test: &str) -> Result<Self, StartError> {
        // A daemon that happens to be there is none of its business.
        Self::start_on(test, "unix:///dev/null/none")
    }

    /// As [`start`](Self::start), and the tasks of ECS are containers of the Docker daemon at `docker`, like
    /// `unix:///run/docker.sock`. It need not run yet.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start_on(test: &str, docker: &str) -> Result<Self, StartError> {
        let ministack = program("ministack", "ministack")?;
        let launch = Launch::new("ministack", move |port| {
            let mut command = Command::new(&ministack);
            command.env("DOCKER_HOST", docker);
            // Left to itself it listens on all addresses.
            command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
            command.env("IOT_MTLS_ENABLED", "0");
            command
        });
        let server = launch.ready(Ready::Get("/_ministack/health".to_owned())).start(test)?;
        Ok(Self { server })
    }

    /// The one that all tests of this process share, each with an [`account`](Self::account) of its own. It starts
    /// when it is first asked for and ends with the process.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn shared() -> Result<&'static Self, StartError> {
        static SHARED: OnceLock<Result<Ministack, StartError>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&this_test())).as_ref().map_err(Clone::clone)
    }

    /// The process.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// An account that nobody else uses.
    #[must_use]
    pub fn account(&self) -> Account {
        Account::next(self.server.port())
    }
}

/// moto, for what ministack does not have. Install it with `tests/install-servers moto`.
#[derive(Debug)]
pub struct Moto {
    server: Server,
}

impl Moto {
    /// Whether it is installed: for tests that nobody has to run.
    #[must_use]
    pub fn is_installed() -> bool {
        program("moto", "python").is_ok()
    }

    /// One of its own, which ends with it. `test` names the folder of its log.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start(test: &str) -> Result<Self, StartError> {
        let python: PathBuf = program("moto", "python")?;
        let launch = Launch::new("moto", move |port| {
            let mut command = Command::new(&python);
            command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        });
        let server = launch.ready(Ready::Get("/moto-api/data.json".to_owned())).start(test)?;
        Ok(Self { server })
    }

    /// The one that all tests of this process share, each with an [`account`](Self::account) of its own. It starts
    /// when it is first asked for and ends with the process.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn shared() -> Result<&'static Self, StartError> {
        static SHARED: OnceLock<Result<Moto, StartError>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&this_test())).as_ref().map_err(Clone::clone)
    }

    /// The process.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// An account that nobody else uses.
    ///
    /// # Errors
    ///
    /// When moto does not let us in.
    pub fn account(&self) -> Result<Account> {
        Account::next(self.server.port()).assuming_a_role()
    }

    /// The account of this number, where something outside has it in its name. Whoever asks for the same gets the same.
    ///
    /// # Errors
    ///
    /// When moto does not let us in.
    pub fn account_of(&self, id: &str) -> Result<Account> {
        Account { id: id.to_owned(), ..Account::next(self.server.port()) }.assuming_a_role()
    }
}

/// The name of the running test program, without the digest that cargo adds.
pub(crate) fn this_test() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match name.rsplit_once('-') {
        Some((name, digest)) if digest.len() == 16 => name.to_owned(),
        _ => name,
    }
}

/// An account of an emulator, which shares nothing with the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    id: String,
    key: String,
    secret: String,
    token: Option<String>,
    port: u16,
}

impl Account {
    fn next(port: u16) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(FIRST_ACCOUNT);
        let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        Self { key: id.clone(), id, secret: "not-a-secret".to_owned(), token: None, port }
    }

    /// Signs in with a role: for emulators that do not take an account's number for its key.
    fn assuming_a_role(self) -> Result<Self> {
        let (version, role) = ("Version=2011-06-15", format!("arn:aws:iam::{}:role/test", self.id));
        let path = format!("/?Action=AssumeRole&{version}&RoleArn={role}&RoleSessionName=test");
        let (_, answer) = self.request("sts", "GET", &path)?;
        let find = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        let found = [find("AccessKeyId"), find("SecretAccessKey"), find("SessionToken")];
        let [Some(key), Some(secret), token] = found else {
            return Err(format!("no keys for account {}: {answer}", self.id).into());
        };
        Ok(Self { key, secret, token, ..self })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its access key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its secret key, which the emulators do not look at.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Its session token, if it has one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// `http://127.0.0.1:PORT`, of the emulator or of the proxy that it is [behind](Self::behind).
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same account through something that listens on another port, like a [`Proxy`](crate::proxy::Proxy).
    #[must_use]
    pub fn behind(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// What an AWS SDK or the AWS CLI needs in its environment to use this account and nothing else of the machine.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let nothing = || "/dev/null".to_owned();
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", self.key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret().to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", nothing()),
            ("AWS_SHARED_CREDENTIALS_FILE", nothing()),
        ];
        variables.extend(self.token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
        variables
    }

    /// Sends an S3 request without a body, and without an SDK: the status and the answer's body.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn s3(&self, method: &str, path: &str) -> Result<(u16, String)> {
        self.request("s3", method, path)
    }

    /// Calls `operation` of a service that speaks JSON, like `ecs` and `AmazonEC2ContainerServiceV20141113.ListClusters`,
    /// without an SDK: the status and what was answered.
    ///
    /// # Errors
    ///
    /// When there is no answer, or it is no JSON.
    pub fn json(&self, service: &str, operation: &str, input: &Value) -> Result<(u16, Value)> {
        let headers = format!("Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {operation}\r\n");
        let (status, answer) = self.send(service, "POST", "/", &headers, input.to_string().as_bytes())?;
        let output =
            serde_json::from_str(&answer).map_err(|error| format!("{operation}: {error}: {answer}"))?;
        Ok((status, output))
    }

    /// Calls a service that reads forms and answers XML, like `ec2` with `Action=DescribeInstances&Version=2016-11-15`, without an SDK:
    /// the status and what was answered.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn query(&self, service: &str, form: &str) -> Result<(u16, String)> {
        let header = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.send(service, "POST", "/", header, form.as_bytes())
    }

    fn request(&self, service: &str, method: &str, path: &str) -> Result<(u16, String)> {
        self.send(service, method, path, "", b"")
    }

    fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<(u16, String)> {
        // Emulators read the account from the header and do not check the signature.
        let scope = format!("{}/20260101/{REGION}/{service}/aws4_request", self.key);
        let header = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n\
             X-Amz-Date: 20260101T000000Z\r\n{headers}"
        );
        let answer = http::request(self.port, method, path, &header, body)?;
        Ok((answer.status, answer.body))
    }

    /// Makes an S3 bucket in it. Names of buckets are shared by all accounts, as with AWS itself: one with the account's
    /// [number](Self::id) in it is free.
    ///
    /// # Errors
    ///
    /// When the emulator does not answer, or refuses.
    pub fn make_bucket(&self, name: &str) -> Result<()> {
        match self.s3("PUT", &format!("/{name}"))? {
            (200..=299, _) => Ok(()),
            (status, answer) => Err(format!("no bucket {name}: {status}: {answer}").into()),
        }
    }
}
