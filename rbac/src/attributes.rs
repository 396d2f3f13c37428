//! What is asked: one verb on one thing.

use std::fmt;

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReviewSpec,
};

use crate::subjects::Caller;

/// One question to the authorizer.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Attributes {
    /// The verb; `*` asks for the very wildcard.
    pub verb: String,
    /// On what.
    pub target: Target,
}

/// On what a verb is asked.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// On objects of a kind.
    Resource(Resource),
    /// On a path that is no resource: `/metrics`.
    Url(String),
}

/// Objects of a kind. What is not said is empty.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Resource {
    /// The API group; empty for the core.
    pub group: String,
    /// The resource: `pods`.
    pub resource: String,
    /// The subresource: `exec`.
    pub subresource: String,
    /// The object's name; empty for all of them, as in a list, and for those that have none yet.
    pub name: String,
    /// The namespace; empty for the whole cluster.
    pub namespace: String,
}

impl Attributes {
    /// A verb on a resource in a namespace (empty: in the whole cluster). `resource` may name a subresource: `pods/exec`.
    pub fn on(verb: &str, group: &str, resource: &str, namespace: &str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self {
            verb: verb.into(),
            target: Target::Resource(Resource {
                group: group.into(),
                resource: resource.into(),
                subresource: subresource.into(),
                name: String::new(),
                namespace: namespace.into(),
            }),
        }
    }

    /// A verb on a path.
    pub fn at(verb: &str, path: &str) -> Self {
        Self {
            verb: verb.into(),
            target: Target::Url(path.into()),
        }
    }

    /// The same, on the object of that name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        if let Target::Resource(resource) = &mut self.target {
            resource.name = name.into();
        }
        self
    }

    /// Where it is asked; empty for the whole cluster, and for paths.
    pub fn namespace(&self) -> &str {
        match &self.target {
            Target::Resource(resource) => &resource.namespace,
            Target::Url(_) => "",
        }
    }

    /// The same question for the API server itself.
    pub fn review(&self, caller: &Caller) -> SubjectAccessReviewSpec {
        let mut spec = SubjectAccessReviewSpec {
            user: Some(caller.user.clone()),
            groups: Some(caller.groups.iter().cloned().collect()),
            ..SubjectAccessReviewSpec::default()
        };
        match &self.target {
            Target::Resource(resource) => {
                spec.resource_attributes = Some(ResourceAttributes {
                    verb: Some(self.verb.clone()),
                    group: Some(resource.group.clone()),
                    resource: Some(resource.resource.clone()),
                    subresource: Some(resource.subresource.clone()),
                    name: Some(resource.name.clone()),
                    namespace: Some(resource.namespace.clone()),
                    ..ResourceAttributes::default()
                });
            }
            Target::Url(path) => {
                spec.non_resource_attributes = Some(NonResourceAttributes {
                    verb: Some(self.verb.clone()),
                    path: Some(path.clone()),
                });
            }
        }
        spec
    }
}

impl Resource {
    /// As rules write it: `pods/exec`.
    pub(crate) fn combined(&self) -> String {
        if self.subresource.is_empty() {
            return self.resource.clone();
        }
        format!("{}/{}", self.resource, self.subresource)
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.verb)?;
        let resource = match &self.target {
            Target::Url(path) => return write!(f, "{path}"),
            Target::Resource(resource) => resource,
        };
        write!(f, "{}", resource.combined())?;
        if !resource.group.is_empty() {
            write!(f, ".{}", resource.group)?;
        }
        if !resource.name.is_empty() {
            write!(f, " {}", resource.name)?;
        }
        if resource.namespace.is_empty() {
            return write!(f, " cluster-wide");
        }
        write!(f, " in {}", resource.namespace)
    }
}
