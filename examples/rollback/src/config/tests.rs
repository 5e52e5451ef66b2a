use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::contents::{ContentsKey, ContentsKeys};
use rollback_core::target::Capabilities;
use rollback_core::{Driver, DynTarget};

use super::*;

/// A driver with two settings, one of them a table.
struct Toy;

#[async_trait]
impl Driver for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn summary(&self) -> &'static str {
        "for tests"
    }

    fn config_schema(&self) -> Value {
        serde_json::json!({ "properties": { "releases": {}, "limits": {} }, "additionalProperties": false })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn connect(&self, _: &ComponentName, _: Value) -> Result<Arc<dyn DynTarget>> {
        Err(Error::new(ErrorKind::Unsupported, "connect", "this driver is for tests of configuration"))
    }
}

fn variable(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter22".to_owned()),
        "ROOT" => Some("/srv".to_owned()),
        "LONG" => Some("the long secret of an installation".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config> {
    Config::parse(Path::new("ops/rollback.toml"), text, &DriverRegistry::new().with(Toy), &variable)
}

const GOOD: &str = r#"
store = "sqlite:${ROOT}/state.db"
lease = "20s"
environment = "prod"
contents = { key = "${LONG}", earlier_keys = ["0123456789abcdef0123456789abcdef"] }

[environments.dev]
require_reason = false

[environments.prod]
confirm = "ROLLBACK-PROD"
expect_account = "web-1"
automatic = "act"
contacts = ["on-call: +49 30 1"]
single_operator = true
plan_expires_after = "90m"
[[environments.prod.freeze]]
from = 2026-12-24T00:00:00Z
to = "2026-12-27T00:00:00Z"
reason = "nobody is there"

[components.db]
driver = "toy"
environments = ["prod"]

[components.web]
driver = "toy"
after = ["db"]
releases = "${ROOT}/web/$$releases"
limits = { cpu = 1, memory = 2.5, strict = true }
[components.web.overrides.dev]
releases = "here"
limits = { cpu = 9 }

[[gates]]
name = "health"
component = "web"
probe = { kind = "http", url = "http://127.0.0.1:8080/health" }
rule = { lasting = "10s", within = "2m", every = "1s", all = ["ok", { below = { metric = "latency_ms", limit = 500 } }] }
"#;

fn environment(name: &str) -> EnvironmentName {
    name.parse().unwrap()
}

fn component(name: &str) -> ComponentName {
    name.parse().unwrap()
}

#[test]
fn a_good_file_says_everything() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.store, "sqlite:/srv/state.db");
    assert_eq!(config.folder(), Path::new("ops"));
    let prod = config.environment(None).unwrap();
    assert_eq!(prod.confirm.as_deref(), Some("ROLLBACK-PROD"));
    assert_eq!(prod.expect_account.as_deref(), Some("web-1"));
    assert!(prod.require_reason && prod.single_operator);
    assert_eq!(prod.automatic, rollback_core::environment::Automatic::Act);
    assert_eq!(prod.contacts, ["on-call: +49 30 1"]);
    assert_eq!(prod.plan_expires_after.to_string(), "1h30m");
    assert_eq!(
        (config.lease.to_string(), config.retention.to_string()),
        ("20s".to_owned(), "30d".to_owned())
    );
    let key = |text: &str| ContentsKey::new(text.as_bytes()).unwrap();
    let keys = ContentsKeys::new(key("the long secret of an installation"));
    assert_eq!(config.contents, Some(keys.or(key("0123456789abcdef0123456789abcdef"))));
    assert_eq!(prod.freeze[0].from.to_string(), "2026-12-24T00:00:00Z");
    assert_eq!(prod.freeze[0].to.to_string(), "2026-12-27T00:00:00Z");
    assert!(!config.environment(Some(&environment("dev"))).unwrap().require_reason);
    assert_eq!(config.gates[0].rule.to_string(), "ok and latency_ms < 500 for 10s within 2m");
    assert_eq!(config.gates[0].rule.every.to_string(), "1s");
    assert_eq!(config.gates[0].probe.config["url"], "http://127.0.0.1:8080/health");
}

