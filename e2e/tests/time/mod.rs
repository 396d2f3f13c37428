//! The record moved in time, as the operator itself writes it: nobody can wait for three months.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tenure_e2e::install::NAMESPACE;
use tenure_e2e::operator::SERVICE_ACCOUNT;
use tenure_e2e::{Access, Record};
use tenure_operator::record::{ConfigMaps, Records, Review};

/// Changes the last review of the tenants and of the platform, while no operator runs.
pub async fn reviews_moved(
    access: &Access,
    record: &Record,
    tenants: &[&str],
    change: impl Fn(&mut Review),
) -> Result<()> {
    let operator = access.service_account(NAMESPACE, SERVICE_ACCOUNT).await?;
    let copy = ConfigMaps::new(operator.client()?, NAMESPACE);
    let records = Records::replay(copy, Arc::new(record.ledger()?)).await?;
    for tenant in tenants {
        let mut known = records.tenant(tenant).context("it is not on record")?;
        change(known.review.as_mut().context("it has no review")?);
        records.remember(&known).await?;
    }
    let platform = records.platform().context("nothing of the platform")?;
    let review = platform.review.clone();
    let mut review = review.context("no review of all")?;
    change(&mut review);
    let moved = records.change_platform(|platform| platform.review = Some(review));
    Ok(moved.await?)
}
