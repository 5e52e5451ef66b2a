//! Kept contents: ConfigMaps that were changed, revisions that were pruned, workloads that are gone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/site.rs"]
#[expect(dead_code, reason = "engines here keep contents")]
mod site;

use std::collections::BTreeSet;
use std::sync::Arc;

use rollback_core::contents::{ContentsKey, ContentsKeys};
use rollback_core::engine::Claim;
use rollback_core::plan::MethodVerdict;
use rollback_core::store::{KeyPrefix, MemoryStore};
use rollback_core::{
    Approval, Engine, EnvironmentName, Plan, Planned, Report, Request, Result, State, Store as _,
};
use rollback_driver_k8s::{Kind, contents_role, contents_rules, rules};
use rollback_scripted_kubernetes::Does;
use serde_json::{Value, json};

use self::site::{NAME, NAMESPACE, Site, name};

const GOOD: &str = "password: correct horse battery staple";
const BAD: &str = "password: typed by mistake";
const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

struct Bed {
    site: Site,
    store: MemoryStore,
}

impl Bed {
    /// Version 1 with a ConfigMap and a Secret, recorded as good.
    async fn new(kind: Kind) -> Result<Self> {
        Self::with(kind, json!({ "data": { "app.conf": GOOD } })).await
    }

    async fn with(kind: Kind, map: Value) -> Result<Self> {
        let site = Site::new(kind, &[]);
        let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "web", "annotations": { "theirs": "kept" } } });
        object.as_object_mut().unwrap().extend(map.as_object().unwrap().clone());
        site.cluster.create(NAMESPACE, &object);
        site.cluster.create(
            NAMESPACE,
            &json!({ "kind": "Secret", "metadata": { "name": "web" }, "data": { "key": "aHVudGVyMg==" } }),
        );
        site.begin("v1");
        site.change(|object| {
            object["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
                json!([{ "configMapRef": { "name": "web" } }, { "secretRef": { "name": "web" } }]);
        });
        site.cluster.settle();
        let bed = Self { site, store: MemoryStore::new() };
        bed.engine()?.record(&name()?, &Claim::good().by("ana")).await?;
        Ok(bed)
    }

    fn engine(&self) -> Result<Engine> {
        let keys = ContentsKeys::new(ContentsKey::new(&[7; 32])?);
        let engine = Engine::builder(Arc::new(self.store.clone())).clock(Arc::clone(&self.site.clock));
        Ok(engine.contents(keys).component(name()?, self.site.target()?.erase()).build())
    }

    /// What the ConfigMap holds, if it exists.
    fn holds(&self) -> Option<String> {
        let map = self.site.cluster.get("configmaps", NAMESPACE, "web")?;
        Some(map["data"]["app.conf"].as_str().unwrap_or_default().to_owned())
    }

    fn configure(&self, text: &str) {
        self.site.cluster.change("configmaps", NAMESPACE, "web", |map| map["data"]["app.conf"] = json!(text));
    }

    fn pods(&self) -> BTreeSet<String> {
        let pods = self.site.cluster.list("pods", NAMESPACE);
        pods.iter().map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
    }

    /// Takes everything of the history away that the workload is not set to.
    fn prune(&self) {
        let plural = self.site.config.kind.history();
        let mut entries = self.site.cluster.list(plural, NAMESPACE);
        let number = |entry: &Value| {
            let noted = &entry["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
            let noted = noted.as_str().and_then(|text| text.parse::<u64>().ok());
            noted.or(entry["revision"].as_u64()).unwrap_or(0)
        };
        entries.sort_by_key(number);
        entries.pop();
        for entry in entries {
            self.site.cluster.remove(plural, NAMESPACE, entry["metadata"]["name"].as_str().unwrap());
        }
    }

    /// Deletes the workload with all that belongs to it.
    fn delete(&self) {
        let kind = self.site.config.kind;
        self.site.cluster.remove(kind.resource(), NAMESPACE, NAME);
        for plural in [kind.history(), "pods"] {
            for one in self.site.cluster.list(plural, NAMESPACE) {
                self.site.cluster.remove(plural, NAMESPACE, one["metadata"]["name"].as_str().unwrap());
            }
        }
    }

    async fn plan(&self, to: Option<&str>) -> Result<Plan> {
        let to = to.map(str::parse).transpose()?;
        let request = Request::new(EnvironmentName::new("default")?).component(name()?, to);
        match self.engine()?.plan(&request).await? {
            Planned::Ready(plan) => Ok(*plan),
            Planned::Undecided(why) => panic!("{why:?}"),
        }
    }

    async fn back(&self) -> Result<(Plan, Report)> {
        let plan = self.plan(None).await?;
        let report = self.engine()?.apply(&plan, &Approval::yes()).await?;
        Ok((plan, report))
    }

    async fn stored(&self) -> Result<String> {
        let mut all = String::new();
        for space in ["contents", "deployments", "documents", "heads", "journal", "runs"] {
            for key in self.store.list(&KeyPrefix::new(space)?, None, 500).await? {
                all.push_str(&String::from_utf8_lossy(&self.store.get(&key).await?.unwrap().value));
            }
        }
        Ok(all)
    }
}

