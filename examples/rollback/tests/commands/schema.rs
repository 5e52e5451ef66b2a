use jsonschema::Validator;
use rollback_cli::config::Config;
use serde_json::Value;

use crate::common::{Bench, Toy};
use crate::{CONFIGURATION, repository};

async fn validator() -> Validator {
    let schema = Bench::new(CONFIGURATION).run("schema").await.json();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    jsonschema::draft7::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    jsonschema::validator_for(&schema).unwrap()
}

/// TOML as an editor sees it: times are texts.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Datetime(time) => time.to_string().into(),
        other => serde_json::to_value(other).unwrap(),
    }
}

fn faults(validator: &Validator, text: &str) -> Vec<String> {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let document = json(toml::Value::Table(table));
    validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn parses(text: &str) -> Result<Config, rollback_core::Error> {
    let drivers =
        rollback_core::DriverRegistry::new().with(Toy::new(&[])).with(rollback_driver_local::LocalDriver);
    Config::parse(std::path::Path::new("rollback.toml"), text, &drivers, &|_| Some("value".to_owned()))
}

fn samples(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository(file)).unwrap();
    let blocks = text.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_sample_fits_the_schema() {
    let validator = validator().await;
    let bench = Bench::new(CONFIGURATION);
    std::fs::remove_file(bench.folder.path().join("rollback.toml")).unwrap();
    assert_eq!(bench.run("init").await.code, 0);
    let initial = std::fs::read_to_string(bench.folder.path().join("rollback.toml")).unwrap();
    assert!(initial.contains("#:schema"), "{initial}");
    let mut all = samples("examples/rollback/README.md");
    for page in ["docs/operator-guide.md", "docs/automatic-rollback.md", "crates/rollback-notify/README.md"] {
        let found = samples(page);
        assert!(!found.is_empty(), "no samples in {page}");
        all.extend(found);
    }
    all.push(initial);
    for text in all {
        assert_eq!(faults(&validator, &text), Vec::<String>::new(), "{text}");
    }
}

#[tokio::test]
async fn what_the_schema_refuses_the_command_refuses_as_well() {
    let validator = validator().await;
    let component = "[components.web]\ndriver = \"local\"\nreleases = \"/srv/web\"\n";
    let gate = "[[gates]]\nname = \"h\"\ncomponent = \"web\"\n";
    let trigger = "[[triggers]]\nname = \"outage\"\ncomponent = \"web\"\n";
    let good = [
        component.to_owned(),
        format!("{component}[components.web.overrides.prod]\nrestart = [\"a\"]\n[environments.prod]\n"),
        format!("{component}{gate}probe = {{ kind = \"tcp\", address = \"a:1\" }}\n"),
        format!(
            "{component}{gate}probe = {{ kind = \"http\", url = \"http://a\", expect_status = [200] }}\nrule = {{ within = \"1m\", all = [\"ok\", {{ below = {{ metric = \"m\", limit = 1 }} }}] }}\n"
        ),
        "[environments.a]\nautomatic = \"off\"\n".to_owned(),
        format!(
            "{component}[watch]\nbudget = 3\nsoak = \"30m\"\n{trigger}probe = {{ kind = \"tcp\", address = \"a:1\" }}\n"
        ),
        format!(
            "{component}{trigger}severity = \"P1\"\nprobe = {{ kind = \"driver\" }}\nrule = {{ times = 2 }}\n"
        ),
        "[[notify]]\nkind = \"slack\"\nurl_env = \"U\"\non = [\"failed\"]\n".to_owned(),
    ];
    for text in good {
        assert_eq!(faults(&validator, &text), Vec::<String>::new(), "{text}");
        parses(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    let bad = [
        "stor = \"x\"\n".to_owned(),
        "store = 1\n".to_owned(),
        "[environments.a]\nautomatic = \"sometimes\"\n".to_owned(),
        "[environments.a]\nconfirm = \"\"\n".to_owned(),
        "[environments.a]\nfreeze = [{ from = \"2026-12-24T00:00:00Z\" }]\n".to_owned(),
        "[components.web]\n".to_owned(),
        "[components.web]\ndriver = \"tox\"\n".to_owned(),
        format!("{component}restrat = [\"a\"]\n"),
        format!("{component}after = \"db\"\n"),
        format!("{component}{gate}"),
        format!("{component}{gate}probe = {{ url = \"x\" }}\n"),
        format!(
            "{component}{gate}probe = {{ kind = \"tcp\", address = \"a:1\" }}\nrule = {{ every = \"5s\" }}\n"
        ),
        format!(
            "{component}{gate}probe = {{ kind = \"tcp\", address = \"a:1\" }}\nrule = {{ within = \"1m\", all = [\"fine\"] }}\n"
        ),
        format!("{component}{gate}probe = {{ kind = \"tcp\", address = \"a:1\" }}\nwhy = \"x\"\n"),
        "[watch]\nbudget = 0.5\n".to_owned(),
        format!("{component}{trigger}severity = \"P9\"\nprobe = {{ kind = \"driver\" }}\n"),
        format!("{component}{trigger}probe = {{ kind = \"driver\" }}\nrule = {{ within = \"1m\" }}\n"),
        "[[notify]]\nkind = \"slack\"\nurl_env = \"U\"\non = [\"faild\"]\n".to_owned(),
        "[[notify]]\nurl_env = \"U\"\n".to_owned(),
    ];
    for text in bad {
        assert!(!faults(&validator, &text).is_empty(), "the schema takes\n{text}");
        assert!(parses(&text).is_err(), "the command takes\n{text}");
    }
}

/// The words after `words` in what an error says to do.
fn listed(error: &rollback_core::Error, words: &str) -> Vec<String> {
    let next = error.next_step().unwrap_or_default();
    let (_, list) = next.split_once(words).unwrap_or_else(|| panic!("{words:?} in {next:?}"));
    let mut list: Vec<_> = list.split(", ").map(str::to_owned).collect();
    list.sort();
    list
}

/// The command reads the file in its own way: both must know the same keys.
#[tokio::test]
async fn the_schema_has_the_keys_that_the_command_knows() {
    let schema = Bench::new(CONFIGURATION).run("schema").await.json();
    let gate = "[[gates]]\nname = \"h\"\ncomponent = \"web\"\nprobe = { kind = \"x\" }\n";
    let trigger = gate.replace("gates", "triggers");
    let tables = [
        ("", "nope = 1\n".to_owned()),
        ("/definitions/EnvironmentTable", "[environments.a]\nnope = 1\n".to_owned()),
        ("/definitions/FreezeTable", "[environments.a]\nfreeze = [{ nope = 1 }]\n".to_owned()),
        ("/definitions/driver-local", "[components.web]\ndriver = \"local\"\nnope = 1\n".to_owned()),
        ("/definitions/driver-toy", "[components.web]\ndriver = \"toy\"\nnope = 1\n".to_owned()),
        ("/definitions/GateTable", format!("{gate}nope = 1\n")),
        ("/definitions/RuleTable", format!("{gate}rule = {{ within = \"1m\", nope = 1 }}\n")),
        ("/definitions/WatchTable", "[watch]\nnope = 1\n".to_owned()),
        ("/definitions/TriggerTable", "[[triggers]]\nnope = 1\n".to_owned()),
        ("/definitions/TriggerRuleTable", format!("{trigger}rule = {{ nope = 1 }}\n")),
        (
            "/definitions/Factor",
            format!("{trigger}rule = {{ all = [{{ above-baseline = {{ nope = 1 }} }}] }}\n"),
        ),
        (
            "/definitions/Limit",
            format!("{gate}rule = {{ within = \"1m\", all = [{{ below = {{ nope = 1 }} }}] }}\n"),
        ),
    ];
    for (pointer, text) in tables {
        let described = schema.pointer(&format!("{pointer}/properties")).and_then(Value::as_object);
        let mut described: Vec<_> =
            described.unwrap_or_else(|| panic!("{pointer}")).keys().cloned().collect();
        described.sort();
        let error = parses(&text).unwrap_err();
        assert_eq!(described, listed(&error, "the keys are: "), "{pointer}");
    }
}

/// What is wrong in a probe's settings is only found out when it is set up; the schema knows before.
#[tokio::test]
async fn settings_of_probes_are_in_the_schema() {
    let validator = validator().await;
    let text = |probe: &str| format!("[[gates]]\nname = \"h\"\ncomponent = \"web\"\nprobe = {{ {probe} }}\n");
    for probe in [
        "kind = \"http\", url = \"http://a\", expect_status = 200, headers = { Accept = \"a\" }, bearer_env = \"T\"",
        "kind = \"http\", url = \"http://a\", contains = \"ok\", follow_redirects = true, timeout = \"1s\"",
        "kind = \"command\", argv = [\"true\"], timeout = \"1s\"",
    ] {
        assert_eq!(faults(&validator, &text(probe)), Vec::<String>::new(), "{probe}");
    }
    for probe in [
        "kind = \"nope\"",
        "kind = \"http\"",
        "kind = \"tcp\", address = \"a:1\", adress = \"b\"",
        "kind = \"command\", argv = \"true\"",
        "kind = \"command\", argv = []",
    ] {
        assert!(!faults(&validator, &text(probe)).is_empty(), "the schema takes {probe}");
    }
}
