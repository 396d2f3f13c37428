//! The agreement: every control the two agreements demand, as data, and the verdict that observed
//! facts allow for each.
//!
//! Pure: no client, no clock, no input or output, no environment. The operator observes, fills
//! [`Facts`] and hands over the instant; this crate answers with a [`Finding`] per control. The
//! way of the data is [`CATALOGUE`](catalogue::controls) x [`Facts`] -> [`evaluate`](evaluate::evaluate)
//! -> [`to_status`](status::to_status).
//!
//! No verdict says more than was observed. A fact that is absent was not observed, and nothing
//! that was not observed is ever Compliant.

pub mod catalogue;
pub mod evaluate;
pub mod facts;
pub mod guards;
pub mod reason;
pub mod reference;
pub mod status;

pub use catalogue::{Control, control, controls};
pub use evaluate::{Finding, PartFinding, evaluate, evaluate_all};
pub use facts::Facts;
pub use reason::Reason;
pub use reference::render_reference;
pub use status::{Summary, summary, to_status};
