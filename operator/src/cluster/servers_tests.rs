use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn config(url: &str) -> Config {
    let mut config = Config::new(url.parse().expect("an address"));
    config.root_cert = Some(vec![vec![1]]);
    config.auth_info = serde_json::from_value(json!({"token": "secret"})).expect("credentials");
    config
}

fn server(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn each_is_asked_at_its_own_address_under_the_clusters_name() {
    let cases = [
        (
            "https://api.example.com:6443",
            None,
            "198.51.100.1:6443",
            "https://198.51.100.1:6443/",
            "api.example.com",
        ),
        (
            "https://10.96.0.1:443",
            None,
            "198.51.100.1:6443",
            "https://198.51.100.1:6443/",
            "10.96.0.1",
        ),
        (
            "https://[fd00::1]",
            None,
            "[2001:db8::1]:6443",
            "https://[2001:db8::1]:6443/",
            "fd00::1",
        ),
        (
            "https://10.0.0.1/clusters/a",
            Some("api.internal"),
            "198.51.100.1:6443",
            "https://198.51.100.1:6443/",
            "api.internal",
        ),
    ];
    for (url, name, address, expected, verified) in cases {
        let mut own = config(url);
        own.tls_server_name = name.map(str::to_owned);
        let config = at(&own, server(address));
        assert_eq!(config.cluster_url, expected);
        assert_eq!(config.tls_server_name.as_deref(), Some(verified));
        assert_eq!(config.root_cert, own.root_cert);
        assert!(!config.accept_invalid_certs);
        assert!(config.auth_info.token.is_some());
        assert_eq!(config.connect_timeout, Some(CONNECT));
        assert_eq!(config.read_timeout, Some(ANSWER));
    }
}

#[tokio::test]
async fn a_client_is_kept_as_long_as_its_address() {
    let mut config = config("https://198.51.100.1:6443");
    config.root_cert = None;
    config.accept_invalid_certs = true;
    let client = Client::try_from(config.clone()).expect("a client");
    let servers = ApiServers::new(client, config);
    let (one, two) = (server("198.51.100.1:6443"), server("198.51.100.2:6443"));
    let first = servers.peer(one).expect("a client");
    servers.peer(two).expect("a client");
    assert!(Arc::ptr_eq(&first, &servers.peer(one).expect("a client")));
    servers.forget(&Servers {
        counted: 1,
        addresses: BTreeSet::from([two]),
    });
    assert_eq!(servers.peers().keys().collect::<Vec<_>>(), [&two]);
    assert!(!Arc::ptr_eq(&first, &servers.peer(one).expect("a client")));
}

#[tokio::test]
async fn who_accepts_and_does_not_answer_is_waited_for_once() {
    // Takes connections and says nothing, as an API server that is stopped in its tracks.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = mute.local_addr().expect("an address");
    let config = config(&format!("https://{address}"));
    let mut own = config.clone();
    own.root_cert = None;
    own.accept_invalid_certs = true;
    let client = Client::try_from(own.clone()).expect("a client");
    let servers = ApiServers::new(client, own);
    let question = Question {
        user: "jane".into(),
        groups: BTreeSet::new(),
        what: k8s_openapi::api::authorization::v1::ResourceAttributes::default(),
    };
    let asked = Servers {
        counted: 1,
        addresses: BTreeSet::from([address]),
    };
    let start = Instant::now();
    let round = servers
        .ask(asked, vec![question; 40 * AT_ONCE], &Timestamp::now)
        .await;
    // One after another they would take minutes.
    assert!(start.elapsed() < 5 * ANSWER, "{:?}", start.elapsed());
    let heard = &round.heard[&address];
    assert_eq!(heard.len(), 40 * AT_ONCE);
    assert!(
        heard
            .iter()
            .all(|heard| matches!(heard.answer, Answer::Unknown(_))),
        "{heard:?}"
    );
}
