//! All tasks, kept by the service that they belong to: with a thousand services, nobody looks through the tasks of all.

use std::collections::{BTreeMap, HashMap};

use super::model::{Service, Task};

/// A cluster's and a service's name; the latter empty for tasks that were run by themselves.
type Key = (String, String);

/// All tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    by_service: BTreeMap<Key, Vec<Task>>,
    /// Where a task is, by its id.
    places: HashMap<String, Key>,
    started: usize,
}

impl Tasks {
    pub(super) fn push(&mut self, task: Task) {
        let key = (task.cluster.clone(), task.service.clone().unwrap_or_default());
        self.places.insert(task.id().to_owned(), key.clone());
        self.by_service.entry(key).or_default().push(task);
        self.started += 1;
    }

    /// How many were started ever.
    pub(super) fn started(&self) -> usize {
        self.started
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Task> {
        self.by_service.values().flatten()
    }

    /// The tasks of a service.
    pub(super) fn of(&self, service: &Service) -> &[Task] {
        self.by_service.get(&service.key()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn of_mut(&mut self, service: &Service) -> &mut [Task] {
        self.by_service.get_mut(&service.key()).map_or(&mut [], Vec::as_mut_slice)
    }

    /// The tasks of one service, by name; of all in a cluster, without one.
    pub(super) fn in_cluster<'a>(
        &'a self,
        cluster: &'a str,
        service: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Task> {
        let fits = move |key: &Key| key.0 == cluster && service.is_none_or(|name| key.1 == name);
        self.by_service.iter().filter(move |(key, _)| fits(key)).flat_map(|(_, tasks)| tasks)
    }

    pub(super) fn find(&self, cluster: &str, id: &str) -> Option<&Task> {
        let key = self.places.get(id).filter(|key| key.0 == cluster)?;
        self.by_service.get(key)?.iter().find(|task| task.id() == id)
    }

    pub(super) fn find_mut(&mut self, cluster: &str, id: &str) -> Option<&mut Task> {
        let key = self.places.get(id).filter(|key| key.0 == cluster)?;
        self.by_service.get_mut(key)?.iter_mut().find(|task| task.id() == id)
    }

    /// Does something with every task, and forgets those that it says are to be.
    pub(super) fn retain_mut(&mut self, mut keep: impl FnMut(&mut Task) -> bool) {
        let Self { by_service, places, .. } = self;
        for tasks in by_service.values_mut() {
            tasks.retain_mut(|task| {
                let kept = keep(task);
                if !kept {
                    places.remove(task.id());
                }
                kept
            });
        }
    }
}
