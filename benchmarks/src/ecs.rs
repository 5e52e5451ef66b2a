//! Putting an ECS service back, beside what people use today: the same service in the same double of AWS, with 40 ms on the way of each
//! request.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_scripted_aws::{Cloud, Fault, Server};
use rollback_tests::proxy::{Exchange, Faults, Proxy, Rule};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::measure::{MILLIS, Samples, number};
use crate::report::{Section, Table};
use crate::{Result, Scale, machine, site, tools};

const LATENCY: Duration = Duration::from_millis(40);
/// How many revisions there are: the oldest was good, the newest runs and is bad.
const REVISIONS: usize = 20;
/// The double's time passes so much faster than ours: a rollout of some fifteen seconds is over in one and a half.
const FASTER: u32 = 10;
/// The call that counts.
const CHANGE: &str = "UpdateService";

/// A way back.
struct Way {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<&'static str>,
    ours: bool,
}

/// What one time took.
struct Took {
    accepted: Duration,
    done: Duration,
    calls: usize,
    /// Up to the one that changes the service, that one included.
    until: usize,
    /// How many of those ask for who is asking.
    identity: usize,
    /// Those up to acceptance, as they followed each other; each names what was asked beside it.
    rounds: Vec<BTreeSet<String>>,
}

/// All times of one way.
#[derive(Default)]
struct Times {
    accepted: Samples,
    done: Samples,
    last: Option<Took>,
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (ways, missing) = ways(scale)?;
    let rounds = if scale.smoke { 1 } else { scale.few() };
    let mut times: Vec<Times> = ways.iter().map(|_| Times::default()).collect();
    for round in 0..rounds {
        // Who begins moves on by one, as in the other parts.
        for turn in 0..ways.len() {
            let at = (turn + round) % ways.len();
            let took = run(&runtime, &ways[at], scale)?;
            times[at].accepted.add(took.accepted.as_secs_f64());
            times[at].done.add(took.done.as_secs_f64());
            times[at].last = Some(took);
        }
    }
    Ok(Section {
        name: "ecs",
        tables: vec![side_by_side(&ways, &times, &missing, rounds), trips(&ways, &times)],
    })
}

fn ways(scale: &Scale) -> Result<(Vec<Way>, Vec<&'static str>)> {
    let rollback = site::binary()?;
    let ours = |name, options: &[&'static str]| {
        let arguments = [&["run", "web", "--yes", "--reason", "a benchmark"][..], options].concat();
        Way { name, program: rollback.clone(), arguments, ours: true }
    };
    let mut ways = vec![
        ours("rollback run --to previous", &["--to", "previous"]),
        ours("the same, --urgent", &["--to", "previous", "--urgent"]),
        ours("rollback run --to revision=1", &["--to", "revision=1"]),
        ours("that one, --urgent", &["--to", "revision=1", "--urgent"]),
    ];
    let mut missing = Vec::new();
    let scripts = [
        ("list, update, wait, describe", "by-revision", "1", tools::find("aws")),
        ("find by tag, update, wait, describe", "by-tag", "v1", tools::find("aws")),
        ("ecs-deploy", "ecs-deploy", "1", ecs_deploy()),
    ];
    for (name, script, to, needs) in scripts {
        if needs.is_none() {
            missing.push(name);
        } else if !scale.smoke {
            // They wait a quarter of a minute between two looks.
            let program = machine::workspace().join("tests/runbook").join(script);
            ways.push(Way { name, program, arguments: vec!["prod", "web", "web", to], ours: false });
        }
    }
    Ok((ways, missing))
}

/// As `tests/install-servers ecs-deploy` installs it.
fn ecs_deploy() -> Option<PathBuf> {
    let installed = machine::workspace().join("target/test-servers/ecs-deploy/bin/ecs");
    std::env::var_os("ECS_DEPLOY")
        .map(PathBuf::from)
        .into_iter()
        .chain([installed])
        .find(|path| path.is_file())
}

/// A service with a long past, which runs what is bad.
fn furnish(cloud: &Cloud) -> std::result::Result<(), Fault> {
    cloud.cluster("prod");
    for revision in 1..=REVISIONS {
        let image = format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:v{revision}");
        {
            let mut world = cloud.world();
            let digest = world.images.digest(&image);
            world.images.tag(&image, digest);
        }
        cloud.register("web", &image)?;
    }
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    cloud.create_service("prod", "web", "web:1", 2, &breaker)?;
    cloud.settle();
    cloud.deploy("prod", "web", &format!("web:{REVISIONS}"))?;
    cloud.settle();
    cloud.forget_calls();
    Ok(())
}

