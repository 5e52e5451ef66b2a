//! The normal form: what of a task definition counts, in one spelling, without values that may be secret.

use rollback_core::digest::canonical;
use serde_json::{Map, Value};

use rollback_core::fingerprint::{FingerprintKey, is_keyed};

/// Fields that ECS adds to a task definition or changes when it is registered again. `RegisterTaskDefinition` refuses them.
pub(super) const READ_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// Lists whose order means nothing, by what they are in and what they are called. The order of others (commands, DNS servers,
/// environment files, hosts, health checks) does mean something.
const SETS: &[(&str, &str)] = &[
    ("", "containerDefinitions"),
    ("", "volumes"),
    ("", "placementConstraints"),
    ("", "requiresCompatibilities"),
    ("", "inferenceAccelerators"),
    ("containerDefinitions", "environment"),
    ("containerDefinitions", "secrets"),
    ("containerDefinitions", "mountPoints"),
    ("containerDefinitions", "portMappings"),
    ("containerDefinitions", "volumesFrom"),
    ("containerDefinitions", "dependsOn"),
    ("containerDefinitions", "ulimits"),
    ("containerDefinitions", "systemControls"),
    ("containerDefinitions", "resourceRequirements"),
    ("containerDefinitions", "dockerSecurityOptions"),
    ("logConfiguration", "secretOptions"),
    ("linuxParameters", "devices"),
    ("linuxParameters", "tmpfs"),
    ("capabilities", "add"),
    ("capabilities", "drop"),
    ("devices", "permissions"),
    ("proxyConfiguration", "properties"),
    ("", "loadBalancers"),
    ("", "capacityProviderStrategy"),
    ("", "serviceRegistries"),
    ("", "volumeConfigurations"),
    ("", "targetGroups"),
    ("awsvpcConfiguration", "subnets"),
    ("awsvpcConfiguration", "securityGroups"),
    ("alarms", "alarmNames"),
];

/// Texts that are shown as they are. Everything else is taken for secret, also fields that are not known yet: people write
/// passwords into commands and labels.
const PLAIN: &[&str] = &[
    "accessPointId",
    "appProtocol",
    "assignPublicIp",
    "authorizationConfig",
    "autoprovision",
    "condition",
    "containerName",
    "containerPath",
    "containerPortRange",
    "cpu",
    "cpuArchitecture",
    "credentialsParameter",
    "device",
    "deviceName",
    "deviceType",
    "dnsSearchDomains",
    "dnsServers",
    "driver",
    "executionRoleArn",
    "expression",
    "family",
    "fileSystemId",
    "hostPath",
    "hostname",
    "iam",
    "image",
    "ipAddress",
    "ipcMode",
    "links",
    "logDriver",
    "memory",
    "mountOptions",
    "name",
    "networkMode",
    "operatingSystemFamily",
    "permissions",
    "pidMode",
    "protocol",
    "requiresCompatibilities",
    "restartPolicy",
    "rootDirectory",
    "scope",
    "securityGroups",
    "sourceContainer",
    "sourcePath",
    "sourceVolume",
    "subnets",
    "taskRoleArn",
    "transitEncryption",
    "type",
    "user",
    "valueFrom",
    "versionConsistency",
    "workingDirectory",
    "add",
    "drop",
    "targetGroupArn",
    "loadBalancerName",
    "capacityProvider",
    "registryArn",
    "roleArn",
    "strategy",
    "namespace",
    "platformVersion",
    "platformFamily",
    "launchType",
    "alarmNames",
    "alternateTargetGroupArn",
    "productionListenerRule",
    "testListenerRule",
    "lifecycleStages",
    "hookTargetArn",
    "targetType",
    "portName",
    "dnsName",
    "discoveryName",
];

/// Maps with keys of the user's own, whose values may be anything.
const FREE_FORM: [&str; 5] = ["options", "driverOpts", "dockerLabels", "labels", "tags"];

/// Lists of name and value whose values are settings, not secrets.
const PLAIN_VALUES: [&str; 4] = ["environmentFiles", "properties", "resourceRequirements", "systemControls"];

/// Where a value is: the keys that lead to it, without positions in lists.
type Path<'a> = [&'a str];

/// Whether a text at this place is shown.
fn is_plain(path: &Path<'_>) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    if parents.iter().any(|parent| FREE_FORM.contains(parent)) {
        return false;
    }
    match *last {
        "value" => parents.last().is_some_and(|parent| PLAIN_VALUES.contains(parent)),
        last => PLAIN.contains(&last),
    }
}

