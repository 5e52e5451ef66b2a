//! What nobody may have changed.

use std::path::Path;

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::Ran;

use super::Shop;

/// All containers of the project on all hosts, and whether something is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Still(Vec<String>);

impl Still {
    pub(crate) fn of(shop: &Shop) -> Result<Self, Failure> {
        let mut all = Vec::new();
        for host in &shop.bed.hosts {
            for one in host.containers()? {
                all.push(format!("{} {} {} {}", host.name(), one.name, one.id, one.state));
            }
            let pinned = host.path(".local/state/rollback/pins/app.yaml").exists();
            all.push(format!("{} pinned {pinned}", host.name()));
        }
        Ok(Self(all))
    }

    /// What there is of one host.
    pub(crate) fn on(&self, host: &str) -> Vec<String> {
        let begin = format!("{host} ");
        self.0.iter().filter(|line| line.starts_with(&begin)).cloned().collect()
    }
}

impl Shop {
    /// Runs the command, which must end with `code`, say each of these texts, and change nothing.
    pub(crate) fn refuses(&self, line: &str, code: i32, texts: &[&str]) -> Result<Ran, Failure> {
        let before = Still::of(self)?;
        let ran = self.says(line, code, texts)?;
        equal(&format!("what is there after {line}"), &Still::of(self)?, &before)?;
        Ok(ran)
    }

    /// Runs the command, which must end with `code` and say each of these texts.
    pub(crate) fn says(&self, line: &str, code: i32, texts: &[&str]) -> Result<Ran, Failure> {
        let ran = self.run(line, code)?;
        told(&ran, texts)?;
        Ok(ran)
    }

    /// Replaces a text of the configuration.
    pub(crate) fn with(&self, from: &str, to: &str) -> CaseResult {
        let text = std::fs::read_to_string(self.site.path("rollback.toml"))?;
        ensure(text.contains(from), format!("no {from} in {text}"))?;
        Ok(self.site.write_configuration(&text.replace(from, to))?)
    }
}

/// That each of these texts was said, and nothing panicked.
pub(crate) fn told(ran: &Ran, texts: &[&str]) -> CaseResult {
    let said = format!("{}\n{}", ran.out, ran.err);
    for text in texts {
        ensure(said.contains(text), format!("{text:?} is not said: {ran}"))?;
    }
    ensure(!said.contains("panicked"), format!("{ran}"))
}

/// A file that whoever reads a name as a command would make.
pub(crate) fn canary(shop: &Shop) -> String {
    let here = shop.site.path("canary");
    // Of two that cannot both be made, `touch` makes the other all the same.
    format!("touch {} /home/deploy/canary", here.display())
}

/// That nobody read a name as a command, here or on a host.
pub(crate) fn unharmed(shop: &Shop) -> CaseResult {
    let there = shop.bed.hosts.iter().map(|host| host.path("canary"));
    let made: Vec<_> = there.chain([shop.site.path("canary")]).filter(|file| Path::exists(file)).collect();
    equal("canaries", &made, &Vec::new())
}