fn run(runtime: &Runtime, way: &Way, scale: &Scale) -> Result<Took> {
    let cloud = Cloud::new();
    furnish(&cloud).map_err(|fault| format!("{}: {}", fault.code(), fault.message()))?;
    let server: Server = runtime.block_on(cloud.serve())?;
    let address = server.url().trim_start_matches("http://").to_owned();
    let proxy = Proxy::http(address)?;
    proxy.faults(Faults::none().rule(Rule::new(rollback_tests::proxy::Fault::delay(LATENCY))));
    let folder = tempfile::tempdir_in(scale.folder())?;
    let settings = "[components.web]\ndriver = \"ecs\"\ncluster = \"prod\"\nservice = \"web\"\n";
    std::fs::write(folder.path().join("rollback.toml"), settings)?;
    cloud.follow(|| SystemClock.monotonic() * FASTER);

    let began = SystemClock.monotonic();
    let output = command(way, folder.path(), &proxy).output()?;
    let done = SystemClock.monotonic().saturating_sub(began);
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{}: {told}{}", way.name, String::from_utf8_lossy(&output.stdout)).into());
    }
    let web = cloud.service("prod", "web").ok_or("the service is gone")?;
    // ecs-deploy registers the content of the revision once more.
    let wanted = json!({ "taskDefinition": web.task_definition });
    let runs =
        cloud.ask("ecs", "DescribeTaskDefinition", &wanted).map_err(|fault| fault.code().to_owned())?;
    let image = runs["taskDefinition"]["containerDefinitions"][0]["image"].as_str().unwrap_or_default();
    if !image.ends_with(":v1") {
        return Err(format!("{} left {image}", way.name).into());
    }
    took(&cloud, &proxy.log(), began, done)
}

fn command(way: &Way, folder: &Path, proxy: &Proxy) -> Command {
    let mut command = Command::new(&way.program);
    command.args(&way.arguments).current_dir(folder).stdin(Stdio::null());
    command.envs([
        ("AWS_ENDPOINT_URL", proxy.url().as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "not a secret"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_PAGER", ""),
    ]);
    for variable in ["ROLLBACK_CONFIG", "AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(variable);
    }
    command.envs(tools::find("aws").map(|aws| ("AWS_CLI", aws)));
    command.envs(ecs_deploy().map(|ecs| ("ECS_DEPLOY", ecs)));
    command
}

fn took(cloud: &Cloud, log: &[Exchange], began: Duration, done: Duration) -> Result<Took> {
    let calls = cloud.calls();
    let until = calls.iter().position(|call| call.operation == CHANGE).ok_or("nothing was changed")? + 1;
    let identity = calls[..until].iter().filter(|call| call.service == "sts").count();
    let change = log.iter().find(|one| one.operation.as_deref() == Some(CHANGE));
    let accepted = change.and_then(|change| change.answered).ok_or("the change was not answered")?;
    let mut before: Vec<_> = log
        .iter()
        .filter_map(|one| Some((one.answered?, one.operation.clone())))
        .filter(|(answered, _)| *answered <= accepted)
        .collect();
    before.sort();
    let rounds = rounds(&before);
    Ok(Took { accepted: accepted.saturating_sub(began), done, calls: calls.len(), until, identity, rounds })
}

/// The longest row of requests each of which was sent after the one before was answered. Of the query protocol only STS is spoken here.
fn rounds(answered: &[(Duration, Option<String>)]) -> Vec<BTreeSet<String>> {
    let mut rounds: Vec<BTreeSet<String>> = Vec::new();
    let mut ended = Duration::ZERO;
    for (at, operation) in answered {
        let name = operation.clone().unwrap_or_else(|| "GetCallerIdentity".to_owned());
        match rounds.last_mut() {
            Some(round) if at.saturating_sub(LATENCY) < ended => drop(round.insert(name)),
            _ => {
                rounds.push(BTreeSet::from([name]));
                ended = *at;
            }
        }
    }
    rounds
}

fn side_by_side(ways: &[Way], times: &[Times], missing: &[&str], rounds: usize) -> Table {
    let mut table = Table::new([
        "an ECS service",
        "ms until accepted",
        "of the first",
        "calls until then",
        "ms until done",
        "calls",
    ]);
    for (way, one) in ways.iter().zip(times) {
        let Some(last) = &one.last else { continue };
        table.row([
            way.name.to_owned(),
            one.accepted.show(MILLIS),
            format!("{} times", number(one.accepted.over(&times[0].accepted).median())),
            format!("{}, {} of them STS", last.until, last.identity),
            one.done.show(MILLIS),
            last.calls.to_string(),
        ]);
    }
    for name in missing {
        table.row([*name, "not installed", "", "", "", ""]);
    }
    table.note(format!(
        "A scripted double of AWS behind a proxy that holds each request for {} ms; {REVISIONS} revisions, of which the \
         oldest was good; {rounds} rounds in turn, medians with quartiles. The double's rollouts take about a second and a half. \
         The scripts of the runbook do nothing but call the AWS command, whose start is most of what they take.",
        LATENCY.as_millis()
    ));
    table
}

/// What followed what, for our own ways.
fn trips(ways: &[Way], times: &[Times]) -> Table {
    let mut table = Table::new(["one after the other, until accepted", "round", "what was asked together"]);
    for (way, one) in ways.iter().zip(times).filter(|(way, _)| way.ours) {
        let rounds = one.last.as_ref().map(|last| last.rounds.as_slice()).unwrap_or_default();
        for (number, round) in rounds.iter().enumerate() {
            let asked: Vec<_> = round.iter().map(String::as_str).collect();
            table.row([way.name.to_owned(), (number + 1).to_string(), asked.join(", ")]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_together_is_one_round() {
        let at = |ms, name: &str| (Duration::from_millis(ms), Some(name.to_owned()));
        let found = rounds(&[at(100, "a"), at(102, "b"), at(139, "c"), at(141, "d"), at(200, "e")]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("c") && found[1].contains("d"));
    }
}
