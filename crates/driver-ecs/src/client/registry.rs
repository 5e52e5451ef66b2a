//! Which images a revision would run if it were deployed now.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use rollback_aws_support::ecr::{ImageId, Repository};
use rollback_core::{Digest, Reading};

use super::Client;
use crate::arn::TaskDefinitionArn;
use crate::look::Look;
use crate::task_definition::Definition;

impl Client {
    /// What the tags of a definition's images name in their registries now, by container, as far as those can be asked.
    pub(crate) async fn named_now(&self, definition: &Definition) -> BTreeMap<String, Digest> {
        let asked = definition.containers().into_iter().map(|container| async move {
            let repository =
                Repository::of(&container.image).filter(|_| container.image.digest().is_none())?;
            let tag = container.image.tag().unwrap_or("latest").to_owned();
            match self.surroundings().ecr().image(&repository, ImageId::Tag(tag)).await {
                Reading::Known(stored) => Some((container.name, stored.digest.parse().ok()?)),
                Reading::Absent | Reading::Unknown(_) => None,
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// ECS keeps no record of what tags were resolved to in services that it does not move itself: what no task tells, the registry does.
    pub(super) async fn name_images(&self, look: &mut Look) {
        let course = look.course();
        let wanted = course.settled.known().into_iter().chain(course.heading.as_ref());
        let unknown: Vec<TaskDefinitionArn> =
            wanted.filter(|arn| look.resolved(arn).is_empty()).cloned().collect();
        for arn in unknown {
            if let Some(definition) = look.definitions.get(&arn) {
                let images = self.named_now(definition).await;
                look.images.insert(arn, images);
            }
        }
    }
}
