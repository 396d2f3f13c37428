//! On a real node.
use tenure_e2e::node::Cluster;

#[tokio::test]
async fn up() {
    let cluster = Cluster::start("try").await.unwrap();
    eprintln!("{:?}", cluster.machine().host());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}
