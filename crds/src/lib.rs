//! The words of Tenure: its custom resource kinds, their fields, the CEL rules the API server
//! checks them with, and the label and annotation keys that every other crate speaks.
//!
//! This crate holds no client and makes no request. [`all_crds`] is the one list from which the
//! chart's CustomResourceDefinitions and the API reference are generated.

#![allow(
    clippy::duplicated_attributes,
    reason = "one `printcolumn` per column is no duplicate"
)]

pub mod access_grant;
pub mod access_review;
pub mod approval;
pub mod attestation;
pub mod customer_tenant;
pub mod keys;
pub mod legal_hold;
pub mod marks;
pub mod reference;
pub mod schema;
pub mod staff_member;
pub mod status;
pub mod tenancy_policy;
pub mod words;

pub use access_grant::{AccessGrant, AccessGrantSpec, AccessGrantStatus};
pub use access_review::{AccessReview, AccessReviewSpec, AccessReviewStatus};
pub use approval::{Approval, ApprovalSpec, ApprovalStatus};
pub use attestation::{Attestation, AttestationSpec, AttestationStatus};
pub use customer_tenant::{CustomerTenant, CustomerTenantSpec, CustomerTenantStatus};
pub use legal_hold::{LegalHold, LegalHoldSpec, LegalHoldStatus};
pub use marks::is_ours;
pub use reference::generated_files;
pub use schema::all_crds;
pub use staff_member::{StaffMember, StaffMemberSpec, StaffMemberStatus};
pub use tenancy_policy::{TenancyPolicy, TenancyPolicySpec, TenancyPolicyStatus};
