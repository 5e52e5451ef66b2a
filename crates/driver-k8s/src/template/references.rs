//! What a template names that must exist for its pods to start.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::{flag, list, text};

/// The kinds of object that a template refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Referenced {
    /// Configuration.
    ConfigMap,
    /// Secrets, also those for pulling images.
    Secret,
    /// Whom the pods are.
    ServiceAccount,
    /// Storage.
    PersistentVolumeClaim,
}

impl Referenced {
    /// As it is called in paths and roles.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::ServiceAccount => "serviceaccounts",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
        }
    }

    /// As plans name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "config-map",
            Self::Secret => "secret",
            Self::ServiceAccount => "service-account",
            Self::PersistentVolumeClaim => "persistent-volume-claim",
        }
    }
}

/// An object of the same namespace that a template refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// What it is.
    pub kind: Referenced,
    /// What it is called.
    pub name: String,
    /// Whether pods start without it.
    pub optional: bool,
}

/// All of them. Where one is needed in one place and optional in another, it is needed.
pub(super) fn of(body: &Value) -> BTreeSet<Reference> {
    let mut found = Vec::new();
    let mut add = |kind, name: Option<&str>, optional| {
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            found.push(Reference { kind, name: name.to_owned(), optional });
        }
    };
    for volume in list(body, "/spec/volumes") {
        let at = |pointer: &str| text(volume, pointer);
        add(Referenced::ConfigMap, at("/configMap/name"), flag(volume, "/configMap/optional"));
        add(Referenced::Secret, at("/secret/secretName"), flag(volume, "/secret/optional"));
        add(Referenced::PersistentVolumeClaim, at("/persistentVolumeClaim/claimName"), false);
        for source in list(volume, "/projected/sources") {
            add(Referenced::ConfigMap, text(source, "/configMap/name"), flag(source, "/configMap/optional"));
            add(Referenced::Secret, text(source, "/secret/name"), flag(source, "/secret/optional"));
        }
    }
    for container in list(body, "/spec/containers").iter().chain(list(body, "/spec/initContainers")) {
        for from in list(container, "/envFrom") {
            add(
                Referenced::ConfigMap,
                text(from, "/configMapRef/name"),
                flag(from, "/configMapRef/optional"),
            );
            add(Referenced::Secret, text(from, "/secretRef/name"), flag(from, "/secretRef/optional"));
        }
        for variable in list(container, "/env") {
            let from = |pointer: &str| text(variable, &format!("/valueFrom/{pointer}/name"));
            let optional = |pointer: &str| flag(variable, &format!("/valueFrom/{pointer}/optional"));
            add(Referenced::ConfigMap, from("configMapKeyRef"), optional("configMapKeyRef"));
            add(Referenced::Secret, from("secretKeyRef"), optional("secretKeyRef"));
        }
    }
    for secret in list(body, "/spec/imagePullSecrets") {
        // Pods start without it where the image is there already, or public.
        add(Referenced::Secret, text(secret, "/name"), true);
    }
    add(Referenced::ServiceAccount, text(body, "/spec/serviceAccountName"), false);
    let needed: BTreeSet<_> =
        found.iter().filter(|one| !one.optional).map(|one| (one.kind, one.name.clone())).collect();
    found.into_iter().filter(|one| !one.optional || !needed.contains(&(one.kind, one.name.clone()))).collect()
}
