//! Who is bound, and who asks.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::rbac::v1::Subject as RawSubject;

/// What the names of ServiceAccounts begin with, as users.
const ACCOUNT: &str = "system:serviceaccount:";
/// The group of everybody who is somebody.
const AUTHENTICATED: &str = "system:authenticated";
/// The group of all ServiceAccounts; with `:` and a namespace, of those in it.
const ACCOUNTS: &str = "system:serviceaccounts";
/// The group that is asked for nothing.
const MASTERS: &str = "system:masters";
/// The group of nodes, and what their names begin with.
const NODES: (&str, &str) = ("system:nodes", "system:node:");

/// Whom a binding names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Subject {
    /// Everybody in a group.
    Group(String),
    /// A ServiceAccount.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A user, by the exact name. There is no wildcard: a user called `*` is nobody else.
    User(String),
}

impl Subject {
    /// A subject of a binding in that namespace (empty: of a ClusterRoleBinding); none where it can be nobody.
    pub(crate) fn of(subject: &RawSubject, binding_namespace: &str) -> Option<Self> {
        let name = subject.name.clone();
        match subject.kind.as_str() {
            "User" => Some(Self::User(name)),
            "Group" => Some(Self::Group(name)),
            "ServiceAccount" => {
                let own = subject.namespace.as_deref().unwrap_or_default();
                let namespace = if own.is_empty() {
                    binding_namespace
                } else {
                    own
                };
                let namespace = namespace.to_owned();
                (!namespace.is_empty()).then_some(Self::ServiceAccount { namespace, name })
            }
            _ => None,
        }
    }

    /// Whether it is the caller. A ServiceAccount is whoever has its user name: the two are compared as one text, since
    /// in a namespace that cannot exist there may be a colon.
    pub fn is(&self, caller: &Caller) -> bool {
        match self {
            Self::User(name) => *name == caller.user,
            Self::Group(name) => caller.groups.contains(name),
            Self::ServiceAccount { namespace, name } => username(namespace, name) == caller.user,
        }
    }

    /// Whether it is a ServiceAccount of one of the namespaces.
    pub fn is_account_of(&self, namespaces: &BTreeSet<String>) -> bool {
        match self {
            Self::ServiceAccount { namespace, .. } => namespaces.contains(namespace),
            Self::User(_) | Self::Group(_) => false,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "User {name}"),
            Self::Group(name) => write!(f, "Group {name}"),
            Self::ServiceAccount { namespace, name } => {
                write!(f, "ServiceAccount {namespace}/{name}")
            }
        }
    }
}

/// The name under which a ServiceAccount authenticates.
pub(crate) fn username(namespace: &str, name: &str) -> String {
    format!("{ACCOUNT}{namespace}:{name}")
}

/// Somebody who asks, as the API server sees them after authentication.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Caller {
    /// The user name.
    pub user: String,
    /// All groups, those that authentication adds too.
    pub groups: BTreeSet<String>,
}

impl Caller {
    /// Exactly this user in exactly these groups.
    pub fn new(user: &str, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            user: user.into(),
            groups: groups.into_iter().map(Into::into).collect(),
        }
    }

    /// Somebody who has authenticated, in these groups and in the one that everybody is in then.
    pub fn authenticated(user: &str, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut caller = Self::new(user, groups);
        caller.groups.insert(AUTHENTICATED.into());
        caller
    }

    /// A ServiceAccount with its token.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let groups = [ACCOUNTS.to_owned(), format!("{ACCOUNTS}:{namespace}")];
        Self::authenticated(&username(namespace, name), groups)
    }

    /// Why the API server may say yes where no role does.
    pub fn outranks_rbac(&self) -> Option<&'static str> {
        if self.groups.contains(MASTERS) {
            return Some("the group system:masters may do everything");
        }
        let (group, prefix) = NODES;
        let is_node = self.groups.contains(group) && self.user.starts_with(prefix);
        is_node.then_some("the Node authorizer answers for what runs on a node")
    }
}
