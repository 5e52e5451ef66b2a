//! The tasks of the service.

use aws_sdk_ecs::types::DesiredStatus;
use futures_util::future::try_join_all;
use rollback_core::Result;
use serde_json::Value;

use super::{Client, items, next, texts};
use crate::look::Task;

/// How many tasks `DescribeTasks` takes.
const AT_ONCE: usize = 100;
/// How many pages of tasks are read: ten thousand tasks of one service are more than ECS allows.
const PAGES: usize = 100;
/// How many stopped tasks are looked at for reasons. ECS lists those of the last hour.
const STOPPED: usize = 10;

impl Client {
    /// The tasks that run or are on their way, by their ARNs.
    pub(super) async fn running_task_arns(&self) -> Result<Vec<String>> {
        let mut arns = Vec::new();
        let mut token = None;
        for _ in 0..PAGES {
            let (page, following) = self.list_tasks(DesiredStatus::Running, None, token).await?;
            arns.extend(page);
            token = following;
            if token.is_none() {
                break;
            }
        }
        Ok(arns)
    }

    /// The tasks of the cluster that run a family, in whatever service.
    pub(super) async fn tasks_of_family(&self, family: &str) -> Result<Vec<Task>> {
        let (mut arns, mut token) = (Vec::new(), None);
        for _ in 0..PAGES {
            let request = self.api.ecs.list_tasks().cluster(&self.place.cluster).family(family);
            let request = request.desired_status(DesiredStatus::Running).set_next_token(token);
            let doing = format!("list the tasks of family {family}");
            let answer = self.api.read("ListTasks", doing, request.send()).await?;
            arns.extend(texts(&answer.body, "taskArns"));
            token = next(&answer.body);
            if token.is_none() {
                break;
            }
        }
        self.described_tasks(&arns).await
    }

    /// A few of the tasks that stopped within the last hour.
    pub(super) async fn stopped_tasks(&self) -> Result<Vec<Task>> {
        let most = i32::try_from(STOPPED).ok();
        let (arns, _) = self.list_tasks(DesiredStatus::Stopped, most, None).await?;
        self.described_tasks(&arns).await
    }

    async fn list_tasks(
        &self,
        status: DesiredStatus,
        most: Option<i32>,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let request =
            self.api.ecs.list_tasks().cluster(&self.place.cluster).service_name(&self.place.service);
        let request = request.desired_status(status).set_max_results(most).set_next_token(token);
        let doing = format!("list the tasks of {}", self.shown());
        let answer = self.api.read("ListTasks", doing, request.send()).await?;
        Ok((texts(&answer.body, "taskArns"), next(&answer.body)))
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
        let parts = arns.chunks(AT_ONCE).map(|arns| async {
            let request = self.api.ecs.describe_tasks().cluster(&self.place.cluster);
            let request = request.set_tasks(Some(arns.to_vec()));
            let doing = format!("look at the tasks of {}", self.shown());
            self.api.read("DescribeTasks", doing, request.send()).await
        });
        let answers = try_join_all(parts).await?;
        Ok(answers.iter().flat_map(|answer| items(&answer.body, "tasks")).filter_map(task).collect())
    }
}

/// A task that cannot be read is none that ECS described.
fn task(value: &Value) -> Option<Task> {
    serde_json::from_value(value.clone()).ok()
}
