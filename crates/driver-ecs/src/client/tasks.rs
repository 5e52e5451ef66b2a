//! The tasks of the service.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_ecs::types::DesiredStatus;
use futures_util::future::try_join_all;
use rollback_core::{Error, Result};
use serde_json::Value;

use super::api::Caller;
use super::{Client, items, next, text, texts};
use crate::look::Task;

/// How many tasks `DescribeTasks` takes.
const AT_ONCE: usize = 100;
/// How many pages of tasks are read: ten thousand tasks of one service are more than ECS allows.
const PAGES: usize = 100;
/// How many stopped tasks are looked at for reasons. ECS lists those of the last hour.
const STOPPED: usize = 10;

impl Client {
    /// The tasks that run or are on their way.
    pub(super) async fn running_tasks(&self) -> Result<Vec<Task>> {
        let tasks = self.api.tasks.of(&self.place.cluster).get(self.place.service.clone()).await?;
        Ok(tasks.map(|tasks| Vec::clone(&tasks)).unwrap_or_default())
    }

    /// The tasks of the cluster that run a family, in whatever service.
    pub(super) async fn tasks_of_family(&self, family: &str) -> Result<Vec<Task>> {
        self.tasks_of_family_in(&self.place.cluster, family).await
    }

    /// The same of any cluster.
    pub(super) async fn tasks_of_family_in(&self, cluster: &str, family: &str) -> Result<Vec<Task>> {
        let (mut arns, mut token) = (Vec::new(), None);
        for _ in 0..PAGES {
            let request = self.api.ecs.list_tasks().cluster(cluster).family(family);
            let request = request.desired_status(DesiredStatus::Running).set_next_token(token);
            let doing = format!("list the tasks of family {family}");
            let answer = self.api.read("ListTasks", doing, request.send()).await?;
            arns.extend(texts(&answer.body, "taskArns"));
            token = next(&answer.body);
            if token.is_none() {
                break;
            }
        }
        self.described_tasks_in(cluster, &arns).await
    }

    /// A few of the tasks that stopped within the last hour.
    pub(super) async fn stopped_tasks(&self) -> Result<Vec<Task>> {
        let request =
            self.api.ecs.list_tasks().cluster(&self.place.cluster).service_name(&self.place.service);
        let request =
            request.desired_status(DesiredStatus::Stopped).set_max_results(i32::try_from(STOPPED).ok());
        let doing = format!("list the tasks of {}", self.shown());
        let answer = self.api.read("ListTasks", doing, request.send()).await?;
        self.described_tasks(&texts(&answer.body, "taskArns")).await
    }

    /// The task that was started with this mark, as long as ECS remembers it: for about an hour after its end.
    pub(crate) async fn task_of(&self, mark: &str) -> Result<Option<Task>> {
        let mut arns = Vec::new();
        for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
            let request = self.api.ecs.list_tasks().cluster(&self.place.cluster).started_by(mark);
            let doing = "find the task that was started".to_owned();
            let answer = self.api.read("ListTasks", doing, request.desired_status(status).send()).await?;
            arns.extend(texts(&answer.body, "taskArns"));
        }
        Ok(self.described_tasks(&arns).await?.into_iter().next())
    }

    pub(super) async fn described_tasks(&self, arns: &[String]) -> Result<Vec<Task>> {
        self.described_tasks_in(&self.place.cluster, arns).await
    }

    async fn described_tasks_in(&self, cluster: &str, arns: &[String]) -> Result<Vec<Task>> {
        let parts = arns.chunks(AT_ONCE).map(|arns| async {
            let request = self.api.ecs.describe_tasks().cluster(cluster);
            let request = request.set_tasks(Some(arns.to_vec()));
            let doing = format!("look at the tasks of {}", self.shown());
            self.api.read("DescribeTasks", doing, request.send()).await
        });
        let answers = try_join_all(parts).await?;
        Ok(answers.iter().flat_map(|answer| items(&answer.body, "tasks")).filter_map(task).collect())
    }
}

/// The tasks of several services of a cluster that run or are on their way, those of each by its name.
///
/// One list of the whole cluster may cost less than a list for each of many services. How many pages that was not is
/// remembered in `too_many`, so that a cluster of very many tasks is not listed in vain again and again.
pub(super) async fn of_services(
    caller: &Caller,
    cluster: &str,
    names: Vec<String>,
    too_many: &AtomicUsize,
) -> Result<HashMap<String, Arc<Vec<Task>>>> {
    let mut owners = HashMap::new();
    let pages = names.len() / 2;
    let whole = match pages > too_many.load(Ordering::Relaxed) {
        true => arns(caller, cluster, None, pages).await?,
        false => None,
    };
    let all = if let Some(all) = whole {
        all
    } else {
        too_many.fetch_max(pages, Ordering::Relaxed);
        let lists = names.iter().map(|name| async move {
            Ok::<_, Error>((name, arns(caller, cluster, Some(name), PAGES).await?.unwrap_or_default()))
        });
        for (name, arns) in try_join_all(lists).await? {
            owners.extend(arns.into_iter().map(|arn| (arn, name.clone())));
        }
        owners.keys().cloned().collect()
    };
    let described = all.chunks(AT_ONCE).map(|arns| async {
        let request = caller.ecs.describe_tasks().cluster(cluster).set_tasks(Some(arns.to_vec()));
        let doing = format!("look at the tasks of {} of cluster {cluster}", named(&names));
        caller.read("DescribeTasks", doing, request.send()).await
    });
    let mut found: HashMap<String, Vec<Task>> = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for answer in try_join_all(described).await? {
        for value in items(&answer.body, "tasks") {
            let group = || text(value, "group").and_then(|group| group.strip_prefix("service:"));
            let listed = text(value, "taskArn").and_then(|arn| owners.get(arn)).map(String::as_str);
            let owner = listed.or_else(group).and_then(|owner| found.get_mut(owner));
            if let Some((owner, task)) = owner.zip(task(value)) {
                owner.push(task);
            }
        }
    }
    Ok(found.into_iter().map(|(name, tasks)| (name, Arc::new(tasks))).collect())
}

/// The tasks of one service or of a whole cluster. `None` if those of the cluster are more than so many pages.
async fn arns(
    caller: &Caller,
    cluster: &str,
    service: Option<&str>,
    pages: usize,
) -> Result<Option<Vec<String>>> {
    let mut arns = Vec::new();
    let mut token = None;
    for _ in 0..pages {
        let request = caller.ecs.list_tasks().cluster(cluster).set_service_name(service.map(str::to_owned));
        let request = request.desired_status(DesiredStatus::Running).set_next_token(token);
        let doing = match service {
            Some(service) => format!("list the tasks of service {service} of cluster {cluster}"),
            None => format!("list the tasks of cluster {cluster}"),
        };
        let answer = caller.read("ListTasks", doing, request.send()).await?;
        arns.extend(texts(&answer.body, "taskArns"));
        token = next(&answer.body);
        if token.is_none() {
            return Ok(Some(arns));
        }
    }
    Ok(service.map(|_| arns))
}

/// What is asked for, for people.
fn named(names: &[String]) -> String {
    match names {
        [one] => format!("service {one}"),
        several => format!("{} services", several.len()),
    }
}

/// A task that cannot be read is none that ECS described.
fn task(value: &Value) -> Option<Task> {
    serde_json::from_value(value.clone()).ok()
}
