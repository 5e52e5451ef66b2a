//! The policies in docs/drivers/ecs.md allow what is called, and nothing else.

#[expect(dead_code, reason = "the fixture of the conformance kit is not needed here")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::engine::{CheckRequest, Claim};
use rollback_core::store::MemoryStore;
use rollback_core::{
    Approval, Bound, ComponentName, DynTarget, Engine, EnvironmentName, Planned, Request, State,
};
use rollback_driver_ecs::strategy::{
    CodeDeployDeployment, CodeDeployStop, NativeStop, ReRegister, ShiftTraffic, UpdateService,
};
use rollback_driver_ecs::{EcsConfig, EcsTarget};
use rollback_scripted_aws::{Behaviour, BlueGreen, Call, Cloud, Fault, Server};
use serde_json::{Value, json};

type Checked<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
type Actions = BTreeSet<String>;

const GUIDE: &str = include_str!("../../../docs/drivers/ecs.md");
const REGISTRY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web";
const ROLES: [&str; 2] = ["taskRoleArn", "executionRoleArn"];

/// The actions that the policies of this name in the guide allow.
fn allowed(name: &str) -> Actions {
    let (_, rest) = GUIDE.split_once(&format!("<!-- policy: {name} -->\n```json\n")).expect(name);
    let (text, _) = rest.split_once("\n```").expect("the block ends");
    let policy: Value = serde_json::from_str(text).expect(name);
    assert_eq!(policy["Version"], "2012-10-17", "{name}");
    let statements = policy["Statement"].as_array().expect("statements");
    let mut found = Actions::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow", "{name}");
        assert!(!statement["Resource"].is_null(), "{name}");
        let actions = match &statement["Action"] {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        for action in actions {
            let action = action.as_str().expect("an action").to_owned();
            assert!(!action.contains('*'), "{name}: {action} is wider than what is called");
            assert!(found.insert(action.clone()), "{name}: {action} is there twice");
        }
    }
    found
}