#[test]
fn settings_are_merged_per_environment() {
    let config = parse(GOOD).unwrap();
    let web = &config.components[&component("web")];
    assert_eq!(web.after, [component("db")]);
    assert_eq!(
        web.settings_in(&environment("prod")),
        serde_json::json!({
            "releases": "/srv/web/$releases",
            "limits": { "cpu": 1, "memory": 2.5, "strict": true },
        })
    );
    assert_eq!(
        web.settings_in(&environment("dev")),
        serde_json::json!({ "releases": "here", "limits": { "cpu": 9, "memory": 2.5, "strict": true } })
    );
    let names = |name: &str| config.components_in(&environment(name)).cloned().collect::<Vec<_>>();
    assert_eq!(names("prod"), [component("db"), component("web")]);
    assert_eq!(names("dev"), [component("web")]);
}

#[test]
fn an_empty_file_is_an_environment_that_asks_for_nothing() {
    let config = parse("").unwrap();
    assert_eq!(config.store, DEFAULT_STORE);
    let only = config.environment(None).unwrap();
    assert_eq!(only.name.as_str(), "default");
    assert!(!only.require_reason && only.confirm.is_none());
}

#[test]
fn several_environments_need_a_name() {
    let config = parse("[environments.dev]\n[environments.prod]").unwrap();
    let error = config.environment(None).unwrap_err().to_string();
    assert!(
        error.contains("there are several: dev, prod") && error.contains("--environment NAME"),
        "{error}"
    );
    let error = config.environment(Some(&environment("prdo"))).unwrap_err().to_string();
    assert!(error.contains("did you mean \"prod\"?"), "{error}");
}

/// Bad files, each with all that its error must say.
const BAD: &[(&str, &[&str])] = &[
    ("store = \"x", &["ops/rollback.toml, line 1", "column", "texts need quotes"]),
    ("a = 1\na = 2", &["line 2", "duplicate key", "next:"]),
    ("\nstores = \"x\"", &["line 2", "unknown key \"stores\"", "did you mean \"store\"?"]),
    ("lease = \"11m\"", &["line 1", "lease is too long", "at most 10m"]),
    ("lease = \"10ms\"", &["line 1", "lease is too short", "at least 1s"]),
    ("contents = { key = \"short\" }", &["line 1", "contents.key", "it has 5 bytes", "openssl rand"]),
    ("contents = { keys = \"x\" }", &["line 1", "[contents]", "did you mean \"key\"?"]),
    ("store = 5", &["line 1", "store is a number, must be a text"]),
    ("[environments.prod]\nconfrim = \"x\"", &["line 2", "[environments.prod]", "did you mean \"confirm\"?"]),
    ("[environments.prod]\nconfirm = \"\"", &["line 2", "environments.prod.confirm is empty"]),
    ("[environments.prod]\nautomatic = \"yes\"", &["line 2", "automatic is none", "\"propose\""]),
    ("[environments.prod]\nrequire_reason = \"yes\"", &["line 2", "is a text, must be true or false"]),
    ("[environments.prod]\nplan_expires_after = \"soon\"", &["line 2", "plan_expires_after", "90s, 15m"]),
    ("[environments.\"a b\"]", &["line 1", "is no environment name", "letters, digits"]),
    ("[[environments.p.freeze]]\nto = 2026-12-24T00:00:00Z\nreason = \"x\"", &["line 1", "has no from"]),
    (
        "[[environments.p.freeze]]\nfrom = 2026-12-24\nto = 2026-12-27\nreason = \"x\"",
        &["line 2", "from is not a time with a zone"],
    ),
    (
        "[[environments.p.freeze]]\nfrom = 2026-12-24T00:00:00Z\nto = 2026-12-23T00:00:00Z\nreason = \"x\"",
        &["line 3", "to is not after from"],
    ),
    (
        "environment = \"prdo\"\n[environments.prod]",
        &["line 1", "environment names", "did you mean \"prod\"?"],
    ),
    ("[components.web]\nreleases = \"x\"", &["line 1", "[components.web] has no driver", "driver = \"toy\""]),
    ("[components.web]\ndriver = \"toi\"", &["line 2", "not a driver", "did you mean \"toy\"?"]),
    ("[components.web]\ndriver = [\"toy\"]", &["line 2", "components.web.driver is a list, must be a text"]),
    (
        "[components.web]\ndriver = \"toy\"\nrelases = \"x\"",
        &["line 3", "unknown key \"relases\"", "did you mean \"releases\"?"],
    ),
    (
        "[environments.p]\n[components.web]\ndriver = \"toy\"\n[components.web.overrides.p]\nrelases = \"x\"",
        &["line 5", "[components.web.overrides.p]", "did you mean \"releases\"?"],
    ),
    ("[components.web]\ndriver = \"toy\"\nafter = [\"db\"]", &["line 3", "after names a component", "web"]),
    ("[components.web]\ndriver = \"toy\"\nafter = [\"web\"]", &["line 3", "names the component itself"]),
    (
        "[environments.prod]\n[components.web]\ndriver = \"toy\"\nenvironments = [\"prd\"]",
        &["line 4", "environments names", "did you mean \"prod\"?"],
    ),
    ("components = \"web\"", &["line 1", "components is a text, must be a table"]),
    ("[[gates]]\nname = \"h\"", &["line 1", "[gates] has no component"]),
    (
        "[[gates]]\nname = \"h\"\ncomponent = \"web\"\nprobe = { kind = \"http\" }",
        &["gate \"h\" on a component that is not there"],
    ),
    (
        "[[gates]]\nname = \"h\"\ncomponent = \"web\"\nprobe = { kind = \"http\" }\nrule = \"fine\"",
        &["line 5", "gates.rule is called \"fine\"", "write \"verification\""],
    ),
    (
        "[[gates]]\nname = \"h\"\ncomponent = \"web\"\nprobe = { kind = \"http\" }\nrule = { lasting = \"1s\" }",
        &["line 5", "[gates.rule] has no within"],
    ),
    (
        "[[gates]]\nname = \"h\"\ncomponent = \"web\"\nprobe = { kind = \"tcp\" }\nrule = { within = \"1s\", all = [\"fine\"] }",
        &["line 5", "gates.rule.all holds something that is no check", "not-ok"],
    ),
    ("store = \"${NOPE}\"", &["line 1", "store needs the environment variable NOPE", "${NOPE:-default}"]),
    ("store = \"${NOPE\"", &["line 1", "store has a ${ without its }", "$$"]),
];

