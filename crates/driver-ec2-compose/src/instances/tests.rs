use rollback_core::Result;
use rollback_ssh_support::Hop;
use serde_json::{Value, json};

use super::*;

const WEB: &str = "i-0a1b2c3d4e5f60718";
const BATCH: &str = "i-0123456789abcdef0";

fn instance(id: &str, state: State, private: &str) -> Instance {
    let mut one = Instance::new(id, state);
    one.private_ip = private.parse().ok();
    one.private_dns = Some(format!("ip-{}.ec2.internal", private.replace('.', "-")));
    one.tags.insert("Name".to_owned(), "web \u{1b}[31m1".to_owned());
    one
}

fn place() -> Place {
    Place {
        region: "eu-central-1".to_owned(),
        profile: Some("prod".to_owned()),
        account: Some("123456789012".to_owned()),
    }
}

fn shop() -> Instances {
    Instances::tagged([("app", "shop"), ("stage", "prod")])
}

fn by_id() -> Instances {
    Instances::with_ids([WEB, BATCH].map(|id| InstanceId::new(id).unwrap()).into())
}

fn pick(wanted: &Instances, all: Vec<Instance>) -> Result<Picked> {
    wanted.pick(all, &SshSettings::new(), &place())
}

fn hosts(picked: &Picked) -> Vec<&str> {
    picked.ways.iter().map(|way| way.host.as_str()).collect()
}

#[test]
fn settings_are_read_written_and_checked() {
    let read = |value: Value| -> std::result::Result<Instances, String> {
        let read: Instances = serde_json::from_value(value).map_err(|error| error.to_string())?;
        read.check().map_err(|error| error.to_string())?;
        Ok(read)
    };
    for value in [
        json!({ "tags": { "app": "shop", "stage": "prod" }, "address": "private-ip" }),
        json!({ "ids": [WEB, "i-01234567"], "address": "ssm" }),
        json!({ "tags": { "aws:autoscaling:groupName": "shop *?" , "empty": "" }, "address": "public-dns" }),
    ] {
        assert_eq!(serde_json::to_value(read(value.clone()).unwrap()).unwrap(), value);
    }
    assert_eq!(read(json!({ "tags": { "app": "shop" } })).unwrap().address, Address::PrivateIp);
    for value in [
        json!({}),
        json!({ "tags": {}, "ids": [] }),
        json!({ "tags": { "app": "shop" }, "ids": [WEB] }),
        json!({ "tags": { "": "shop" } }),
        json!({ "tags": { "app": "shop\n" } }),
        json!({ "tags": { " app": "shop" } }),
        json!({ "tags": { "app": "x".repeat(257) } }),
        json!({ "ids": ["mi-0123456789abcdef0"] }),
        json!({ "ids": ["i-0123456789abcdef0;id"] }),
        json!({ "ids": ["-oProxyCommand=id"] }),
        json!({ "ids": [WEB, WEB] }),
        json!({ "ids": [WEB], "address": "private" }),
        json!({ "tag": { "app": "shop" } }),
    ] {
        assert!(read(value.clone()).is_err(), "{value}");
    }
}

#[test]
fn each_address_is_a_host() {
    let mut one = instance(WEB, State::Running, "10.0.1.17");
    one.public_ip = Some("198.51.100.7".parse().unwrap());
    one.public_dns = Some("ec2-198-51-100-7.compute.amazonaws.com".to_owned());
    for (address, host) in [
        (Address::PrivateIp, "10.0.1.17"),
        (Address::PublicIp, "198.51.100.7"),
        (Address::PrivateDns, "ip-10-0-1-17.ec2.internal"),
        (Address::PublicDns, "ec2-198-51-100-7.compute.amazonaws.com"),
        (Address::Ssm, WEB),
    ] {
        let picked = pick(&shop().by(address), vec![one.clone()]).unwrap();
        assert_eq!(hosts(&picked), [host]);
        let way = picked.ways[0].ssh.via_ssm.clone();
        match address {
            Address::Ssm => {
                let way = way.unwrap();
                assert_eq!((way.instance.as_str(), way.region.as_deref()), (WEB, Some("eu-central-1")));
                assert_eq!(way.profile.as_deref(), Some("prod"));
            }
            _ => assert_eq!(way, None),
        }
    }
    let stopped_outside =
        pick(&shop().by(Address::PublicIp), vec![instance(WEB, State::Running, "10.0.1.17")]);
    let error = stopped_outside.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains(WEB) && error.message().contains("has no public address"), "{error}");
}

