//! Asks for the facts, all at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures_util::future::{join, join_all, join3};
use rollback_core::{Reading, Result};
use serde_json::{Map, Value};

use super::Facts;
use super::deployment::{AutoRollback, Rollout};
use super::images::{ImageFacts, Question, questions};
use super::scaling::resource_id;
use super::secrets::{Reference, SecretState, presence};
use crate::circumstances::Controller;
use crate::client::{Seen, Surroundings};
use crate::look::Look;
use crate::snapshot::EcsSnapshot;

/// Asks what there is to know of the destination, beside the look at the service: only what the look names has to wait for it.
pub(super) async fn gather(
    surroundings: &Surroundings,
    seen: impl Future<Output = Result<Arc<Seen>>>,
    to: &EcsSnapshot,
) -> Result<(Facts, Arc<Seen>)> {
    let images = join_all(questions(to).into_iter().map(|question| image(surroundings, question, to)));
    let destination =
        join3(images, secrets(surroundings, to), surroundings.registration(&to.task_definition));
    let service = async {
        let seen = seen.await?;
        let (look, described) = (&seen.look, &seen.described);
        let rollout = Rollout::of(described);
        let found = join3(
            alarms(surroundings, look, &rollout),
            scaling(surroundings, look, described),
            auto_rollback(surroundings, look),
        );
        Ok((found.await, seen))
    };
    let ((images, secrets, registration), service) = join(destination, service).await;
    let ((alarms, scaling, auto_rollback), seen) = service?;
    Ok((Facts { images, secrets, registration, alarms, scaling, auto_rollback }, seen))
}

async fn alarms(
    surroundings: &Surroundings,
    look: &Look,
    rollout: &Rollout,
) -> Reading<BTreeMap<String, String>> {
    if rollout.alarms.is_empty() || look.circumstances().controller != Controller::Ecs {
        return Reading::Absent;
    }
    surroundings.alarms(&rollout.alarms).await
}

async fn scaling(
    surroundings: &Surroundings,
    look: &Look,
    described: &Map<String, Value>,
) -> Reading<super::Scaling> {
    match resource_id(look, described) {
        Some(id) => surroundings.scaling(&id).await,
        None => Reading::Unknown("which cluster the service is in is not known".to_owned()),
    }
}

async fn auto_rollback(surroundings: &Surroundings, look: &Look) -> Reading<AutoRollback> {
    match &look.group {
        Some(group) => surroundings.auto_rollback(group).await,
        None => Reading::Absent,
    }
}

async fn image(surroundings: &Surroundings, question: Question, to: &EcsSnapshot) -> ImageFacts {
    let Some(repository) = question.repository() else {
        return ImageFacts::unasked(question, "only registries of ECR are asked");
    };
    let (theirs, ours) = (repository.registry().partition(), to.service.partition());
    if theirs != ours {
        let why = format!("its registry is in partition {theirs}, and these credentials are of {ours}");
        return ImageFacts::unasked(question, &why);
    }
    let tagged = async {
        match question.moved_id() {
            Some(id) => surroundings.ecr().image(&repository, id).await,
            None => Reading::Absent,
        }
    };
    let found = surroundings.ecr().image(&repository, question.id());
    let (found, tagged, policy) = join3(found, tagged, surroundings.ecr().policy(&repository)).await;
    let others = Reading::Absent;
    let mut facts = ImageFacts { question, found, tagged, same_index: false, policy, others };
    if facts.needs_listing() {
        facts.others = surroundings.ecr().images(&repository).await;
    }
    if facts.found == Reading::Absent
        && let Reading::Known(upstream) = surroundings.ecr().upstream(&repository).await
    {
        let why =
            format!("it is not in the registry, which fetches images from {upstream} when they are pulled");
        facts.found = Reading::Unknown(crate::look::line(&why));
    }
    if let (true, Some(tagged), Some(ran)) =
        (facts.may_be_inside(), facts.tagged.known(), facts.question.digest)
    {
        let holds = surroundings.ecr().index_holds(&repository, &tagged.digest, &ran.to_string()).await;
        facts.same_index = holds == Reading::Known(true);
    }
    facts
}

async fn secrets(surroundings: &Surroundings, to: &EcsSnapshot) -> BTreeMap<String, SecretState> {
    let credentials = to.definition.credentials_parameters();
    let all: BTreeSet<_> = to.definition.secret_references();
    let asked = all.into_iter().map(|name| {
        let reference = Reference::read(&name, &to.service, credentials.contains(&name));
        async move { (name, secret(surroundings, reference).await) }
    });
    join_all(asked).await.into_iter().collect()
}

async fn secret(surroundings: &Surroundings, reference: Reference) -> SecretState {
    match reference {
        Reference::Other(why) => SecretState { presence: Reading::Unknown(why), why: None },
        Reference::Parameter { region, names } => {
            SecretState { presence: surroundings.parameter(&region, &names).await, why: None }
        }
        Reference::Secret { id, stage, version } => match surroundings.secret(&id).await {
            Reading::Known(facts) => {
                let (presence, why) = presence(&facts, stage.as_deref(), version.as_deref());
                SecretState { presence, why }
            }
            Reading::Absent => SecretState { presence: Reading::Absent, why: None },
            Reading::Unknown(why) => SecretState { presence: Reading::Unknown(why), why: None },
        },
    }
}