fn is_set(path: &Path<'_>) -> bool {
    let [parents @ .., last] = path else { return false };
    let parent = parents.last().copied().unwrap_or_default();
    SETS.contains(&(parent, *last))
}

/// Replaces every text that may be secret by its keyed digest.
pub(super) fn redact(value: &Value, key: &FingerprintKey, path: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) => {
            let names: Vec<&str> =
                path.iter().filter(|part| !part.starts_with('=')).map(String::as_str).collect();
            if is_plain(&names) { value.clone() } else { Value::String(key.digest(&path.join("."), text)) }
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| redact_item(item, key, path)).collect()),
        Value::Object(map) => Value::Object(redact_map(map, key, path)),
        scalar => scalar.clone(),
    }
}

/// An item of a list: its name belongs to the place, its position does not.
fn redact_item(item: &Value, key: &FingerprintKey, path: &mut Vec<String>) -> Value {
    let Some(name) = item.get("name").and_then(Value::as_str) else { return redact(item, key, path) };
    path.push(format!("={name}"));
    let redacted = redact(item, key, path);
    path.pop();
    redacted
}

fn redact_map(map: &Map<String, Value>, key: &FingerprintKey, path: &mut Vec<String>) -> Map<String, Value> {
    let redacted = map.iter().map(|(name, item)| {
        // A key that looks like the name of an item must not pass for one.
        path.push(name.trim_start_matches('=').to_owned());
        let redacted = redact(item, key, path);
        path.pop();
        (name.clone(), redacted)
    });
    redacted.collect()
}

/// The first place at which a text stands that should have been digested.
pub(super) fn unredacted(value: &Value, path: &mut Vec<String>) -> Option<String> {
    match value {
        Value::String(text) => {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            (!is_plain(&names) && !is_keyed(text)).then(|| path.join("."))
        }
        Value::Array(items) => items.iter().find_map(|item| unredacted(item, path)),
        Value::Object(map) => map.iter().find_map(|(name, item)| {
            path.push(name.trim_start_matches('=').to_owned());
            let found = unredacted(item, path);
            path.pop();
            found
        }),
        _ => None,
    }
}

/// Drops what says nothing (`null`, empty lists and maps), and sorts lists whose order means nothing.
pub(super) fn normalise(value: Value, path: &mut Vec<String>) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().filter_map(|item| normalise(item, path)).collect();
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            if is_set(&names) {
                // Stable, and by name alone where there is one: of two variables with one name, the later one wins.
                items.sort_by_cached_key(|item| match item.get("name").and_then(Value::as_str) {
                    Some(name) => name.to_owned(),
                    None => canonical(item),
                });
            }
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(name, item)| {
                path.push(name.clone());
                let item = normalise(item, path);
                path.pop();
                Some((name, item?))
            });
            let kept: Map<_, _> = kept.collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        scalar => Some(scalar),
    }
}

/// Writes out what ECS assumes where nothing is said, so that saying it makes no difference.
pub(super) fn with_defaults(mut body: Map<String, Value>) -> Map<String, Value> {
    // In these modes the port outside is the port inside, whatever is written.
    let mode = body.get("networkMode").and_then(Value::as_str);
    let same_port = matches!(mode, Some("awsvpc" | "host"));
    let containers = body.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
        container.entry("essential").or_insert(Value::Bool(true));
        container.entry("cpu").or_insert(Value::from(0));
        let ports = container.get_mut("portMappings").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            port.entry("protocol").or_insert_with(|| Value::from("tcp"));
            match port.get("containerPort").cloned() {
                Some(inside) if same_port => drop(port.insert("hostPort".to_owned(), inside)),
                // Zero: any free port.
                Some(_) => drop(port.entry("hostPort").or_insert(Value::from(0))),
                None => {}
            }
        }
    }
    body
}

/// Whether a value is nested deeper than so many levels.
pub(crate) fn is_deeper(value: &Value, levels: usize) -> bool {
    let inner = |item: &Value| levels == 0 || is_deeper(item, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(inner),
        Value::Object(map) => map.values().any(inner),
        _ => false,
    }
}

/// A setting of a service in normal form: as in a task definition.
pub(crate) fn normal_value(name: &str, value: &Value, key: &FingerprintKey) -> Option<Value> {
    let redacted = redact(value, key, &mut vec![name.to_owned()]);
    normalise(redacted, &mut vec![name.to_owned()])
}

/// Whether a setting of a service holds a text that should have been digested.
pub(crate) fn is_in_the_clear(name: &str, value: &Value) -> bool {
    unredacted(value, &mut vec![name.to_owned()]).is_some()
}
