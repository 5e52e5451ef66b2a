//! Who may talk to a control plane: tokens, kubeconfig files, and the key that service accounts are signed with.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use uuid::Uuid;

use crate::Result;

/// May do everything.
pub(super) const ADMIN: &str = "admin";
/// Who else the API server knows. It lets them do what roles give them, which is nothing at first.
const PEOPLE: [&str; 3] = ["operator", "viewer", "nobody"];
/// What comes before the point of a P-256 key in a public key's file.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The folder of a control plane: only we may look into it.
#[derive(Debug)]
pub(super) struct Access {
    folder: PathBuf,
    tokens: Vec<(&'static str, String)>,
}

impl Access {
    /// Makes the folder, with what the programs are started with.
    pub(super) fn make(folder: PathBuf) -> Result<Self> {
        DirBuilder::new().mode(0o700).create(&folder)?;
        let names = std::iter::once(ADMIN).chain(PEOPLE);
        let access = Self { folder, tokens: names.map(|name| (name, Uuid::new_v4().to_string())).collect() };
        let line = |(name, token): &(&str, String)| {
            let groups = if *name == ADMIN { "system:masters" } else { "" };
            format!("{token},{name},{name},\"{groups}\"\n")
        };
        write(&access.tokens_file(), &access.tokens.iter().map(line).collect::<String>())?;
        let random = SystemRandom::new();
        let unusable = |error: &dyn std::fmt::Debug| format!("no key for service accounts: {error:?}");
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|e| unusable(&e))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random);
        let pair = pair.map_err(|error| unusable(&error))?;
        write(&access.private_key(), &pem("PRIVATE KEY", key.as_ref())?)?;
        write(&access.public_key(), &pem("PUBLIC KEY", &[P256, pair.public_key().as_ref()].concat())?)?;
        Ok(access)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn tokens_file(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    pub(super) fn private_key(&self) -> PathBuf {
        self.folder.join("service-accounts.key")
    }

    pub(super) fn public_key(&self) -> PathBuf {
        self.folder.join("service-accounts.pub")
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    /// What the API server made itself: its certificate, and after it the one of the authority that signed it.
    pub(super) fn certificate(&self) -> PathBuf {
        self.certificates().join("apiserver.crt")
    }

    /// A kubeconfig file for one of those that the API server knows.
    pub(super) fn kubeconfig(&self, who: &str, port: u16) -> Result<PathBuf> {
        let known = self.tokens.iter().find(|(name, _)| *name == who);
        let (_, token) =
            known.ok_or_else(|| format!("nobody is called {who}: there are admin and {PEOPLE:?}"))?;
        self.kubeconfig_with(who, token, port)
    }

    /// A kubeconfig file with any token.
    pub(super) fn kubeconfig_with(&self, who: &str, token: &str, port: u16) -> Result<PathBuf> {
        let path = self.folder.join(format!("{who}-{port}.kubeconfig"));
        if path.is_file() {
            return Ok(path);
        }
        let cluster = json!({
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": self.certificate(),
        });
        // Every JSON document is a YAML document.
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "bed", "cluster": cluster }],
            "users": [{ "name": who, "user": { "token": token } }],
            "contexts": [{ "name": "bed", "context": { "cluster": "bed", "user": who } }],
            "current-context": "bed",
        });
        write(&path, &config.to_string())?;
        Ok(path)
    }
}

/// Nobody else may read it, and nobody finds half of it.
fn write(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension(format!("new-{}", Uuid::new_v4()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?.write_all(text.as_bytes())?;
    fs::rename(&new, path)?;
    Ok(())
}

fn pem(what: &str, bytes: &[u8]) -> Result<String> {
    let encoded = serde_json::to_value(ByteString(bytes.to_vec()))?;
    let encoded = encoded.as_str().ok_or("not a text")?;
    let lines: String =
        encoded.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
    Ok(format!("-----BEGIN {what}-----\n{lines}-----END {what}-----\n"))
}
