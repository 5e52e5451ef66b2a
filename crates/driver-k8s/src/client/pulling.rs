//! Asking registries as the pods would, with their pull secrets.

use std::time::Duration;

use futures_util::future::join_all;
use rollback_core::Result;
use rollback_core::time::{SystemClock, within};
use serde_json::Value;

use super::Client;
use super::wire::Resource;
use crate::registry::{self, Logins, Said};
use crate::template::Template;
use crate::text::{list, text};

/// How long somebody waits for a registry while a plan is made.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many images are asked about at most.
const MOST: usize = 16;

impl Client {
    /// What registries say of these images, if that was chosen. `None` where none was asked.
    pub(crate) async fn ask_registries(&self, template: &Template, images: &[&str]) -> Vec<Option<Said>> {
        if !self.asks_registries || images.is_empty() {
            return vec![None; images.len()];
        }
        let late = || Some(Said::Unknown("its registry does not answer in time".to_owned()));
        let asking = async {
            let logins = self.logins(template).await;
            join_all(images.iter().take(MOST).map(|image| registry::ask(image, &logins))).await
        };
        let answers = within(&SystemClock, PATIENCE, asking).await;
        let mut said = match answers {
            Some(answers) => answers.into_iter().map(Some).collect(),
            None => vec![late(); images.len()],
        };
        said.resize(images.len(), None);
        said
    }

    /// What pods of a template are pulled with: its own pull secrets, else those of its service account. What cannot be read is as if
    /// it were not there: the registry says then that it does not tell.
    async fn logins(&self, template: &Template) -> Logins {
        let mut names = names(template.spec());
        if names.is_empty() {
            let account = text(template.spec(), "/serviceAccountName").unwrap_or("default");
            let account = self.whole(Resource::core("serviceaccounts"), account).await;
            names = account.map(|account| self::names(&account)).unwrap_or_default();
        }
        let mut logins = Logins::default();
        let secrets = names.iter().take(MOST).map(|name| self.whole(Resource::core("secrets"), name));
        join_all(secrets).await.iter().flatten().for_each(|secret| logins.add(secret));
        logins
    }

    async fn whole(&self, resource: Resource, name: &str) -> Result<Value> {
        self.call("get", resource).named(name).send(&self.kube).await
    }
}

/// The names of the pull secrets of a pod or a service account.
fn names(of: &Value) -> Vec<String> {
    let all = list(of, "/imagePullSecrets").iter();
    all.filter_map(|one| text(one, "/name"))
        .filter(|name| crate::text::is_name(name))
        .map(str::to_owned)
        .collect()
}
