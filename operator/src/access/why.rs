//! Why a grant waits, or why it ended: a bounded set of words for conditions, events, metrics and the record.

use std::fmt;

/// Makes the enum, its words and their meanings from one list.
macro_rules! whys {
    ($($name:ident = $meaning:literal,)*) => {
        /// Why a grant is not active, or not any more.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Why {
            $(#[doc = $meaning] $name,)*
        }

        impl Why {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The CamelCase word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

whys! {
    AwaitingApproval = "somebody else must approve it",
    Scheduled = "it is approved, and its window has not begun",
    Revoked = "somebody revoked it",
    Rejected = "somebody rejected it",
    ReviewRevoked = "a reviewer revoked it",
    ReviewLapsed = "its review was due, and nobody decided to keep it",
    WindowOver = "its window is over",
    Deleted = "the AccessGrant was deleted",
    BreakGlassUnapproved = "nobody approved the emergency access within 24 hours",
    TenantUnknown = "there is no such tenant",
    TenantClosed = "the tenant has ended, is gone or is frozen",
    NamespaceForeign = "a namespace is not the tenant's, or no longer in use",
    RequesterUnknown = "who asked is no known person",
    PersonUnknown = "there is no such StaffMember",
    PersonLeft = "the person left",
    JobChanged = "the person changed jobs",
    IdentityUnknown = "the identity is not the person's",
    IdentityShared = "the identity belongs to several persons",
    TrainingExpired = "the person's training is over 12 months old",
    PolicyUnsigned = "the person has not signed a policy",
    MfaUnconfirmed = "the person's second factor is not confirmed",
    TeleworkExcluded = "the customer excluded the person from remote work",
    SubcontractorWithoutConsent = "the customer did not consent to the person's employer",
    SubcontractorWithoutAgreement = "the agreement with the person's employer does not count",
    RoleNotGrantable = "the role may not be granted",
    RoleMissing = "there is no such ClusterRole",
    RoleForbidden = "the role's rules hold what may never be granted",
    RoleExcluded = "the person holds a role that excludes this one",
    SessionOnly = "the role is granted for sessions only",
    WindowTooLong = "the window is longer than the role allows",
    WindowTooShort = "the window is too short for a session",
    SessionUnguarded = "the guard that bounds a session's tokens is not alive",
    TooMany = "the tenant has more live grants than can be kept on record",
    Unrecorded = "the record cannot be written",
    Unguarded = "the guards that say who asked and who approved are not what was last seen to hold",
    Refused = "the API server refused the binding",
    Invalid = "the grant cannot be read",
}

impl Why {
    /// The one of this word; what another release wrote counts as unreadable.
    pub fn from_word(word: &str) -> Self {
        let known = Self::ALL.iter().find(|why| why.as_str() == word);
        known.copied().unwrap_or(Self::Invalid)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
