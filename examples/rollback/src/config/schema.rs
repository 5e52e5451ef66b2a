//! The JSON Schema of `rollback.toml`, with the settings of every driver and probe that the binary was built with:
//! editors complete and check the file with it.
//!
//! The command itself reads the file in its own way, to name the line of each fault. These types only describe it; a
//! test holds the two together.

use std::collections::BTreeMap;

use rollback_core::DriverRegistry;
use rollback_core::probe::ProbeRegistry;
use rollback_notify::{Kind, SinkRegistry};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What can be rolled back, and by which rules
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields, rename = "rollback.toml")]
struct File {
    /// Where runs, journals and deployment records are kept; relative to this file
    store: Option<String>,
    /// How long a holder of a target may be silent before others take over, at least 1s
    lease: Option<String>,
    /// How long deployment records are kept; the newest good one is never removed
    retention: Option<String>,
    /// Whether the contents of recorded states are kept, for ways back that need them
    contents: Option<ContentsTable>,
    /// The environment that is meant when --environment is left out
    environment: Option<String>,
    /// The rules of each environment
    environments: Option<BTreeMap<String, EnvironmentTable>>,
    /// The deployed things
    components: Option<BTreeMap<String, Component>>,
    /// What must hold after a rollback
    gates: Option<Vec<GateTable>>,
    /// How it is watched, for automatic rollback
    watch: Option<WatchTable>,
    /// What is bad, for automatic rollback
    triggers: Option<Vec<TriggerTable>>,
    /// Who is told of what
    notify: Option<Vec<Sink>>,
}

/// How it is watched, for automatic rollback
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct WatchTable {
    /// How often a component is rolled back in one window without a person; 2 if left out
    #[schemars(range(min = 0, max = 100))]
    budget: Option<u32>,
    /// The window; 1h if left out
    window: Option<String>,
    /// For how long a version must be well to be called good; 15m if left out
    soak: Option<String>,
    /// The pause between two looks at what runs; 30s if left out
    look_every: Option<String>,
    /// How long one sample may take; 30s if left out
    patience: Option<String>,
}

/// What is bad, for automatic rollback
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct TriggerTable {
    /// What it is called; error-rate, latency, outage, health, migration, data, security and deploy bring their rule along
    name: String,
    /// The component
    component: String,
    /// What is sampled; kind = "driver" for what the platform says of the deploy
    probe: Option<Probe>,
    /// What is bad, and for how long
    rule: Option<TriggerRuleTable>,
    /// How bad it is
    severity: Option<SeverityWord>,
}

#[derive(JsonSchema, Serialize)]
#[expect(dead_code, reason = "only its schema is used")]
enum SeverityWord {
    P0,
    P1,
    P2,
    P3,
}

/// What is bad, and for how long
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct TriggerRuleTable {
    /// What must hold in each sample
    all: Option<Vec<CheckWord>>,
    /// For how long it must hold without a break; once if left out
    lasting: Option<String>,
    /// In how many samples it must hold without a break; one if left out
    times: Option<u32>,
    /// The pause between two samples; 5s if left out
    every: Option<String>,
}

/// What kept contents are encrypted with
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct ContentsTable {
    /// The key, at least 32 random bytes, written as ${NAME}; nothing is kept if it is empty
    key: Option<String>,
    /// Keys that were used before, and still open what they closed
    earlier_keys: Option<Vec<String>>,
}