fn chosen(plan: &Plan) -> Option<&str> {
    let methods = &plan.components[&name().unwrap()].methods;
    let found = methods.iter().find(|method| matches!(method.verdict, MethodVerdict::Chosen(_)));
    found.map(|method| method.strategy.as_str())
}

fn why_not(plan: &Plan, strategy: &str) -> String {
    let methods = &plan.components[&name().unwrap()].methods;
    match methods.iter().find(|method| method.strategy == strategy).map(|method| &method.verdict) {
        Some(MethodVerdict::Rejected(why)) => why.clone(),
        other => panic!("{strategy}: {other:?}"),
    }
}

fn finding<'a>(plan: &'a Plan, code: &str) -> Option<&'a str> {
    plan.findings().find(|(_, one)| one.code == code).map(|(_, one)| one.message.as_str())
}

#[track_caller]
fn ended(report: &Report, state: State) {
    assert_eq!(report.state, state, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_configmap_that_was_changed_is_put_back_and_the_pods_are_restarted() -> Result<()> {
    for kind in KINDS {
        let bed = Bed::new(kind).await?;
        bed.configure(BAD);
        let before = bed.pods();
        let (plan, report) = bed.back().await?;
        ended(&report, State::Restored);
        assert_eq!(chosen(&plan), Some("restore-configuration"), "{kind}");
        assert_eq!(bed.holds().as_deref(), Some(GOOD));
        assert!(bed.pods().is_disjoint(&before), "{kind}: all of them read it again");
        let map = bed.site.cluster.get("configmaps", NAMESPACE, "web").unwrap();
        assert_eq!(map["metadata"]["annotations"]["theirs"], "kept");
        let told = serde_json::to_string(&(&plan, &report)).unwrap() + &bed.stored().await?;
        for secret in ["correct horse", "by mistake", "aHVudGVyMg"] {
            assert!(!told.contains(secret), "{kind}: {secret}");
        }
        let landed = bed.site.cluster.landed();
        ended(&bed.back().await?.1, State::AlreadyThere);
        assert_eq!(bed.site.cluster.landed(), landed);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_was_pruned_comes_from_what_is_kept() -> Result<()> {
    for kind in KINDS {
        let bed = Bed::new(kind).await?;
        bed.configure(BAD);
        bed.site.deploy("v2");
        // More than an image: its revision alone could not tell.
        bed.site.change(|object| object["spec"]["template"]["spec"]["hostNetwork"] = json!(true));
        bed.site.cluster.settle();
        bed.prune();
        let (plan, report) = bed.back().await?;
        ended(&report, State::Restored);
        assert_eq!(chosen(&plan), Some("apply-recorded"), "{kind}");
        assert!(why_not(&plan, "revision-undo").contains("does not exist any more"), "{kind}");
        assert_eq!((bed.site.version().as_str(), bed.holds().as_deref()), ("v1", Some(GOOD)), "{kind}");
        assert!(finding(&plan, "configuration-changed").unwrap().contains("config-map/web"), "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_gone_is_made_again() -> Result<()> {
    for kind in KINDS {
        let bed = Bed::new(kind).await?;
        bed.delete();
        bed.site.cluster.remove("configmaps", NAMESPACE, "web");
        let (plan, report) = bed.back().await?;
        ended(&report, State::Restored);
        assert_eq!(chosen(&plan), Some("apply-recorded"), "{kind}");
        assert_eq!((bed.site.version().as_str(), bed.holds().as_deref()), ("v1", Some(GOOD)), "{kind}");
        let cause = &bed.site.object()["metadata"]["annotations"]["kubernetes.io/change-cause"];
        assert!(cause.as_str().unwrap().starts_with("rollback to"), "{kind}: {cause}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_history_that_holds_it_is_the_nearer_way() -> Result<()> {
    let bed = Bed::new(Kind::Deployment).await?;
    bed.site.deploy("v2");
    let (plan, report) = bed.back().await?;
    ended(&report, State::Restored);
    assert_eq!(chosen(&plan), Some("revision-undo"));
    assert_eq!(finding(&plan, "configuration-changed"), None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_step_lands_twice_whatever_is_lost() -> Result<()> {
    for does in [Does::LosesRequest, Does::LosesAnswer, Does::Delays] {
        for gone in [false, true] {
            let bed = Bed::new(Kind::Deployment).await?;
            bed.configure(BAD);
            if gone {
                bed.delete();
            }
            let landed = bed.site.cluster.landed();
            bed.site.cluster.inject(does.clone());
            let plan = bed.plan(None).await?;
            ended(&bed.engine()?.apply(&plan, &Approval::yes()).await?, State::Restored);
            bed.site.cluster.deliver();
            assert_eq!(bed.site.cluster.landed() - landed, 2, "{does:?} {gone}");
            assert_eq!(bed.holds().as_deref(), Some(GOOD));
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_writes_meanwhile_is_not_overwritten() -> Result<()> {
    let bed = Bed::new(Kind::Deployment).await?;
    bed.configure(BAD);
    let plan = bed.plan(None).await?;
    bed.configure("password: somebody mended it by hand");
    let report = bed.engine()?.apply(&plan, &Approval::yes()).await?;
    ended(&report, State::Superseded);
    assert_eq!(bed.holds().as_deref(), Some("password: somebody mended it by hand"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_immutable_configmap_is_respected() -> Result<()> {
    let map = json!({ "immutable": true, "data": { "app.conf": GOOD } });
    let bed = Bed::with(Kind::Deployment, map).await?;
    // The only way to change it: deleted, and made anew.
    bed.site.cluster.remove("configmaps", NAMESPACE, "web");
    bed.site.cluster.create(
        NAMESPACE,
        &json!({ "kind": "ConfigMap", "metadata": { "name": "web" }, "immutable": true, "data": { "app.conf": BAD } }),
    );
    let plan = bed.plan(None).await?;
    assert_eq!(chosen(&plan), None);
    assert!(plan.components[&name()?].already_there, "the workload itself is");
    assert!(finding(&plan, "configuration-changed").unwrap().contains("config-map/web"));
    bed.site.deploy("v2");
    bed.prune();
    let plan = bed.plan(None).await?;
    assert!(why_not(&plan, "apply-recorded").contains("immutable"), "{plan:#?}");
    // Gone, it is made again.
    bed.site.cluster.remove("configmaps", NAMESPACE, "web");
    ended(&bed.back().await?.1, State::Restored);
    assert_eq!(bed.holds().as_deref(), Some(GOOD));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_configmap_that_came_since_is_left() -> Result<()> {
    let bed = Bed::new(Kind::Deployment).await?;
    // Optional, and not there.
    bed.site.change(|object| {
        let sources = &mut object["spec"]["template"]["spec"]["containers"][0]["envFrom"];
        sources.as_array_mut().unwrap().push(json!({ "configMapRef": { "name": "more", "optional": true } }));
    });
    bed.site.cluster.settle();
    bed.engine()?.record(&name()?, &Claim::good().by("ana")).await?;
    let more = json!({ "kind": "ConfigMap", "metadata": { "name": "more" }, "data": { "a": "b" } });
    bed.site.cluster.create(NAMESPACE, &more);
    assert!(bed.plan(None).await?.components[&name()?].already_there);
    bed.configure(BAD);
    ended(&bed.back().await?.1, State::Restored);
    assert_eq!(bed.holds().as_deref(), Some(GOOD));
    assert!(bed.site.cluster.get("configmaps", NAMESPACE, "more").is_some());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_changed_is_told_and_left() -> Result<()> {
    let bed = Bed::new(Kind::Deployment).await?;
    bed.configure(BAD);
    bed.site
        .cluster
        .change("secrets", NAMESPACE, "web", |secret| secret["data"]["key"] = json!("cm90YXRlZA=="));
    let (plan, report) = bed.back().await?;
    ended(&report, State::Restored);
    assert!(finding(&plan, "configuration-changed").unwrap().contains("secret/web"));
    let secret = bed.site.cluster.get("secrets", NAMESPACE, "web").unwrap();
    assert_eq!(secret["data"]["key"], "cm90YXRlZA==");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn it_takes_what_its_role_allows_besides_and_nothing_else() -> Result<()> {
    let verbs = |rules: Vec<rollback_driver_k8s::Rule>| -> BTreeSet<String> {
        let one = |rule: &rollback_driver_k8s::Rule| {
            rule.verbs.iter().map(|verb| format!("{verb} {}", rule.resource)).collect::<Vec<_>>()
        };
        rules.iter().flat_map(one).collect()
    };
    for kind in KINDS {
        let more = verbs(contents_rules(kind));
        let mut used = BTreeSet::new();
        for gone in [false, true] {
            let bed = Bed::new(kind).await?;
            bed.configure(BAD);
            if gone {
                bed.delete();
                bed.site.cluster.remove("configmaps", NAMESPACE, "web");
            }
            bed.site.cluster.allow_only(verbs(rules(kind, true)).into_iter().chain(more.clone()));
            let before = bed.site.cluster.calls().len();
            ended(&bed.back().await?.1, State::Restored);
            let calls = bed.site.cluster.calls().into_iter().skip(before);
            let changes = calls.filter(|call| call.changes);
            used.extend(
                changes.map(|call| format!("{} {}", call.verb, call.resource.split('.').next().unwrap())),
            );
        }
        assert!(more.is_subset(&used), "{kind}: {used:?}");
        assert!(contents_role(kind).contains("create, patch"), "{}", contents_role(kind));
    }
    Ok(())
}
