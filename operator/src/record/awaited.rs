//! An access grant that was approved, or needs no approval, and has let nobody in yet.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenure_evidence::Event;

use super::End;

/// One grant that was approved, or needs no approval, and did not begin. Kept by the uid of its object until its window is over: once it ended
/// it never begins, whatever a restored cluster says of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Awaited {
    /// Name of the AccessGrant.
    pub name: String,
    /// The person it would let in, by StaffMember name.
    pub person: String,
    /// The latest RFC 3339 instant that was ever its end.
    pub not_after: String,
    /// Its end, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<End>,
}

impl Awaited {
    /// When its window is over; nothing where that cannot be read.
    pub fn over(&self) -> Option<Timestamp> {
        self.not_after.parse().ok()
    }

    /// What happened to it since it was as `before`.
    pub fn event(&self, uid: &str, before: Option<&Self>) -> Option<Event> {
        let end = self.ended.as_ref()?;
        let is_new = before.is_none_or(|before| before.ended.is_none());
        is_new.then(|| Event::GrantWithdrawn {
            grant: self.name.clone(),
            uid: uid.to_owned(),
            person: self.person.clone(),
            reason: end.why.clone(),
            ended_at: end.at.clone(),
        })
    }
}