/// The rules of one environment
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct EnvironmentTable {
    /// The phrase that must be typed, or given with --confirm, before anything is changed
    #[schemars(length(min = 1))]
    confirm: Option<String>,
    /// The account, cluster or host that every component must be in
    expect_account: Option<String>,
    /// Whether a reason must be given; true if left out
    require_reason: Option<bool>,
    /// What may happen without a person
    automatic: Option<AutomaticWord>,
    /// When nothing automatic may happen; a person is only warned
    freeze: Option<Vec<FreezeTable>>,
    /// Printed when a person must look
    contacts: Option<Vec<String>>,
    /// Whether everybody works on this one machine
    single_operator: Option<bool>,
    /// How long a plan may be applied
    plan_expires_after: Option<String>,
    /// For how long what was proven must stay well; not at all if left out
    soak: Option<String>,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum AutomaticWord {
    Act,
    Propose,
    Off,
}

/// A time in which nothing automatic may happen
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct FreezeTable {
    /// From then on, like 2026-12-24T00:00:00Z
    from: String,
    /// Until just before then
    to: String,
    /// Why
    reason: String,
}

/// What must hold after a rollback
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct GateTable {
    /// What it is called
    name: String,
    /// The component after whose proof it is asked
    component: String,
    /// What is sampled
    probe: Probe,
    /// What the samples must meet; ok once within 2m if left out
    rule: Option<GateRule>,
}

/// A rule by its name, or what it says
#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum GateRule {
    Named(RuleName),
    Written(RuleTable),
}

/// A rule that has a name
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum RuleName {
    /// Errors below 1 %, 95 of 100 answers within 2 s, processors below 70 %, memory below 80 %: for 15 minutes, within an hour
    Verification,
}

/// What the samples of a probe must meet
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct RuleTable {
    /// What must hold in each sample; that it is ok if left out
    all: Option<Vec<CheckWord>>,
    /// For how long it must hold without a break; once if left out
    lasting: Option<String>,
    /// In how many samples it must hold without a break; one if left out
    times: Option<u32>,
    /// After how long it has failed
    within: String,
    /// The pause between two samples; 5s if left out
    every: Option<String>,
}

/// What must hold in a sample
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
enum CheckWord {
    Ok,
    NotOk,
    Below(Limit),
    Above(Limit),
    AboveBaseline(Factor),
}

/// A number of a sample, and so many times what it was before the deploy
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Factor {
    /// Which number, like latency_ms
    metric: String,
    /// How many times
    factor: f64,
}

/// A number of a sample, and its limit
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
struct Limit {
    /// Which number, like latency_ms
    metric: String,
    /// The limit
    limit: f64,
}

/// What every component has, beside the settings of its driver
#[derive(JsonSchema, Serialize)]
struct ComponentTable {
    /// The driver
    driver: String,
    /// Components that are put back before this one
    after: Option<Vec<String>>,
    /// The environments it exists in; all if left out
    environments: Option<Vec<String>>,
    /// Settings of single environments, which go over the others
    overrides: Option<BTreeMap<String, Map<String, Value>>>,
}

/// Stands for one schema for each driver.
#[derive(JsonSchema, Serialize)]
struct Component {}

/// Stands for one schema for each kind of probe.
#[derive(JsonSchema, Serialize)]
struct Probe {}

/// Stands for one schema for each kind of sink.
#[derive(JsonSchema, Serialize)]
struct Sink {}

/// The schema, in the draft that editors of TOML understand.
pub(crate) fn of(drivers: &DriverRegistry, probes: &ProbeRegistry, sinks: &SinkRegistry) -> Value {
    let mut schema = generated::<File>();
    let own = generated::<ComponentTable>();
    let mut components = Vec::new();
    let mut kinds = Vec::new();
    let mut definitions = Map::new();
    for driver in drivers.drivers() {
        let name = format!("driver-{}", driver.name());
        let settings = settled(driver.config_schema(), &name);
        definitions.insert(name.clone(), component(driver.name(), driver.summary(), &own, settings));
        components.push(json!({ "$ref": pointer(&name) }));
    }
    for factory in probes.factories() {
        let name = format!("probe-{}", factory.kind());
        let settings = settled(factory.config_schema(), &name);
        definitions.insert(name.clone(), probe(factory.kind(), settings));
        kinds.push(json!({ "$ref": pointer(&name) }));
    }
    let mut told = Vec::new();
    for factory in sinks.factories() {
        let name = format!("sink-{}", factory.kind());
        let settings = settled(factory.config_schema(), &name);
        let mut table = probe(factory.kind(), settings);
        table["properties"]["on"] = json!({
            "type": "array", "minItems": 1, "items": { "enum": Kind::ALL.map(Kind::as_str) },
            "description": "What it hears of; all but recorded if left out",
        });
        definitions.insert(name.clone(), table);
        told.push(json!({ "$ref": pointer(&name) }));
    }
    definitions.insert("Sink".to_owned(), one_of(&told));
    // Only of triggers; a gate that names it is told so by the command.
    let driver = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    definitions.insert("probe-driver".to_owned(), probe(super::watch::DRIVER, driver));
    kinds.push(json!({ "$ref": pointer("probe-driver") }));
    definitions.insert("Component".to_owned(), one_of(&components));
    definitions.insert("Probe".to_owned(), one_of(&kinds));
    if let Some(all) = schema.get_mut("definitions").and_then(Value::as_object_mut) {
        all.extend(definitions);
    }
    schema
}

