//! `kubectl tenure new`: the first file of a tenant.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use clap::Args;
use kube::CustomResourceExt as _;
use regex::Regex;
use serde_json::Value;
use tenure_crds::CustomerTenant;
use uuid::Uuid;

use crate::{Outcome, output};

/// An agreement that was signed on this day is not in force: what is not filled in counts for nothing.
const NOT_SIGNED: &str = "9999-12-31";
/// Most namespaces of a tenant.
const MOST: usize = 64;

const HELP: &str = "\
Prints the smallest CustomerTenant that the API server accepts, with a tenantID that was made for it
and is used for nothing else, and says what to fill in. Nothing is written and no cluster is asked.

Keep the file in Git: the tenantID is the tenant, whatever happens to the cluster. Do not run this
again for a tenant that exists.";

const AFTER: &str = "\
Example:
  kubectl tenure new acme --customer 'Example Logistics' --namespace prod --namespace test > acme.yaml";

/// Print a new CustomerTenant, with a tenantID of its own, to complete and to keep in Git.
#[derive(Args)]
#[command(long_about = HELP, after_help = AFTER)]
pub struct Arguments {
    /// Name of the tenant; its namespaces are called NAME-...
    name: String,
    /// Legal name of the customer, on one line; to be filled in where absent.
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// How sensitive the customer's data is (DSA 2.3).
    #[arg(long, value_name = "CLASS", default_value = "Restricted", value_parser = ["Public", "Internal", "Confidential", "Restricted"])]
    classification: String,
    /// Short name of a namespace of the tenant. May be given again.
    #[arg(long = "namespace", value_name = "NAME", default_value = "prod")]
    namespaces: Vec<String>,
    /// Language of titles and certificates; English where absent.
    #[arg(long, value_name = "LANGUAGE", value_parser = ["nl", "fr", "en"])]
    language: Option<String>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    check(arguments)?;
    output::print(&text(arguments, Uuid::new_v4()))?;
    Ok(Outcome::Fine)
}

/// Holds what was given against the definition, so that the API server does not have to.
fn check(arguments: &Arguments) -> anyhow::Result<()> {
    let name = &arguments.name;
    let is_label = Regex::new("^[a-z]([-a-z0-9]*[a-z0-9])?$")?.is_match(name);
    ensure!(
        is_label && name.len() <= 48,
        "{name:?}: a tenant's name is a lower-case DNS label of at most 48 characters that starts with a letter, such as acme or acme-be"
    );
    for (own, whose) in [("kube", "the cluster's"), ("tenure", "the operator's")] {
        ensure!(
            name != own && !name.starts_with(&format!("{own}-")),
            "{name}: a tenant's namespaces start with its name, and {own}- is {whose} own: give the tenant another name"
        );
    }
    let namespaces = &arguments.namespaces;
    ensure!(
        namespaces.len() <= MOST,
        "{} namespaces: a tenant has at most {MOST}",
        namespaces.len()
    );
    let defined = Text::defined("/namespaces/items/properties/name")?;
    for (at, namespace) in namespaces.iter().enumerate() {
        ensure!(
            defined.holds(namespace),
            "{namespace:?}: a namespace's short name is a lower-case DNS label of at most 63 characters, such as prod"
        );
        ensure!(
            !namespaces[..at].contains(namespace),
            "{namespace}: named twice"
        );
    }
    if let Some(customer) = &arguments.customer {
        ensure!(
            Text::defined("/customer/properties/name")?.holds(customer),
            "{customer:?}: a customer's name is one line of 1 to 253 characters, none of them invisible"
        );
    }
    Ok(())
}

/// What the definition says of a text.
struct Text {
    pattern: Regex,
    shortest: u64,
    longest: u64,
}

