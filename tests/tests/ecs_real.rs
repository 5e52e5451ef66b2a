//! ECS that runs, without a driver of ours: what the bed really does, and where ministack does not answer as AWS documents.
//!
//! What a driver reads, and what ministack 1.5.33 says there. A driver is written for the second column; what the third
//! one keeps from being tested here is tested against the scripted double. `lies` below holds ministack to this table:
//! when a line of it gets better, that case says so.
//!
//! | what | AWS | ministack |
//! |---|---|---|
//! | `rolloutState` of a new service | `IN_PROGRESS` until it is steady | `COMPLETED` at once, before a task runs |
//! | `rolloutState` of an update | `IN_PROGRESS`, `COMPLETED`, `FAILED` | the same; completed one second after the last task runs |
//! | `rolloutStateReason` | `ECS deployment ecs-svc/… in progress.`, `… completed.` | empty; `ECS deployment completed.` |
//! | its words when the circuit breaker acts | `ECS deployment circuit breaker: tasks failed to start.` | `… was triggered after 3 consecutive task failures.` |
//! | a deployment that failed | `INACTIVE` or gone once its tasks are | stays there: `ACTIVE`, `FAILED`, nothing desired |
//! | going back by itself | the reason names the deployment that it goes back to | the old deployment is `PRIMARY` again, under its old id and date |
//! | `failedTasks` of an image that is missing | grows with each try | 0: it fails after three looks at the registry |
//! | `taskDefinition` and `deployments[].taskDefinition` | full ARNs | full ARNs, but for a revision that is not there |
//! | a revision that is not there, by `family:revision` | `ClientException` | taken; counts tasks that do not run |
//! | an `INACTIVE` revision | `ClientException` | taken, and run |
//! | `UpdateService` of a deleted service | `ServiceNotActiveException` | 200, and nothing happens |
//! | `UpdateService` with `CODE_DEPLOY` | `InvalidParameterException` for a task definition | taken |
//! | a service that is missing | 200 with a failure, `MISSING`; `ServiceNotFoundException` on update | the same |
//! | a cluster that is missing | `ClusterNotFoundException` | the same on services; `ListTasks` answers an empty list |
//! | `DescribeServices` of eleven | `InvalidParameterException` | answered |
//! | `ListTasks` of a service that is missing | `ServiceNotFoundException` | an empty list |
//! | `ListTasks` by `desiredStatus`, `serviceName`, `family` | filters | the same; stopped tasks stay for ever, not for an hour |
//! | `startedBy` of a service's task | `ecs-svc/…`, its deployment | the name of the service |
//! | `imageDigest` | of the manifest, once it is pulled | the same, where a registry could be asked |
//! | why a task stopped: its program ended | `Essential container in task exited` | `Essential container exited` |
//! | why a task stopped: replaced | `Scaling activity initiated by (deployment ecs-svc/…)`, `ServiceSchedulerInitiated` | `Deployment completed`, `UserInitiated`, exit code 0 whatever it was |
//! | why a container did not start | `containers[].reason` too | only in `stoppedReason`, with the daemon's own words |
//! | `healthStatus` without a health check | `UNKNOWN` | the same |
//! | `events[]` | starts, stops, targets, steady state, placement, deployments | draining on each update, and the circuit breaker |
//! | times | seconds with a fraction | whole seconds |
//! | `ListServiceDeployments`, `Describe…`, revisions | what they are, 90 days | empty, whatever is asked for |
//! | `StopServiceDeployment`, `DescribeTaskSets` | there | `InvalidAction` |
//! | describing a family without a revision | the latest `ACTIVE` one | the latest, also when `INACTIVE` |
//! | what was not set in a task definition | left out | `""` and `null` |
//! | `tags` beside a task definition | when asked for | always |
//! | `ListTaskDefinitions` by `familyPrefix` | the family with exactly that name | also families that begin with it |
//! | `sort` of `ListTaskDefinitions` | by family, then by revision | by time of registration |
//! | ECR `DescribeImages` of a tag that is missing | `ImageNotFoundException` | an empty list |

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};
use rollback_tests::ecs_bed::{CRASHING, EcsBed, EcsService, MISSING};
use rollback_tests::servers::need;
use serde_json::{Value, json};

fn main() -> ExitCode {
    if std::env::var_os(OWN).is_some() {
        return own();
    }
    Suite::new("ecs-real")
        .case("a_good_version_replaces_the_one_before", true, good)
        .case("a_crashing_version_is_taken_back_by_the_circuit_breaker", true, crashing)
        .case("a_version_that_no_registry_has_is_taken_back", true, missing)
        .case("without_a_circuit_breaker_a_crashing_version_stays", true, without_breaker)
        .case("services_of_one_bed_share_nothing", true, apart)
        .case("ministack_lies_where_it_is_known_to", true, lies)
        .case("everything_ends_when_it_is_dropped", true, dropped)
        .case("everything_ends_when_the_test_is_killed", true, killed)
        .run()
}