/// What AWS's authorization reference says that a call needs.
fn needed(call: &Call) -> Vec<String> {
    let service = match call.service.as_str() {
        // Who one is may always be asked.
        "sts" => return Vec::new(),
        "monitoring" => "cloudwatch",
        same => same,
    };
    let mut actions = vec![format!("{service}:{}", call.operation)];
    let also = |action: &str| action.to_owned();
    match call.operation.as_str() {
        "RegisterTaskDefinition" => {
            let has = |field: &&str| call.input.get(*field).is_some_and(|value| !value.is_null());
            actions.extend(ROLES.iter().any(has).then(|| also("iam:PassRole")));
            actions.extend(has(&"tags").then(|| also("ecs:TagResource")));
        }
        "CreateDeployment" => {
            actions.push(also("codedeploy:GetDeploymentConfig"));
            actions.push(also("codedeploy:RegisterApplicationRevision"));
        }
        _ => {}
    }
    actions
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over to be mapped")]
fn told(fault: Fault) -> Box<dyn std::error::Error + Send + Sync> {
    format!("{}: {}", fault.code(), fault.message()).into()
}

/// A cluster with a family of three releases.
struct Site {
    cloud: Cloud,
    server: Server,
}

impl Site {
    async fn new() -> Checked<Self> {
        let cloud = Cloud::new();
        cloud.cluster("prod");
        let server = cloud.serve().await?;
        let site = Self { cloud, server };
        let secret = site.ask("secretsmanager", "CreateSecret", &json!({ "Name": "web/db" }))?["ARN"].clone();
        site.ask(
            "ssm",
            "PutParameter",
            &json!({ "Name": "/web/key", "Value": "x", "Type": "SecureString" }),
        )?;
        site.ask("monitoring", "PutMetricAlarm", &json!({ "AlarmName": "5xx" }))?;
        for release in 1..=3 {
            let image = format!("{REGISTRY}:v{release}");
            let digest = site.cloud.world().images.digest(&image);
            site.cloud.world().images.tag(&image, digest);
            let secrets =
                json!([{ "name": "DB", "valueFrom": secret }, { "name": "KEY", "valueFrom": "/web/key" }]);
            let container = json!({
                "name": "web", "image": image, "memory": 128, "secrets": secrets, "portMappings": [{ "containerPort": 80 }],
            });
            let input = json!({
                "family": "web", "networkMode": "awsvpc", "containerDefinitions": [container],
                "taskRoleArn": "arn:aws:iam::123456789012:role/web-task", "tags": [{ "key": "team", "value": "shop" }],
            });
            site.ask("ecs", "RegisterTaskDefinition", &input)?;
        }
        site.cloud.advance_per_call(Duration::from_secs(2));
        Ok(site)
    }

    fn ask(&self, service: &str, operation: &str, input: &Value) -> Checked<Value> {
        self.cloud.ask(service, operation, input).map_err(told)
    }

    fn deploy(&self, release: u32) -> Checked {
        self.cloud.deploy("prod", "web", &format!("web:{release}")).map(drop).map_err(told)
    }

    /// A service that ECS moves, with two tasks of the first release, behind a listener with two target groups.
    fn moved_by_ecs(&self, configuration: &Value) -> Checked {
        self.behind(configuration, false)
    }

    /// The same; a rule of the listener may have the target groups.
    fn behind(&self, configuration: &Value, rule: bool) -> Checked {
        let blue = {
            let mut world = self.cloud.world();
            let balancer = world.create_load_balancer("web");
            let (blue, green) = (world.create_target_group("blue"), world.create_target_group("green"));
            let both: &[(&str, u16)] = &[(&blue, 1), (&green, 1)];
            let listener = world.create_listener(&balancer, 443, if rule { &both[..1] } else { both });
            if rule {
                world.create_rule(&listener, "/*", both);
            }
            blue
        };
        let balancers = json!([{ "targetGroupArn": blue, "containerName": "web", "containerPort": 80 }]);
        let input = json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": "web:1", "desiredCount": 2, "launchType": "FARGATE",
            "loadBalancers": balancers, "deploymentConfiguration": configuration,
        });
        self.ask("ecs", "CreateService", &input)?;
        self.rest();
        Ok(())
    }

    /// A service that CodeDeploy moves, with two tasks of the first release.
    fn moved_by_code_deploy(&self) -> Checked<BlueGreen> {
        let made = self.cloud.create_blue_green("prod", "web", "web:1", 2, &json!({})).map_err(told)?;
        self.rest();
        Ok(made)
    }

    fn rest(&self) {
        assert!(self.cloud.settle());
        self.cloud.tick(Duration::from_secs(60));
    }

    fn engine(&self, strategies: impl FnOnce(Bound<EcsTarget>) -> Bound<EcsTarget>) -> Checked<Engine> {
        let session = support::session(&self.server.url());
        let target = EcsTarget::new(&session, &EcsConfig::new("prod", "web"))?;
        let target: Arc<dyn DynTarget> = strategies(Bound::new("ecs", target)).erase();
        Ok(Engine::builder(Arc::new(MemoryStore::new())).component(name()?, target).build())
    }

    /// What was needed since the last time.
    fn needed(&self) -> Actions {
        let needed = self.cloud.calls().iter().flat_map(needed).collect();
        self.cloud.forget_calls();
        needed
    }

    /// All that changes nothing.
    async fn look(&self) -> Checked<Actions> {
        let engine = self.engine(all)?;
        self.cloud.forget_calls();
        engine.status(&name()?).await?;
        engine.history(&name()?, 20).await?;
        engine.check(&name()?, &CheckRequest::default().to("revision=1".parse()?)).await?;
        Ok(self.needed())
    }

    /// Goes back to the first release in one way alone; what that needed beside what looks need.
    async fn goes_back(
        &self,
        strategies: impl FnOnce(Bound<EcsTarget>) -> Bound<EcsTarget>,
    ) -> Checked<Actions> {
        self.goes_back_by(&self.engine(strategies)?).await
    }

    async fn goes_back_by(&self, engine: &Engine) -> Checked<Actions> {
        self.cloud.forget_calls();
        let Planned::Ready(plan) = engine.plan(&request("revision=1")?).await? else {
            return Err("no plan".into());
        };
        let component = plan.components.values().next().ok_or("no component")?;
        assert!(component.proposals().next().is_some(), "{:#?} {:#?}", component.methods, component.phase);
        let report = engine.apply(&plan, &Approval::yes()).await?;
        assert_eq!(report.state, State::Restored, "{report:#?}");
        let looks = &allowed("check") | &allowed("check codedeploy");
        Ok(&self.needed() - &looks)
    }
}