fn generated<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    schema
}

/// One of these. A binary without any takes none.
fn one_of(ways: &[Value]) -> Value {
    if ways.is_empty() { json!({ "not": {} }) } else { json!({ "oneOf": ways }) }
}

fn pointer(name: &str) -> String {
    format!("#/definitions/{name}")
}

/// The table of a component with this driver: our keys and the driver's.
fn component(driver: &str, summary: &str, own: &Value, mut settings: Value) -> Value {
    let required = settings.get("required").cloned().unwrap_or_else(|| json!([]));
    // Several forms, or one.
    let mut ways =
        settings["anyOf"].as_array().cloned().unwrap_or_else(|| vec![json!({ "required": required })]);
    // What is required may stand in the overrides of each environment.
    ways.push(json!({ "required": ["overrides"] }));
    let mut properties = own["properties"].as_object().cloned().unwrap_or_default();
    properties.insert("driver".to_owned(), json!({ "const": driver, "description": summary }));
    extend(&mut properties, settings["properties"].take());
    let mut table = json!({
        "type": "object",
        "description": summary,
        "properties": properties,
        "required": ["driver"],
        "anyOf": ways,
    });
    close(&mut table, &mut settings);
    table
}

fn probe(kind: &str, mut settings: Value) -> Value {
    let mut required = vec![json!("kind")];
    required.extend(settings["required"].as_array().cloned().unwrap_or_default());
    let mut properties = Map::new();
    properties.insert("kind".to_owned(), json!({ "const": kind }));
    extend(&mut properties, settings["properties"].take());
    let mut table = json!({ "type": "object", "properties": properties, "required": required });
    close(&mut table, &mut settings);
    table
}

fn extend(properties: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        properties.extend(more);
    }
}

/// Unknown keys are refused unless the author of the settings says otherwise, as the command does.
fn close(table: &mut Value, settings: &mut Value) {
    let more = settings.get("additionalProperties").cloned();
    table["additionalProperties"] = more.unwrap_or(Value::Bool(false));
    for key in ["$defs", "definitions"] {
        if let Some(inner) = settings.get_mut(key) {
            table[key] = inner.take();
        }
    }
}

/// A schema that was written as a document of its own, as part of ours under `name`.
fn settled(mut schema: Value, name: &str) -> Value {
    move_pointers(&mut schema, name);
    without_null(&mut schema);
    schema
}

fn move_pointers(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::String(target)) = entries.get_mut("$ref")
                && let Some(local) = target.strip_prefix('#')
            {
                *target = format!("{}{local}", pointer(name));
            }
            entries.values_mut().for_each(|inner| move_pointers(inner, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| move_pointers(inner, name)),
        _ => {}
    }
}

/// TOML has no null: an optional key is left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Array(types)) = entries.get_mut("type") {
                types.retain(|one| one != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    entries.insert("type".to_owned(), only);
                }
            }
            if entries.get("default") == Some(&Value::Null) {
                entries.remove("default");
            }
            if let Some(Value::Array(ways)) = entries.get_mut("anyOf") {
                ways.retain(|way| way.get("type") != Some(&json!("null")));
            }
            if entries.get("anyOf").and_then(Value::as_array).is_some_and(|ways| ways.len() == 1)
                && let Some(Value::Array(mut ways)) = entries.remove("anyOf")
                && let Some(only) = ways.pop()
            {
                // A reference stands alone in this draft.
                entries.insert("allOf".to_owned(), json!([only]));
            }
            entries.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
