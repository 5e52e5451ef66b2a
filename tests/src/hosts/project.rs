//! The project that hosts run, as people write it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;

use super::registry::REGISTRY;
use super::{Compose, machine};

/// Without a `version`, as both generations take it.
const COMPOSE_FILE: &str = r#"services:
  backend:
    image: REGISTRY/backend:latest
    env_file: backend.env
    depends_on: [cache]
    restart: unless-stopped
    ports: ["127.0.0.1:${WEB_PORT}:8000"]
    volumes: ["./data:/data"]
HEALTH  cache:
    image: REGISTRY/cache:CACHE
    restart: unless-stopped
"#;

/// The service's. Docker starts a process in the container each time.
const HEALTH: &str = r#"    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/ready"]
      interval: 500ms
      timeout: 2s
      retries: 3
"#;

/// What a runbook calls besides.
const SEED: &str =
    "#!/bin/bash\n# Seeds the database: HOST NAME USER PASSWORD.\nsleep 0.1\necho \"seeded $2 at $1\"\n";

/// Writes the folder of one host: its programs, its SSH server and what its home begins with.
pub(super) fn write(place: &Path, host: &Written<'_>) -> io::Result<()> {
    let (programs, home) = (place.join("programs"), place.join("home"));
    for folder in [&programs, &home.join(".docker/cli-plugins"), &home.join("app/data")] {
        fs::create_dir_all(folder)?;
    }
    if matches!(host.compose, Compose::V1 | Compose::Both) {
        symlink("/run/tools/compose-v1", programs.join("docker-compose"))?;
    }
    if matches!(host.compose, Compose::V2 | Compose::Both) {
        symlink("/run/tools/compose-v2", home.join(".docker/cli-plugins/docker-compose"))?;
    }
    DirBuilder::new().mode(0o700).create(home.join(".ssh"))?;
    fs::write(home.join(".ssh/authorized_keys"), host.user_key)?;
    let mut environment = format!("WEB_PORT={}\n", host.web_port);
    if let Some(project) = host.project {
        environment += &format!("COMPOSE_PROJECT_NAME={project}\n");
    }
    // A hundred processes a second would be all that the machine does.
    let health = if host.project.is_some() { "" } else { HEALTH };
    let project = COMPOSE_FILE.replace("HEALTH", health).replace("REGISTRY", REGISTRY);
    let files = [
        ("docker-compose.yml", project.replace("CACHE", host.cache)),
        (".env", environment),
        ("backend.env", "GREETING=hello\n".to_owned()),
        ("seed-values.sh", SEED.to_owned()),
    ];
    files.iter().try_for_each(|(name, text)| fs::write(home.join("app").join(name), text))?;
    fs::write(place.join("sshd_config"), sshd_config(host.index, host.ssh_port))
}

/// What is written of a host.
pub(super) struct Written<'a> {
    pub(super) index: usize,
    pub(super) compose: Compose,
    /// The name of its project, where it is not that of its folder.
    pub(super) project: Option<&'a str>,
    /// The version of the neighbour.
    pub(super) cache: &'a str,
    pub(super) ssh_port: u16,
    pub(super) web_port: u16,
    /// The public key of its user.
    pub(super) user_key: &'a str,
}

/// As on other machines, but for what would listen to others, or ask PAM.
fn sshd_config(index: usize, port: u16) -> String {
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey /run/bed/hosts/{index}/host_key\nPidFile none\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin no\nMaxSessions 10\n\
         MaxStartups 100\nPrintMotd no\nSubsystem sftp internal-sftp\nSetEnv PATH={}\n",
        machine::PATH
    )
}