fn name() -> rollback_core::Result<ComponentName> {
    ComponentName::new("web")
}

fn request(to: &str) -> Checked<Request> {
    Ok(Request::new(EnvironmentName::new("default")?).component(name()?, Some(to.parse()?)))
}

fn all(bound: Bound<EcsTarget>) -> Bound<EcsTarget> {
    bound.strategy(NativeStop).strategy(CodeDeployStop).strategy(CodeDeployDeployment).strategy(UpdateService)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_alone() -> Checked {
    let site = Site::new().await?;
    let alarms = json!({ "alarms": { "alarmNames": ["5xx"], "enable": true, "rollback": false } });
    site.moved_by_ecs(&alarms)?;
    site.deploy(2)?;
    site.rest();
    let mut needed = site.look().await?;
    // What runs can be recorded.
    site.engine(all)?.record(&name()?, &Claim::good()).await?;
    // A deployment on its way.
    site.cloud.behave(&format!("{REGISTRY}:v3"), Behaviour::Crash);
    site.deploy(3)?;
    site.cloud.tick(Duration::from_secs(12));
    needed.extend(site.look().await?);
    // A tag that was moved to an index.
    let index = json!({ "repositoryName": "web", "imageTag": "v1", "imageManifest": r#"{"manifests":[]}"#,
        "imageManifestMediaType": "application/vnd.oci.image.index.v1+json" });
    let ran = site.cloud.world().images.digest(&format!("{REGISTRY}:v1"));
    site.ask("ecr", "PutImage", &index)?;
    needed.extend(site.look().await?);
    // An image that is gone.
    site.ask(
        "ecr",
        "BatchDeleteImage",
        &json!({ "repositoryName": "web", "imageIds": [{ "imageDigest": ran }] }),
    )?;
    needed.extend(site.look().await?);
    needed.extend(site.needed());
    assert_eq!(needed, allowed("check"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_alone_where_code_deploy_moves() -> Checked {
    let site = Site::new().await?;
    let made = site.moved_by_code_deploy()?;
    for release in ["web:2", "web:3"] {
        site.cloud.deploy_blue_green(&made, release).map_err(told)?;
        site.rest();
    }
    let needed = site.look().await?;
    assert_eq!(&needed - &allowed("check"), allowed("check codedeploy"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn native_stop() -> Checked {
    let site = Site::new().await?;
    site.moved_by_ecs(&json!({}))?;
    site.cloud.behave(&format!("{REGISTRY}:v2"), Behaviour::SlowStart(Duration::from_secs(3600)));
    site.deploy(2)?;
    site.cloud.tick(Duration::from_secs(8));
    let mut needed = site.goes_back(|bound| bound.strategy(NativeStop)).await?;

    let site = Site::new().await?;
    let hook = json!({ "targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"] });
    site.moved_by_ecs(
        &json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5, "lifecycleHooks": [hook] }),
    )?;
    site.deploy(2)?;
    assert!(site.cloud.settle(), "it waits at the hook");
    needed.extend(site.goes_back(|bound| bound.strategy(NativeStop)).await?);
    assert_eq!(needed, allowed("native-stop"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_service() -> Checked {
    let site = Site::new().await?;
    site.moved_by_ecs(&json!({}))?;
    site.deploy(2)?;
    site.rest();
    assert_eq!(site.goes_back(|bound| bound.strategy(UpdateService)).await?, allowed("update-service"));
    Ok(())
}

/// Its looks go beyond the service and its cluster, so that the policy names them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deregister() -> Checked {
    let site = Site::new().await?;
    site.moved_by_ecs(&json!({}))?;
    site.deploy(2)?;
    site.rest();
    let config = EcsConfig::new("prod", "web").deregister_bad();
    let target = EcsTarget::new(&support::session(&site.server.url()), &config)?.erase();
    let engine = Engine::builder(Arc::new(MemoryStore::new())).component(name()?, target).build();
    let needed = &site.goes_back_by(&engine).await? - &allowed("update-service");
    let again = ["ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks"].map(str::to_owned);
    assert_eq!(&needed | &again.into(), allowed("deregister"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn re_register() -> Checked {
    let site = Site::new().await?;
    site.moved_by_ecs(&json!({}))?;
    site.deploy(2)?;
    site.rest();
    site.ask("ecs", "DeregisterTaskDefinition", &json!({ "taskDefinition": "web:1" }))?;
    assert_eq!(site.goes_back(|bound| bound.strategy(ReRegister)).await?, allowed("re-register"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shift_traffic() -> Checked {
    let needed = &shifted(false).await? | &shifted(true).await?;
    assert_eq!(needed, allowed("shift-traffic"));
    Ok(())
}

async fn shifted(rule: bool) -> Checked<Actions> {
    let site = Site::new().await?;
    site.behind(&json!({}), rule)?;
    // The next one was stopped where it was: what was before still runs, and gets half of the requests.
    site.cloud.behave(&format!("{REGISTRY}:v2"), Behaviour::SlowStart(Duration::from_secs(3600)));
    site.deploy(2)?;
    site.cloud.tick(Duration::from_secs(8));
    let listed =
        site.ask("ecs", "ListServiceDeployments", &json!({ "cluster": "prod", "service": "web" }))?;
    let newest = &listed["serviceDeployments"][0]["serviceDeploymentArn"];
    site.ask(
        "ecs",
        "StopServiceDeployment",
        &json!({ "serviceDeploymentArn": newest, "stopType": "ABORT" }),
    )?;
    site.cloud.tick(Duration::from_secs(8));
    site.goes_back(|bound| bound.strategy(ShiftTraffic)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_deploy_stop() -> Checked {
    let site = Site::new().await?;
    let made = site.moved_by_code_deploy()?;
    site.cloud.behave(&format!("{REGISTRY}:v2"), Behaviour::SlowStart(Duration::from_secs(1800)));
    site.cloud.deploy_blue_green(&made, "web:2").map_err(told)?;
    site.cloud.tick(Duration::from_secs(30));
    assert_eq!(site.goes_back(|bound| bound.strategy(CodeDeployStop)).await?, allowed("codedeploy-stop"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_deploy_deployment() -> Checked {
    let site = Site::new().await?;
    let made = site.moved_by_code_deploy()?;
    site.cloud.deploy_blue_green(&made, "web:2").map_err(told)?;
    site.rest();
    assert_eq!(
        site.goes_back(|bound| bound.strategy(CodeDeployDeployment)).await?,
        allowed("codedeploy-deploy")
    );
    Ok(())
}

#[test]
fn the_guide_tells_of_every_setting_and_strategy() {
    let schema = EcsConfig::schema();
    let settings = schema["properties"].as_object().expect("settings");
    for setting in settings.keys() {
        assert!(GUIDE.contains(&format!("\n| `{setting}` |")), "{setting} is not told");
    }
    for strategy in [
        "native-stop",
        "update-service",
        "re-register",
        "shift-traffic",
        "codedeploy-stop",
        "codedeploy-deploy",
    ] {
        assert!(GUIDE.contains(&format!("| `{strategy}` |")), "{strategy} is not told");
        assert!(!allowed(strategy).is_empty());
    }
}