impl Text {
    /// What it says at a place below spec's properties.
    fn defined(place: &str) -> anyhow::Result<Self> {
        let crd = serde_json::to_value(CustomerTenant::crd())?;
        let properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let defined = crd.pointer(&format!("{properties}{place}"));
        let defined = defined.with_context(|| format!("the definition has no {place}"))?;
        let number = |name: &str| defined.get(name).and_then(Value::as_u64);
        let pattern = defined.get("pattern").and_then(Value::as_str);
        Ok(Self {
            pattern: Regex::new(pattern.context("the definition has no pattern")?)?,
            shortest: number("minLength").unwrap_or(0),
            longest: number("maxLength").unwrap_or(u64::MAX),
        })
    }

    fn holds(&self, text: &str) -> bool {
        let length = text.chars().count() as u64;
        (self.shortest..=self.longest).contains(&length) && self.pattern.is_match(text)
    }
}

/// The file. What was given stands between quotes: `no` and `1e3` are names, too.
fn text(arguments: &Arguments, id: Uuid) -> String {
    let Arguments {
        name,
        customer,
        classification,
        namespaces,
        language,
    } = arguments;
    let quoted = |text: &str| Value::from(text).to_string();
    let mut text = format!(
        "\
# The tenant {name}. Keep this file in Git, and never change the tenantID: it is the tenant, whatever happens to the cluster.
#
#   kubectl apply --server-side --dry-run=server --filename FILE    says what is still wrong with it
apiVersion: tenure.dev/v1alpha1
kind: CustomerTenant
metadata:
  name: {}
spec:
  tenantID: {id}
  customer:
",
        quoted(name)
    );
    let _ = match customer {
        Some(customer) => writeln!(text, "    name: {}", quoted(customer)),
        None => writeln!(
            text,
            "    # Fill in: the legal name of the customer.\n    name: {}",
            quoted(name)
        ),
    };
    if let Some(language) = language {
        let _ = writeln!(text, "    language: {language}");
    }
    let _ = write!(
        text,
        r#"    # Fill in: whom to tell of a security incident (DSA 2.11).
    # contacts:
    #   - role: Security
    #     name: ...
    #     email: ...
  # Fill in: who answers for the tenant at the provider (DSA 2.1, 2.3).
  # owner:
  #   name: ...
  #   email: ...
  classification: {classification}
  agreements:
    - name: dsa
      profile: dsa
      # Fill in: the day of signature. Until then the agreement is not in force.
      signedOn: "{NOT_SIGNED}"
      # Fill in: the digest of the signed document (sha256sum FILE), with sha256: before it.
      # documentDigest: sha256:...
  # Traffic is denied both ways until it is declared in network; what else can be said is in docs/reference/api.md.
  namespaces:
"#
    );
    for namespace in namespaces {
        let _ = writeln!(text, "    - name: {}", quoted(namespace));
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::cel::{ErrorKind, Validator, compile_schema};

    use super::*;

    fn arguments(name: &str) -> Arguments {
        Arguments {
            name: name.into(),
            customer: None,
            classification: "Restricted".into(),
            namespaces: vec!["prod".into()],
            language: None,
        }
    }

    /// The rules of the definition that an object breaks.
    fn broken(object: &Value) -> Vec<String> {
        let crd = serde_json::to_value(CustomerTenant::crd()).unwrap();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema");
        let compiled = compile_schema(schema.unwrap());
        let errors = Validator::new()
            .validate_compiled(&compiled, object, None)
            .err();
        let errors = errors.into_iter().flat_map(|errors| errors.into_vec());
        errors
            .filter(|error| matches!(error.kind, ErrorKind::ValidationFailure))
            .map(|error| error.message)
            .collect()
    }

    fn object(arguments: &Arguments) -> Value {
        serde_saphyr::from_str(&text(arguments, Uuid::new_v4())).unwrap()
    }

    #[test]
    fn what_is_printed_is_a_tenant_that_the_definition_accepts() {
        let given = Arguments {
            name: "no".into(),
            customer: Some("Smits \"&\" Zoon: {a} # b\\n".into()),
            classification: "Public".into(),
            namespaces: vec!["123".into(), "null".into()],
            language: Some("fr".into()),
        };
        for given in [given, arguments("acme")] {
            check(&given).unwrap();
            let object = object(&given);
            assert_eq!(broken(&object), Vec::<String>::new());
            let tenant: CustomerTenant = serde_json::from_value(object).unwrap();
            assert_eq!(tenant.metadata.name, Some(given.name.clone()));
            let spec = tenant.spec;
            let names: Vec<_> = spec.namespaces.into_iter().map(|it| it.name).collect();
            assert_eq!(names, given.namespaces);
            assert_eq!(spec.customer.name, given.customer.unwrap_or(given.name));
            assert_eq!(spec.classification.as_str(), given.classification);
            let id: Uuid = spec.tenant_id.parse().unwrap();
            assert_eq!((id.get_version_num(), id.to_string()), (4, spec.tenant_id));
        }
    }

    #[test]
    fn the_file_says_what_to_fill_in() {
        let expect = r#"# The tenant acme. Keep this file in Git, and never change the tenantID: it is the tenant, whatever happens to the cluster.
#
#   kubectl apply --server-side --dry-run=server --filename FILE    says what is still wrong with it
apiVersion: tenure.dev/v1alpha1
kind: CustomerTenant
metadata:
  name: "acme"
spec:
  tenantID: 00000000-0000-0000-0000-000000000007
  customer:
    # Fill in: the legal name of the customer.
    name: "acme"
    # Fill in: whom to tell of a security incident (DSA 2.11).
    # contacts:
    #   - role: Security
    #     name: ...
    #     email: ...
  # Fill in: who answers for the tenant at the provider (DSA 2.1, 2.3).
  # owner:
  #   name: ...
  #   email: ...
  classification: Restricted
  agreements:
    - name: dsa
      profile: dsa
      # Fill in: the day of signature. Until then the agreement is not in force.
      signedOn: "9999-12-31"
      # Fill in: the digest of the signed document (sha256sum FILE), with sha256: before it.
      # documentDigest: sha256:...
  # Traffic is denied both ways until it is declared in network; what else can be said is in docs/reference/api.md.
  namespaces:
    - name: "prod"
"#;
        assert_eq!(text(&arguments("acme"), Uuid::from_u128(7)), expect);
    }

    #[test]
    fn a_tenant_is_named_as_the_definition_wants_it() {
        let names = [
            "acme",
            "a",
            "a-1",
            "kubernetes",
            "tenured",
            &"a".repeat(48),
            "",
            "1a",
            "Acme",
            "a-",
            "-a",
            "a_b",
            "a.b",
            "kube",
            "kube-a",
            "tenure",
            "tenure-a",
            &"a".repeat(49),
            "é",
            "a\n",
        ];
        let (mut fine, mut wrong) = (0, 0);
        for name in names {
            let arguments = arguments(name);
            let says = check(&arguments);
            let rules = broken(&object(&arguments));
            assert_eq!(
                says.is_ok(),
                rules.is_empty(),
                "{name:?}: {says:?}, {rules:?}"
            );
            *(if says.is_ok() { &mut fine } else { &mut wrong }) += 1;
        }
        assert_eq!((fine, wrong), (6, 14));
    }

    #[test]
    fn other_names_are_held_against_the_definition() {
        let refused = |change: fn(&mut Arguments)| {
            let mut given = arguments("acme");
            change(&mut given);
            check(&given).unwrap_err().to_string()
        };
        assert!(refused(|it| it.namespaces = vec!["Prod".into()]).contains("DNS label"));
        assert!(refused(|it| it.namespaces = vec!["p".repeat(64)]).contains("DNS label"));
        assert!(refused(|it| it.namespaces = vec!["a".into(), "a".into()]).contains("twice"));
        assert!(
            refused(|it| it.namespaces = (0..65).map(|n| n.to_string()).collect())
                .contains("at most 64")
        );
        for wrong in ["", "two\nlines", "right\u{202e}left", &"x".repeat(254)] {
            let mut given = arguments("acme");
            given.customer = Some(wrong.into());
            assert!(
                check(&given).unwrap_err().to_string().contains("one line"),
                "{wrong:?}"
            );
        }
    }
}
