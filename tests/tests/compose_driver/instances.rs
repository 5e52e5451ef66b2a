//! Hosts that are EC2's instances: an emulator tells of them, and they are real.

use std::os::unix::fs::PermissionsExt as _;

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::hosts::{BAD, GOOD, Host, Setup};
use rollback_tests::servers::{Account, Moto, need};
use rollback_tests::until;

use super::{REFUSED, Shop};

const VERSION: &str = "Version=2016-11-15";
/// In the network that the emulator puts instances in.
const NETWORK: &str = "172.31.0";

/// Hosts, each an instance of an account that nobody else uses.
struct Cloud {
    shop: Shop,
    account: Account,
    /// Their ids, in the order of the hosts.
    ids: Vec<String>,
}

fn text_of<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

fn act(account: &Account, form: &str) -> Result<String, Failure> {
    let (status, answer) = account.query("ec2", &format!("{form}&{VERSION}"))?;
    ensure(status == 200, format!("{form}: {status} {answer}"))?;
    Ok(answer)
}

/// Starts an instance with the tag `app`.
fn launch(account: &Account, name: &str, app: &str, last: usize) -> Result<String, Failure> {
    let tags = "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1";
    let answer = act(
        account,
        &format!(
            "Action=RunInstances&ImageId=ami-12c6146b&MinCount=1&MaxCount=1&PrivateIpAddress={NETWORK}.{last}&{tags}.Key=app\
             &{tags}.Value={app}&TagSpecification.1.Tag.2.Key=Name&TagSpecification.1.Tag.2.Value={name}"
        ),
    )?;
    Ok(text_of(&answer, "instanceId").ok_or_else(|| format!("no instance: {answer}"))?.to_owned())
}

impl Cloud {
    fn new(hosts: usize) -> Result<Self, Failure> {
        let account = need(Moto::shared())?.account()?;
        // The emulator first reads all images that there are in a region, which may take it longer than a test waits for an answer.
        until("the emulator's data", || act(&account, "Action=DescribeInstances").ok())?;
        let mut shop = Shop::new(Setup::hosts(hosts), "")?;
        shop.site = shop.site.with_environment(account.environment());
        let launched = |(index, host): (usize, &Host)| launch(&account, host.name(), "shop", 10 + index);
        let ids = shop.bed.hosts.iter().enumerate().map(launched).collect::<Result<Vec<_>, _>>()?;
        let cloud = Self { shop, account, ids };
        cloud.write_access()?;
        Ok(cloud)
    }

    /// Addresses of instances lead to hosts, as a network would.
    fn write_access(&self) -> CaseResult {
        let mut config = String::new();
        let mut known = String::new();
        for (index, host) in self.shop.bed.hosts.iter().enumerate() {
            let (ssh, id, ip) = (host.ssh(), &self.ids[index], format!("{NETWORK}.{}", 10 + index));
            let key = ssh.identity_file.display();
            config += &format!(
                "Host {ip}\n  HostName {}\n  Port {}\n  HostKeyAlias {id}\nHost {ip} {id}\n  IdentityFile {key}\n",
                ssh.address, ssh.port
            );
            known += &format!("{id} {}\n", ssh.host_key);
        }
        let file = self.shop.site.path("known_hosts");
        config += &format!(
            "Host *\n  User deploy\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  \
             GlobalKnownHostsFile /dev/null\n",
            file.display()
        );
        std::fs::write(file, known)?;
        Ok(std::fs::write(self.shop.site.path("ssh_config"), config)?)
    }

    fn is(&self, instances: &str) -> CaseResult {
        Ok(self.shop.site.write_configuration(&format!(
            "[components.web]\ndriver = \"ec2-compose\"\nproject = \"app\"\nservices = [\"backend\"]\nask_ecr = false\n\
             instances = {{ {instances} }}\nssh = {{ config_file = {:?} }}\n",
            self.shop.site.path("ssh_config"),
        ))?)
    }
}

