use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use tenure_evidence::{Folder, KeyList, Signer};
use tokio::sync::Semaphore;

use super::super::Recalled;
use super::*;

/// What is said by whoever is copied late.
const SLOW: &str = "slow";

/// A working copy that holds nothing, and takes what [`SLOW`] said only when it is let.
#[derive(Clone)]
struct Copy {
    came: Arc<Semaphore>,
    may_go: Arc<Semaphore>,
}

impl Copy {
    fn new() -> Self {
        Self {
            came: Arc::new(Semaphore::new(0)),
            may_go: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until what is to be copied late is on record, and waits to be copied.
    async fn is_asked(&self) {
        self.came.acquire().await.unwrap().forget();
    }

    async fn take(&self, said: Option<&str>) -> Result<(), RecordError> {
        if said == Some(SLOW) {
            self.came.add_permits(1);
            self.may_go.acquire().await.unwrap().forget();
        }
        Ok(())
    }
}

impl WorkingCopy for Copy {
    fn recall(&self) -> BoxFuture<'_, Result<Recalled, RecordError>> {
        async { Ok(Recalled::default()) }.boxed()
    }

    fn recall_tenant<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<Copied<TenantRecord>>, RecordError>> {
        async { Ok(None) }.boxed()
    }

    fn check(&self, _: &TenantRecord) -> Result<(), RecordError> {
        Ok(())
    }

    fn check_platform(&self, _: &PlatformRecord) -> Result<(), RecordError> {
        Ok(())
    }

    fn put_tenant<'a>(
        &'a self,
        record: &'a TenantRecord,
        _: &'a Place,
    ) -> BoxFuture<'a, Result<(), RecordError>> {
        self.take(record.changed_by.as_deref()).boxed()
    }

    fn put_platform<'a>(
        &'a self,
        record: &'a PlatformRecord,
        _: &'a Place,
    ) -> BoxFuture<'a, Result<(), RecordError>> {
        self.take(record.accepted_at.as_deref()).boxed()
    }
}

/// Records and their copy.
async fn records() -> (tempfile::TempDir, Arc<Records>, Copy) {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::generate().unwrap();
    let keys = KeyList::of(signer.public(Timestamp::UNIX_EPOCH));
    let store = Arc::new(Folder::open(folder.path()).unwrap());
    let ledger = Arc::new(Ledger::new(store, None, signer, keys, Timestamp::now));
    let copy = Copy::new();
    let records = Records::replay(copy.clone(), ledger).await.unwrap();
    (folder, Arc::new(records), copy)
}

#[tokio::test]
async fn what_two_say_of_the_platform_at_once_both_stands() {
    let (_folder, records, copy) = records().await;
    let there = records.clone();
    let slow = tokio::spawn(async move {
        let change = |record: &mut PlatformRecord| record.accepted_at = Some(SLOW.into());
        there.change_platform(change).await
    });
    copy.is_asked().await;
    let there = records.clone();
    let other = tokio::spawn(async move {
        let change = |record: &mut PlatformRecord| record.allowed_by = Some("other".into());
        there.change_platform(change).await
    });
    tokio::task::yield_now().await;
    copy.may_go.add_permits(2);
    slow.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    let known = records.platform().unwrap();
    assert_eq!(known.accepted_at.as_deref(), Some(SLOW));
    assert_eq!(known.allowed_by.as_deref(), Some("other"));
}

fn tenant(records: &Records) -> TenantRecord {
    records.tenant("acme").unwrap_or_else(|| {
        let spec = json!({
            "tenantID": "6f1b0c8e-3c57-4c3a-9d62-8a6f1d0e2b11", "classification": "Internal",
            "customer": {"name": "Example"}, "namespaces": [{"name": "prod"}],
            "agreements": [{"name": "dsa", "profile": "dsa", "signedOn": "2026-01-01"}]
        });
        let record = json!({
            "version": RECORD_VERSION, "tenant": "acme", "tenantID": spec["tenantID"], "spec": spec,
            "specDigest": "sha256:1", "rendering": {"namespaces": []}
        });
        serde_json::from_value(record).unwrap()
    })
}

#[tokio::test]
async fn memory_never_goes_back_to_what_was_copied_late() {
    let (_folder, records, copy) = records().await;
    records.remember(&tenant(&records)).await.unwrap();
    let there = records.clone();
    let slow = TenantRecord {
        changed_by: Some(SLOW.into()),
        ..tenant(&records)
    };
    let slow = tokio::spawn(async move { there.remember(&slow).await });
    // It is on record before it is copied: whoever looks sees it, and builds on it.
    copy.is_asked().await;
    records.look(&["acme".into()]).await.unwrap();
    let next = TenantRecord {
        changed_by: Some("next".into()),
        ..tenant(&records)
    };
    records.remember(&next).await.unwrap();
    copy.may_go.add_permits(1);
    slow.await.unwrap().unwrap();
    assert_eq!(tenant(&records).changed_by.as_deref(), Some("next"));
}
