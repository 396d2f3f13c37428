//! The built-in text: the very files the chart ships, with the same four tokens replaced.

use serde_json::Value;

use crate::settings::Settings;

macro_rules! guards {
    ($($name:literal),* $(,)?) => {
        /// Every guard file, by name.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../charts/tenure/files/guards/", $name, ".yaml")))),*];
    };
}

guards![
    "accessgrants",
    "accessreviews",
    "approvals",
    "crds",
    "customertenants",
    "exposure",
    "keep-fields",
    "legalholds",
    "managed-objects",
    "namespaces",
    "networkpolicies",
    "operator",
    "own-pods",
    "ownership",
    "parameters",
    "pods",
    "records",
    "restored-namespaces",
    "rolebindings",
    "services",
    "session-accounts",
    "sessions",
    "staffmembers",
    "stamp-changed-by",
    "status",
    "storage",
    "tenancypolicies",
    "tokens",
];

/// One guard as this build knows it.
#[derive(Clone, Debug)]
pub struct Builtin {
    /// Name without the `tenure-` prefix.
    pub name: String,
    /// Its policies and bindings.
    pub objects: Vec<Value>,
}

impl Builtin {
    /// The guard whose denial proves this one: itself, or for a policy that only mutates (and so
    /// denies nothing) the validating one that insists on what it writes.
    pub fn proven_by(&self) -> &str {
        match self.name.as_str() {
            "keep-fields" => "crds",
            "stamp-changed-by" => "status",
            "restored-namespaces" => "namespaces",
            name => name,
        }
    }
}

/// Every guard, for this release.
///
/// # Errors
/// Where a file is no YAML; a build with such a file does not pass its tests.
pub fn builtin(settings: &Settings) -> Result<Vec<Builtin>, serde_saphyr::Error> {
    let images = serde_json::to_string(&settings.images).unwrap_or_default();
    let render = |text: &str| {
        text.replace("__NAMESPACE__", &settings.namespace)
            .replace("__OPERATOR__", &settings.username())
            .replace("__IMAGES__", &images)
            .replace("__SESSIONS__", &settings.sessions())
    };
    FILES
        .iter()
        .map(|(name, text)| {
            Ok(Builtin {
                name: (*name).to_owned(),
                objects: serde_saphyr::from_multiple(&render(text))?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn settings() -> Settings {
        Settings {
            probe_interval_seconds: 300,
            namespace: "tenure-system".into(),
            service_account: "tenure-operator".into(),
            sessions_namespace: None,
            listen: ([127, 0, 0, 1], 0).into(),
            images: vec!["registry.example/tenure:1".into()],
            log_format: crate::settings::LogFormat::Text,
            interval_seconds: 60,
            record: "/record".into(),
            record_key: "/key.pem".into(),
            record_keys: None,
            record_s3: Default::default(),
            record_s3_lock: None,
            record_s3_lock_days: None,
            record_second_place: None,
            record_second_place_s3: Default::default(),
            record_second_place_s3_lock: None,
            record_second_place_s3_lock_days: None,
            record_accept_loss: false,
            state_folder: None,
            ended_grants_kept: SignedDuration::from_hours(24),
            instance: None,
        }
    }

    #[test]
    fn every_file_the_chart_ships_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tenure/files/guards");
        let shipped: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(
            FILES
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect::<BTreeSet<_>>(),
            shipped
        );
    }

    #[test]
    fn every_guard_is_proven_by_one_that_validates() {
        let guards = builtin(&settings()).unwrap();
        for guard in &guards {
            let prover = guards
                .iter()
                .find(|other| other.name == guard.proven_by())
                .unwrap();
            let validates = |object: &Value| object["kind"] == "ValidatingAdmissionPolicy";
            assert!(prover.objects.iter().any(validates), "{}", guard.name);
        }
    }

    #[test]
    fn every_file_parses_and_no_token_is_left() {
        for guard in builtin(&settings()).unwrap() {
            assert!(
                guard.objects.len() >= 2,
                "{} has a policy and a binding",
                guard.name
            );
            let text = serde_json::to_string(&guard.objects).unwrap();
            assert!(
                !text.contains("__"),
                "{}: a token was not replaced",
                guard.name
            );
            assert!(
                guard.objects.iter().all(
                    |object| object["metadata"]["labels"]["app.kubernetes.io/part-of"] == "tenure"
                ),
                "{}",
                guard.name
            );
        }
    }
}
