//! Who asks: users, groups and the extra keys of an identity provider.

use std::collections::BTreeMap;

/// The group of cluster administrators that every API server knows; RBAC does not bind it, admission policies do.
pub const MASTERS: &str = "system:masters";

/// The group that the guards let through, with an audit annotation, and that the harness binds to `cluster-admin`.
pub const BREAK_GLASS: &str = "tenure:break-glass";

/// An authenticated user as the API server will see it (`system:authenticated` is added by the server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The username.
    pub user: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Extra keys, such as an identity provider's MFA mark; keys are lower case.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// A user without groups.
    pub fn user(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            groups: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// The harness's cluster administrator: `admin` of `system:masters`.
    pub fn admin() -> Self {
        Self::user("admin").group(MASTERS)
    }

    /// The break-glass person: `breakglass` of [`BREAK_GLASS`].
    pub fn break_glass() -> Self {
        Self::user("breakglass").group(BREAK_GLASS)
    }

    /// The same user, in one more group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// The same user, with one more extra value.
    #[must_use]
    pub fn extra(mut self, key: &str, value: &str) -> Self {
        self.extra
            .entry(key.to_ascii_lowercase())
            .or_default()
            .push(value.to_owned());
        self
    }
}