fn primary(service: &Value) -> Value {
    let all = service["deployments"].as_array().into_iter().flatten();
    all.into_iter().find(|deployment| deployment["status"] == "PRIMARY").cloned().unwrap_or_default()
}

fn says(value: &Value, words: &str) -> CaseResult {
    ensure(value.as_str().is_some_and(|text| text.contains(words)), format!("{words:?} is not said: {value}"))
}

async fn good() -> CaseResult {
    let service = need(EcsBed::shared())?.service(2)?;
    equal("what runs", &service.running_images()?, &vec!["v1".to_owned(); 2])?;
    let second = service.deploy("v2")?;
    equal("the rollout", &primary(&service.describe()?)["rolloutState"], &json!("IN_PROGRESS"))?;
    service.until_rolled_out("v2")?;

    let told = service.describe()?;
    equal("the task definition", &told["taskDefinition"], &json!(second))?;
    equal("deployments", &told["deployments"].as_array().map(Vec::len), &Some(1))?;
    let wanted =
        service.digests()?.into_iter().find(|(version, _)| version == "v2").map(|(_, digest)| digest);
    let tasks = service.tasks("RUNNING")?;
    equal("tasks", &tasks.len(), &2)?;
    for task in &tasks {
        equal("its task definition", &task["taskDefinitionArn"], &json!(second))?;
        equal("its digest", &task["containers"][0]["imageDigest"], &json!(wanted))?;
    }
    service.update(&second.replace(":2", ":1"))?;
    Ok(service.until_rolled_out("v1")?)
}

async fn crashing() -> CaseResult {
    let service = need(EcsBed::shared())?.service(1)?;
    let bad = service.deploy(CRASHING)?;
    equal("what answers meanwhile", &service.answer().as_deref(), &Some("v1"))?;
    service.until_rolled_back("v1")?;

    let told = service.describe()?;
    let failed = failed_deployment(&told);
    equal("what failed", &failed["taskDefinition"], &json!(bad))?;
    equal("failed tasks", &failed["failedTasks"], &json!(3))?;
    says(&failed["rolloutStateReason"], "circuit breaker")?;
    let stopped = service.tasks("STOPPED")?;
    equal("stopped tasks", &stopped.len(), &3)?;
    for task in &stopped {
        equal("its exit code", &task["containers"][0]["exitCode"], &json!(1))?;
        equal("why", &task["stopCode"], &json!("EssentialContainerExited"))?;
    }
    Ok(())
}

async fn missing() -> CaseResult {
    let service = need(EcsBed::shared())?.service(1)?;
    let bad = service.deploy(MISSING)?;
    service.until_rolled_back("v1")?;
    equal("what failed", &failed_deployment(&service.describe()?)["taskDefinition"], &json!(bad))?;
    let stopped = service.tasks("STOPPED")?;
    equal("stopped tasks", &stopped.len(), &1)?;
    says(&stopped[0]["stoppedReason"], "CannotPullContainerError")?;
    equal("its digest", &stopped[0]["containers"][0].get("imageDigest"), &None)
}

async fn without_breaker() -> CaseResult {
    let service = need(EcsBed::shared())?.service(1)?;
    service.circuit_breaker(false)?;
    service.deploy(CRASHING)?;
    let count = || service.tasks("STOPPED").map_or(0, |tasks| tasks.len());
    rollback_tests::until("the fifth task that crashed", || (count() >= 5).then_some(()))?;
    equal("the rollout", &primary(&service.describe()?)["rolloutState"], &json!("IN_PROGRESS"))?;
    ensure(service.running_images()?.contains(&"v1".to_owned()), "the old one stopped")?;
    service.deploy("v2")?;
    Ok(service.until_rolled_out("v2")?)
}

async fn apart() -> CaseResult {
    let bed = need(EcsBed::shared())?;
    let (one, other) = (bed.service(1)?, bed.service(1)?);
    one.deploy("v2")?;
    one.until_rolled_out("v2")?;
    equal("what runs in the other", &other.running_images()?, &vec!["v1".to_owned()])?;
    equal("what the other answers", &other.answer().as_deref(), &Some("v1"))
}

/// The deployment that ECS gave up.
fn failed_deployment(service: &Value) -> Value {
    let all = service["deployments"].as_array().into_iter().flatten();
    all.into_iter().find(|deployment| deployment["rolloutState"] == "FAILED").cloned().unwrap_or_default()
}