#[test]
fn bad_files_are_refused_with_line_and_cure() {
    for (text, wanted) in BAD {
        let error = parse(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        let said = error.to_string();
        for fragment in *wanted {
            assert!(said.contains(fragment), "{text}\n→ {said}\nwanted {fragment:?}");
        }
    }
}

#[test]
fn values_from_variables_are_never_quoted() {
    for text in [
        "[environments.p]\nplan_expires_after = \"${SECRET}\"",
        "[environments.p]\nautomatic = \"${SECRET}\"",
        "[[environments.p.freeze]]\nfrom = \"${SECRET}\"\nto = \"x\"\nreason = \"x\"",
        "[components.web]\ndriver = \"${SECRET}\"",
        "[components.web]\ndriver = \"toy\"\nafter = [\"${SECRET}/\"]",
        "environment = \"${SECRET}\"",
    ] {
        let error = parse(text).expect_err(text);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter22"), "{shown}");
    }
}

#[test]
fn values_from_variables_are_hidden_in_what_others_say() {
    let text = "store = \"x:${SECRET}\"\n[components.web]\ndriver = \"toy\"\nreleases = \"${SECRET}\"";
    let config = parse(text).unwrap();
    assert_eq!(config.hidden.hide("no folder hunter22/web"), "no folder ${SECRET}/web");
    assert!(!format!("{config:?}").contains("hunter22"));
}

#[test]
fn the_nearest_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let missing = Config::find(&inner, None).unwrap_err().to_string();
    assert!(missing.contains("rollback init") && missing.contains("--config"), "{missing}");
    std::fs::write(folder.path().join(FILE_NAME), "").unwrap();
    assert_eq!(Config::find(&inner, None).unwrap(), folder.path().join(FILE_NAME));
    assert_eq!(Config::find(&inner, Some(Path::new("other.toml"))).unwrap(), inner.join("other.toml"));
}

#[test]
fn a_rule_that_has_a_name_is_named() {
    let gate =
        "[[gates]]\nname = \"h\"\ncomponent = \"web\"\nprobe = { kind = \"http\" }\nrule = \"verification\"";
    let config = parse(&format!("[components.web]\ndriver = \"toy\"\n{gate}")).unwrap();
    assert_eq!(config.gates[0].rule, rollback_watch::named::verification());
}

#[test]
fn the_configuration_of_the_readme_is_good() {
    let readme = include_str!("../../README.md");
    let text = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let text = text.replace("driver = \"local\"", "driver = \"toy\"").replace("restart = [", "limits = [");
    let config = parse(&text).unwrap();
    assert_eq!(config.components.len(), 2);
    assert_eq!(config.gates[0].rule.all.len(), 2);
}
