//! `rollback init`.

use std::fmt::Write as _;
use std::io::{ErrorKind as IoKind, Write as _};
use std::path::{Path, PathBuf};

use rollback_core::{ComponentName, Error, ErrorKind, Result};

use crate::args::Global;
use crate::config::FILE_NAME;
use crate::console::Console;
use crate::outcome::Outcome;

pub(crate) fn run(console: &Console, global: &Global) -> Result<Outcome> {
    let named = global.config.as_deref().unwrap_or(Path::new(FILE_NAME));
    let file = console.folder().join(named);
    let found = detect(console.folder());
    write_new(&file, &contents(&found)).map_err(|error| {
        let failed = |kind, message: String| Error::new(kind, format!("write {}", file.display()), message);
        if error.kind() == IoKind::AlreadyExists {
            return failed(ErrorKind::Refused, "it exists already, and is left as it is".to_owned())
                .next("edit it, or write another with --config FILE");
        }
        failed(ErrorKind::Other, error.to_string()).next("choose a folder that exists and can be written")
    })?;
    let mut text = format!("wrote {}\n", file.display());
    for site in &found {
        let _ = writeln!(text, "  found {}: {}", site.component, site.folder.display());
    }
    let next = if found.is_empty() {
        "fill in the component, then `rollback status`"
    } else {
        "look it through, then `rollback status`"
    };
    let _ = writeln!(text, "next: {next}");
    let components: Vec<_> = found.iter().map(|site| &site.component).collect();
    Outcome::done(text).with("file", &file)?.with("components", &components)
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).open(file)?;
    out.write_all(text.as_bytes())
}

/// A folder with `releases` and a `current` link.
struct Site {
    component: ComponentName,
    folder: PathBuf,
    has_link: bool,
}

/// Looks for releases in the folder itself and right below it.
fn detect(folder: &Path) -> Vec<Site> {
    let below = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = below.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.insert(0, folder.to_owned());
    let mut found: Vec<Site> = Vec::new();
    for folder in folders.into_iter().filter(|folder| folder.join("releases").is_dir()) {
        let component = component_name(&folder);
        if found.iter().all(|site| site.component != component) {
            let has_link = folder.join("current").is_symlink();
            found.push(Site { component, folder, has_link });
        }
    }
    found
}

/// The folder's name where it is a good component name, else `web`.
fn component_name(folder: &Path) -> ComponentName {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let slug: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let slug = slug.trim_matches('-');
    slug.parse().or_else(|_| "web".parse()).expect("web is a good name")
}

const HEAD: &str = r#"# For an editor that completes and checks this file: rollback schema > rollback.schema.json, and without the first #:
# #:schema ./rollback.schema.json

# What can be rolled back here, and by which rules. `rollback status` shows how it is now.
#
# Texts may hold ${NAME} (a variable of the environment; an unset one is an error), ${NAME:-default}, and $$ for $.

# Where runs, journals and deployment records are kept; relative to this file. Where people work on several machines
# it is a bucket: "s3://bucket/folder", "gs://bucket/folder" or "az://account/container/folder".
store = "sqlite:.rollback/state.db"

# The environment that is meant when --environment is left out.
environment = "prod"

[environments.prod]
# The phrase that must be typed (or given with --confirm) before anything is changed:
# confirm = "ROLLBACK-PROD"
# The account, cluster or host that every component must be in; a plan shows what it is:
# expect_account = "web-1"
# Whether a reason must be given (--reason, or the answer to a question):
require_reason = true
# What may happen without a person: "act", "propose" or "off".
automatic = "propose"
# Whether everybody works on this one machine. Otherwise an environment with a phrase wants a shared store.
single_operator = true
# How long a plan may be applied.
plan_expires_after = "1h"
# For how long what was proven is watched, and must stay well:
# soak = "2m"
# Printed when a person must look:
# contacts = ["on-call: +49 …"]

# In which nothing automatic happens; a person is only warned:
# [[environments.prod.freeze]]
# from = 2026-12-24T00:00:00Z
# to = 2026-12-27T00:00:00Z
# reason = "nobody is there"
"#;

const GATE: &str = r#"
# What must hold after a rollback, else it ends as "restored, unhealthy":
# [[gates]]
# name = "health"
# component = "COMPONENT"
# probe = { kind = "http", url = "http://127.0.0.1:8080/health" }
# rule = { lasting = "10s", within = "2m", every = "1s" }

# What is bad, for `rollback watch` and `rollback guard`: not ok for two minutes, and a deploy that the platform gave up.
# [[triggers]]
# name = "outage"
# component = "COMPONENT"
# probe = { kind = "http", url = "http://127.0.0.1:8080/health" }
# [[triggers]]
# name = "deploy"
# component = "COMPONENT"

# Who is told; also of kind "webhook", "github", "smtp" and "sns":
# [[notify]]
# kind = "slack"
# url_env = "SLACK_URL"
# on = ["needs-somebody", "failed", "done"]
"#;

fn contents(found: &[Site]) -> String {
    let mut text = HEAD.to_owned();
    for site in found {
        let releases = toml_text(&site.folder.join("releases"));
        let _ =
            writeln!(text, "\n[components.{}]\ndriver = \"local\"\nreleases = {releases}", site.component);
        if site.has_link {
            let _ = writeln!(text, "current = {}", toml_text(&site.folder.join("current")));
        }
        text.push_str("# restart = [\"systemctl\", \"restart\", \"web\"]\n");
    }
    if found.is_empty() {
        text.push_str(
            "\n# A component: a driver, and that driver's settings. Relative paths begin in the current folder.\n\
             [components.web]\ndriver = \"local\"\nreleases = \"/srv/web/releases\"\n\
             # current = \"/srv/web/current\"\n# restart = [\"systemctl\", \"restart\", \"web\"]\n",
        );
    }
    let first = found.first().map_or("web", |site| site.component.as_str());
    text + &GATE.replace("COMPONENT", first)
}

/// A path as a TOML text, with nothing in it that would be expanded.
fn toml_text(path: &Path) -> String {
    toml::Value::String(path.display().to_string().replace('$', "$$")).to_string()
}