#[test]
fn what_runs_is_a_host_and_what_may_run_again_is_told() {
    let all = vec![
        instance(BATCH, State::Running, "10.0.1.18"),
        instance(WEB, State::Running, "10.0.1.17"),
        instance("i-0000000000000000a", State::Stopped, "10.0.1.19"),
        instance("i-0000000000000000b", State::Pending, "10.0.1.20"),
        instance("i-0000000000000000c", State::Terminated, ""),
        instance("i-0000000000000000d", State::ShuttingDown, "10.0.1.21"),
        instance("i-0000000000000000e", State::Other("resting".to_owned()), "10.0.1.22"),
    ];
    let picked = pick(&shop(), all).unwrap();
    assert_eq!(hosts(&picked), ["10.0.1.18", "10.0.1.17"], "in the order of their ids");
    let aside: Vec<_> = picked.aside.iter().map(|one| one.state.to_string()).collect();
    assert_eq!(aside, ["stopped", "pending", "\"resting\""]);
}

#[test]
fn none_is_an_error_that_says_what_was_looked_for_and_where() {
    let error = pick(&shop(), vec![instance(WEB, State::Stopped, "10.0.1.17")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for part in
        ["\"app\"=\"shop\", \"stage\"=\"prod\"", "eu-central-1, account 123456789012", WEB, "is stopped"]
    {
        assert!(error.message().contains(part), "no {part} in {error}");
    }
    assert!(!error.message().contains('\u{1b}'), "{error}");
    let many = (0..9).map(|one| instance(&format!("i-0000000000000000{one}"), State::Stopped, "10.0.1.1"));
    let error = pick(&shop(), many.collect()).unwrap_err();
    assert!(error.message().ends_with("and 4 more"), "{error}");
}

#[test]
fn an_instance_that_is_named_must_run() {
    for state in [State::Stopped, State::Terminated, State::Pending] {
        let there = instance(WEB, State::Running, "10.0.1.17");
        let error = pick(&by_id(), vec![there, instance(BATCH, state.clone(), "10.0.1.18")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains(BATCH) && error.message().contains(&state.to_string()), "{error}");
    }
}

#[test]
fn two_that_cannot_be_told_apart_are_refused() {
    let twins =
        vec![instance(WEB, State::Running, "10.0.1.17"), instance(BATCH, State::Running, "10.0.1.17")];
    let error = pick(&shop(), twins.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(pick(&shop().by(Address::Ssm), twins).unwrap().ways.len(), 2);
}

#[test]
fn what_ec2_tells_reaches_no_shell() {
    for hostile in ["-oProxyCommand=id", "a;id", "$(id)", "web@evil", "a b", "a\nb", "%h", ""] {
        let mut one = instance(WEB, State::Running, "10.0.1.17");
        one.private_dns = Some(hostile.to_owned());
        let error = pick(&shop().by(Address::PrivateDns), vec![one]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{hostile:?}");
        assert!(error.message().contains(WEB) && !error.message().contains('\n'), "{error}");
    }
    let error = pick(&shop().by(Address::Ssm), vec![Instance::new("i-0;id", State::Running)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    // Hops and Session Manager exclude each other, whoever says so.
    let jump = SshSettings::new().jump("bastion".parse::<Hop>().unwrap());
    let there = vec![instance(WEB, State::Running, "10.0.1.17")];
    assert!(shop().by(Address::Ssm).pick(there.clone(), &jump, &place()).is_err());
    assert!(shop().pick(there, &jump, &place()).is_ok());
}