/// What is asked, and what must be found in the answer, or which error.
async fn lies() -> CaseResult {
    let service = need(EcsBed::shared())?.service(1)?;
    let asked = |operation: &str, input: Value| -> Result<Value, String> {
        service.ecs(operation, &input).map_err(|error| error.to_string())
    };
    let ours = |more: Value| {
        let mut input = json!({ "cluster": service.cluster(), "service": service.name() });
        input
            .as_object_mut()
            .into_iter()
            .for_each(|input| input.extend(more.as_object().cloned().unwrap_or_default()));
        input
    };
    let of = |name: &str| json!({ "cluster": service.cluster(), "serviceName": name });
    service.deploy(CRASHING)?;
    service.until_rolled_back("v1")?;
    let told = service.describe()?;
    equal(
        "the reason of what is done",
        &primary(&told)["rolloutStateReason"],
        &json!("ECS deployment completed."),
    )?;
    equal("a failed deployment", &failed_deployment(&told)["status"], &json!("ACTIVE"))?;
    ensure(told["createdAt"].is_u64(), "times have a fraction")?;
    let steady = told["events"].to_string().contains("steady state");
    ensure(!steady, "a steady state is an event")?;
    let stopped = service.tasks("STOPPED")?;
    equal("why it stopped", &stopped[0]["stoppedReason"], &json!("Essential container exited"))?;
    equal("who started it", &stopped[0]["startedBy"], &json!(service.name()))?;

    for operation in ["ListServiceDeployments", "DescribeServiceDeployments"] {
        let answer = asked(operation, ours(json!({ "serviceDeploymentArns": ["arn:nothing"] })))?;
        equal(operation, &answer, &json!({ "serviceDeployments": [] }))?;
    }
    for operation in ["StopServiceDeployment", "DescribeTaskSets"] {
        let refused = asked(operation, ours(json!({}))).err().unwrap_or_default();
        ensure(refused.contains("InvalidAction"), format!("{operation}: {refused}"))?;
    }
    let nobody = asked("ListTasks", of("nobody"))?;
    equal("tasks of nobody", &nobody, &json!({ "taskArns": [] }))?;
    asked(
        "DescribeServices",
        json!({ "cluster": service.cluster(), "services": (0..11).map(|n| format!("s{n}")).collect::<Vec<_>>() }),
    )?;
    definitions(&service)
}

/// The part of `lies` that is about task definitions. It leaves the service with a revision that is not there.
fn definitions(service: &EcsService) -> CaseResult {
    let family = service.name();
    let revision = service.register("v2")?;
    service.ecs("DeregisterTaskDefinition", &json!({ "taskDefinition": revision }))?;
    let latest = service.ecs("DescribeTaskDefinition", &json!({ "taskDefinition": family }))?;
    equal("the latest", &latest["taskDefinition"]["status"], &json!("INACTIVE"))?;
    equal("what was not set", &latest["taskDefinition"]["taskRoleArn"], &json!(""))?;
    ensure(latest.get("tags").is_some(), "tags are told only when asked for")?;
    service.update(&revision)?;
    service.until_rolled_out("v2")?;
    service.update(&format!("{family}:99"))?;
    equal("its task definition", &service.describe()?["taskDefinition"], &json!("web:99"))
}

// ---- what it leaves behind

const OWN: &str = "ROLLBACK_TEST_OWN_BED";

/// A test that starts a bed, says what is to be gone, and waits to be killed.
fn own() -> ExitCode {
    let made = EcsBed::start("ecs_real")
        .map_err(Into::into)
        .and_then(|bed| bed.service(2).map(|service| (bed, service)));
    match made {
        Ok((bed, service)) => {
            eprintln!("{}", bed.docker().folder().display());
            eprintln!("{}", service.port());
            rollback_tests::pause(std::time::Duration::from_secs(120));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn dropped() -> CaseResult {
    need(EcsBed::shared())?;
    let bed = EcsBed::start("ecs_real")?;
    let service = bed.service(2)?;
    let (folder, port) = (bed.docker().folder().to_owned(), service.port());
    ensure(!remains(&folder).is_empty(), "there is nothing that could remain")?;
    drop(bed);
    until_gone(&folder, port)
}

async fn killed() -> CaseResult {
    need(EcsBed::shared())?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.env(OWN, "1");
    let mut owner = rollback_tests::Running::start(command)?;
    let (Some(folder), Some(port)) = (owner.line(), owner.line().and_then(|line| line.parse().ok())) else {
        return ensure(false, "it did not start");
    };
    let folder = std::path::PathBuf::from(folder);
    ensure(!remains(&folder).is_empty(), "there is nothing that could remain")?;
    owner.kill()?;
    until_gone(&folder, port)
}

fn until_gone(folder: &std::path::Path, port: u16) -> CaseResult {
    let gone = || {
        let listens = std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_ok();
        (remains(folder).is_empty() && !listens).then_some(())
    };
    let waited = rollback_tests::until("the end of everything", gone);
    Ok(waited.map_err(|error| format!("{error}: {:?}", remains(folder)))?)
}

/// What there still is of a daemon: its folder, its processes, and the control groups of its containers.
fn remains(folder: &std::path::Path) -> Vec<String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entries =
        |path: &str| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<String> = Vec::new();
    if folder.exists() {
        found.push(folder.display().to_string());
    }
    for process in entries("/proc") {
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let groups = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(&name) || groups.contains(&name) {
            found.push(process.display().to_string());
        }
    }
    let controllers = entries("/sys/fs/cgroup").chain(["/sys/fs/cgroup".into()]);
    found.extend(
        controllers
            .map(|path| path.join(&name))
            .filter(|path| path.exists())
            .map(|path| path.display().to_string()),
    );
    found
}
