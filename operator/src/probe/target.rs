//! `tenure probe`: the far end of the probe pair, in a pod that lives for one probe.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::judge::{Outward, Report};
use super::{AGAIN, ALLOWED_PORT, DENIED_PORT, DIAL};

/// Flags and environment of `tenure probe`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Seconds after which it ends.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(5..=300))]
    pub seconds: u64,
    /// Where the API server is, as every pod is told; its own policy must keep this pod from reaching it.
    #[arg(long, env = "KUBERNETES_SERVICE_HOST")]
    pub outward_host: Option<IpAddr>,
    /// Its port.
    #[arg(long, env = "KUBERNETES_SERVICE_PORT", default_value_t = 443)]
    pub outward_port: u16,
}

/// Listens at both ports, tries one flow outwards again and again, and tells whoever comes to the allowed port.
///
/// # Errors
/// Where a port is taken.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    // The denied port is open, too: else its silence would prove nothing.
    let denied = listen(DENIED_PORT).await?;
    let allowed = listen(ALLOWED_PORT).await?;
    let outward = Arc::new(Latest::default());
    let end = Instant::now() + Duration::from_secs(settings.seconds);
    tokio::select! {
        () = tokio::time::sleep_until(end) => Ok(()),
        () = accept(denied) => Ok(()),
        () = tell(allowed, outward.clone()) => Ok(()),
        () = try_outward(settings, outward) => Ok(()),
    }
}

/// How the last flow outwards went.
#[derive(Default)]
struct Latest(AtomicU8);

impl Latest {
    fn set(&self, passed: bool) {
        self.0.store(if passed { 2 } else { 1 }, Ordering::Relaxed);
    }

    fn get(&self) -> Outward {
        match self.0.load(Ordering::Relaxed) {
            1 => Outward::Stopped,
            2 => Outward::Passed,
            _ => Outward::Untried,
        }
    }
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        .await
        .with_context(|| format!("cannot listen on port {port}"))
}

async fn accept(listener: TcpListener) {
    loop {
        let _ = listener.accept().await;
    }
}

async fn tell(listener: TcpListener, outward: Arc<Latest>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            continue;
        };
        let report = Report {
            outward: outward.get(),
        };
        let text = serde_json::to_vec(&report).unwrap_or_default();
        // Whoever does not read is not waited for.
        let _ = timeout(DIAL, stream.write_all(&text)).await;
    }
}

async fn try_outward(settings: Settings, outward: Arc<Latest>) {
    let Some(host) = settings.outward_host else {
        return std::future::pending().await;
    };
    let address = SocketAddr::new(host, settings.outward_port);
    loop {
        let dialled = timeout(DIAL, TcpStream::connect(address)).await;
        outward.set(matches!(dialled, Ok(Ok(_))));
        sleep(AGAIN).await;
    }
}