/// All that have the tag and run, and nobody else. Their number is part of what is planned for.
pub(super) async fn by_tag() -> CaseResult {
    let cloud = Cloud::new(2)?;
    let (shop, account) = (&cloud.shop, &cloud.account);
    // Nobody is at these.
    launch(account, "staging", "shop-staging", 90)?;
    let stopped = launch(account, "spare", "shop", 91)?;
    act(account, &format!("Action=StopInstances&InstanceId.1={stopped}"))?;
    let gone = launch(account, "gone", "shop", 92)?;
    act(account, &format!("Action=TerminateInstances&InstanceId.1={gone}"))?;
    // As it was recorded by the names of the hosts, it is found by their tags: they are the same machines.
    shop.deploy_badly()?;
    cloud.is("tags = { app = \"shop\" }")?;
    let plan = shop.run("plan web -o both.json", 0)?;
    for part in
        [format!("on {NETWORK}.10"), format!("on {NETWORK}.11"), stopped.clone(), "stopped".to_owned()]
    {
        ensure(plan.out.contains(&part), format!("no {part} in {plan}"))?;
    }
    let is = format!("{NETWORK}.10 is {} (\"host0\")", cloud.ids[0]);
    ensure(plan.out.contains(&is), format!("no {is} in {plan}"))?;
    ensure(!plan.out.contains(&gone), format!("{plan}"))?;
    // One of them is taken out: a plan for both is a plan for something else.
    let second = &cloud.ids[1];
    act(account, &format!("Action=DeleteTags&ResourceId.1={second}&Tag.1.Key=app"))?;
    let ran = shop.run("apply both.json --yes", REFUSED)?;
    ensure(ran.err.contains("the plan is for") || ran.out.contains("the plan is for"), format!("{ran}"))?;
    equal("what serves", &shop.bed.hosts[0].answer(), &Some((500, BAD.to_owned())))?;
    act(account, &format!("Action=CreateTags&ResourceId.1={second}&Tag.1.Key=app&Tag.1.Value=shop"))?;
    shop.run("apply both.json --yes", 0)?;
    shop.serves(GOOD)?;

    cloud.is("tags = { app = \"Shop\" }")?;
    let ran = shop.site.run("status web")?;
    for part in ["\"app\"=\"Shop\"", "us-east-1", account.id()] {
        ensure(ran.code != Some(0) && ran.err.contains(part), format!("no {part} in {ran}"))?;
    }
    cloud.is(&format!("ids = [{stopped:?}]"))?;
    let ran = shop.site.run("status web")?;
    ensure(ran.code != Some(0) && ran.err.contains("is stopped"), format!("{ran}"))?;
    cloud.is("ids = [\"i-0123456789abcdef0\"]")?;
    let ran = shop.site.run("status web")?;
    ensure(ran.code != Some(0) && ran.err.contains("InvalidInstanceID.NotFound"), format!("{ran}"))
}

/// `aws ssm start-session` stands before the host's SSH server, as AWS has it.
pub(super) async fn by_session_manager() -> CaseResult {
    let mut cloud = Cloud::new(1)?;
    let (programs, log) = (cloud.shop.site.path("programs"), cloud.shop.site.path("aws.log"));
    std::fs::create_dir_all(&programs)?;
    let (id, port) = (cloud.ids[0].clone(), cloud.shop.bed.hosts[0].ssh().port);
    let script = format!(
        "#!/bin/bash\necho \"$*\" >> '{}'\ncase \"$*\" in *'--target {id} '*) ;; *) exit 255 ;; esac\n\
         exec 3<>/dev/tcp/127.0.0.1/{port}\ncat <&3 &\ncat >&3\nkill $!\n",
        log.display()
    );
    std::fs::write(programs.join("aws"), script)?;
    std::fs::set_permissions(programs.join("aws"), std::fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut environment = cloud.account.environment();
    environment.push(("PATH", path));
    cloud.shop.site = cloud.shop.site.with_environment(environment);
    cloud.shop.deploy_badly()?;
    cloud.is(&format!("ids = [{id:?}], address = \"ssm\""))?;
    let ran = cloud.shop.run("run web --yes", 0)?;
    ensure(ran.out.contains(&id), format!("{ran}"))?;
    cloud.shop.serves(GOOD)?;
    let said = std::fs::read_to_string(log)?;
    let wanted = format!(
        "ssm start-session --target {id} --document-name AWS-StartSSHSession --parameters portNumber=22 --region us-east-1"
    );
    equal("what aws was asked", &said.lines().next(), &Some(wanted.as_str()))
}

/// A scaling group starts a machine in the middle: until it is gone or planned for, nobody says that all is well.
pub(super) async fn stray() -> CaseResult {
    let cloud = Cloud::new(1)?;
    let shop = &cloud.shop;
    shop.deploy_badly()?;
    cloud.is("tags = { app = \"shop\" }")?;
    let running = shop.site.start("run web --yes -v")?;
    until("up to be under way", || {
        let jobs = shop.bed.hosts[0].run("ls ~/.local/state/rollback/jobs 2>/dev/null").ok()?;
        (!jobs.out.trim().is_empty()).then_some(())
    })?;
    let stray = launch(&cloud.account, "stray", "shop", 93)?;
    running.until_said(&format!("what runs on {stray} (\"stray\"), which was started meanwhile"))?;
    act(&cloud.account, &format!("Action=TerminateInstances&InstanceId.1={stray}"))?;
    let ran = running.end()?;
    ensure(ran.code == Some(0), format!("{ran}"))?;
    shop.serves(GOOD)
}
