//! What every store of the record must do alike, whatever it lies in.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::try_join_all;
use tenure_evidence::store::Listed;
use tenure_evidence::{Claim, Store};

/// How many claim one place at once.
const CLAIMANTS: u8 = 20;
/// Names in the order in which they are listed: that of their bytes.
const NAMES: [&str; 6] = ["0001", "B", "a", "a-", "a.b", "aa"];
/// Names of folders in that order; what follows a name is its `/`, which comes after `-` and `.`.
const FOLDERS: [&str; 6] = ["0001", "B", "a-", "a.b", "a", "aa"];

/// Holds an empty store to its contract.
///
/// # Errors
///
/// When it does something else, with what.
pub async fn hold_to_contract(store: &dyn Store) -> Result<()> {
    nothing_is_there(store).await?;
    what_is_there_stays(store).await?;
    lists_are_in_order(store).await?;
    one_claim_wins(store).await
}

async fn nothing_is_there(store: &dyn Store) -> Result<()> {
    ensure!(store.get("v1/none").await?.is_none());
    ensure!(names(store, "v1").await?.is_empty());
    ensure!(folders(store, "v1").await?.is_empty());
    Ok(())
}

async fn what_is_there_stays(store: &dyn Store) -> Result<()> {
    let (key, first) = ("v1/chains/a/0001.jsonl", Bytes::from_static(b"first\n"));
    ensure!(store.create(key, first.clone()).await? == Claim::Made);
    for bytes in [&b"second"[..], b"", &first] {
        let claim = store.create(key, Bytes::copy_from_slice(bytes)).await?;
        ensure!(claim == Claim::Taken, "{claim:?} for {bytes:?}");
        let found = store.get(key).await?;
        ensure!(found.as_ref() == Some(&first), "{found:?}");
    }
    ensure!(store.get("v1/chains/a/0001").await?.is_none());
    ensure!(store.get("v1/chains/a").await?.is_none());
    ensure!(store.create("v1/empty", Bytes::new()).await? == Claim::Made);
    ensure!(store.get("v1/empty").await? == Some(Bytes::new()));
    Ok(())
}

async fn lists_are_in_order(store: &dyn Store) -> Result<()> {
    for name in NAMES.iter().rev() {
        store
            .create(&format!("order/files/{name}"), Bytes::new())
            .await?;
    }
    for name in FOLDERS.iter().rev() {
        let key = format!("order/folders/{name}/deeper/file");
        store.create(&key, Bytes::new()).await?;
    }
    store
        .create("order/folders/file", Bytes::from_static(b"x"))
        .await?;
    let found = names(store, "order/files").await?;
    let wanted = NAMES.map(|name| Listed {
        name: name.to_owned(),
        versions: 1,
    });
    ensure!(found == wanted, "{found:?}");
    let found = folders(store, "order/folders").await?;
    ensure!(found == FOLDERS, "{found:?}");
    ensure!(names(store, "order").await?.is_empty());
    let found = names(store, "order/folders").await?;
    ensure!(found.len() == 1 && found[0].name == "file", "{found:?}");
    Ok(())
}

async fn one_claim_wins(store: &dyn Store) -> Result<()> {
    let claim = async |number: u8| {
        let claim = store.create("race/place", Bytes::from(vec![number])).await;
        claim.map(|claim| (number, claim))
    };
    let claims = try_join_all((0..CLAIMANTS).map(claim)).await?;
    let winners: Vec<u8> = claims
        .iter()
        .filter(|(_, claim)| *claim == Claim::Made)
        .map(|(number, _)| *number)
        .collect();
    let found = store.get("race/place").await?.context("nobody won")?;
    ensure!(winners == *found, "{winners:?} won, {found:?} is there");
    let found = names(store, "race").await?;
    ensure!(found.len() == 1 && found[0].versions == 1, "{found:?}");
    Ok(())
}

async fn names(store: &dyn Store, folder: &str) -> Result<Vec<Listed>> {
    Ok(store.objects(folder).try_collect().await?)
}

async fn folders(store: &dyn Store, folder: &str) -> Result<Vec<String>> {
    Ok(store.folders(folder).try_collect().await?)
}
