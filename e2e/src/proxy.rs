//! Faults between a client and the API server: a reverse proxy that cuts, delays, drops, repeats and lies.
//!
//! It ends the client's TLS with the API server's own certificate and opens one connection to an API server for each of
//! the client's, so that whatever breaks on one side breaks on the other. Requests pass as they are, bearer tokens
//! included; watches stream. HTTP/1.1 only, which is all it offers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::TryStreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::access::install_tls;
use crate::pki::Pki;
use crate::plane::Plane;

/// What becomes of the answer to the last write before a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastAnswer {
    /// The client hears that its write was done.
    Delivered,
    /// The write was done and the client never hears of it.
    Lost,
}

/// A write that the API server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `PATCH /api/v1/namespaces/acme-prod`.
    pub line: String,
    /// The answer's status.
    pub status: StatusCode,
}

/// What goes wrong now.
#[derive(Debug, Default)]
struct Faults {
    delay: Duration,
    duplicate: bool,
    cut: Option<(usize, LastAnswer)>,
    reads: Reads,
}

/// How reads are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reads {
    /// By the API server.
    #[default]
    Fresh,
    /// By the API server, and what it said first is kept.
    Kept,
    /// With what was kept; watches hang.
    Stale,
}

/// A running proxy in front of the API servers of a plane. It ends, with every connection, when this value is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    ends: CancellationToken,
}

struct State {
    upstreams: Vec<SocketAddr>,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    faults: Mutex<Faults>,
    /// One write at a time, so that a cut falls exactly between two.
    turn: tokio::sync::Mutex<()>,
    writes: Mutex<Vec<Write>>,
    kept: Mutex<HashMap<String, Bytes>>,
    links: Mutex<CancellationToken>,
    repeated: Mutex<usize>,
    is_cut: watch::Sender<bool>,
    is_stale: watch::Sender<bool>,
    is_held: watch::Sender<bool>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("State")
            .field("upstreams", &self.upstreams)
            .finish_non_exhaustive()
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

impl Proxy {
    /// Starts in front of all API servers of `plane`: a connection goes to the first that takes it.
    ///
    /// # Errors
    ///
    /// When the plane's certificates cannot be used, or no port is free.
    pub async fn start(plane: &Plane) -> Result<Self> {
        install_tls();
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("no port for the proxy")?;
        let address = listener.local_addr().context("the proxy has no address")?;
        let state = Arc::new(State {
            upstreams: plane.addresses(),
            acceptor: acceptor(plane.pki())?,
            connector: connector(plane.pki())?,
            faults: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            writes: Mutex::default(),
            kept: Mutex::default(),
            links: Mutex::default(),
            repeated: Mutex::default(),
            is_cut: watch::Sender::new(false),
            is_stale: watch::Sender::new(false),
            is_held: watch::Sender::new(false),
        });
        let ends = CancellationToken::new();
        let accepting = accept(listener, Arc::clone(&state));
        tokio::spawn(ends.clone().run_until_cancelled_owned(accepting));
        Ok(Self {
            address,
            state,
            ends,
        })
    }

    /// Where it answers, `https://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The writes that were answered since the start or the last [`Proxy::cut_after`]; Leases, dry runs and questions
    /// that are asked with POST left out.
    pub fn writes(&self) -> Vec<Write> {
        lock(&self.state.writes).clone()
    }

    /// Lets nothing pass once this many writes, from now on, have been answered.
    pub fn cut_after(&self, writes: usize, answer: LastAnswer) {
        let mut faults = lock(&self.state.faults);
        faults.cut = Some((writes, answer));
        lock(&self.state.writes).clear();
    }

    /// Waits until nothing passes any more.
    pub async fn cut(&self) {
        // The sender lives as long as self, so waiting cannot fail.
        let _ = self.state.is_cut.subscribe().wait_for(|cut| *cut).await;
    }

    /// Ends the cut. What waited is dropped: nothing that was sent before passes after.
    pub fn mend(&self) {
        self.drop_links();
        lock(&self.state.faults).cut = None;
        self.state.is_cut.send_replace(false);
    }

    /// Holds every answer back for this long.
    pub fn delay(&self, delay: Duration) {
        lock(&self.state.faults).delay = delay;
    }

    /// Says every event of a watch twice, or no longer.
    pub fn duplicate(&self, duplicate: bool) {
        lock(&self.state.faults).duplicate = duplicate;
    }

    /// How many events have been said twice.
    pub fn duplicated(&self) -> usize {
        *lock(&self.state.repeated)
    }

    /// Breaks every connection, watches included.
    pub fn drop_links(&self) {
        let links = std::mem::take(&mut *lock(&self.state.links));
        links.cancel();
    }

    /// Keeps what reads are answered with from now on; the first answer of each.
    pub fn keep_reads(&self) {
        lock(&self.state.kept).clear();
        lock(&self.state.faults).reads = Reads::Kept;
    }

    /// Answers reads with what was kept, and lets watches hang, until [`Proxy::read_fresh`].
    ///
    /// Reads of Leases and of the operator's memory are answered as they are: who leads and who remembers must ask for
    /// the newest state, and gets it from any API server that works.
    pub fn read_stale(&self) {
        lock(&self.state.faults).reads = Reads::Stale;
        self.state.is_stale.send_replace(true);
    }

    /// Answers reads as they are; watches go on where their client believes to be.
    pub fn read_fresh(&self) {
        lock(&self.state.faults).reads = Reads::Fresh;
        self.state.is_stale.send_replace(false);
    }

    /// Lets reads wait until [`Proxy::let_reads_go`]; those of Leases and of the operator's memory pass.
    pub fn hold_reads(&self) {
        self.state.is_held.send_replace(true);
    }

    /// Lets reads go that wait.
    pub fn let_reads_go(&self) {
        self.state.is_held.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ends.cancel();
        self.drop_links();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let link = lock(&state.links).clone();
        let relay = relay(stream, Arc::clone(&state));
        tokio::spawn(link.run_until_cancelled_owned(relay));
    }
}

/// One connection of the client's and one of an API server's. Any error ends both.
async fn relay(stream: TcpStream, state: Arc<State>) -> Result<()> {
    let stream = state.acceptor.accept(stream).await?;
    let upstream = Arc::new(tokio::sync::Mutex::new(state.connect().await?));
    let service = service_fn(|request| {
        let (state, upstream) = (Arc::clone(&state), Arc::clone(&upstream));
        async move { state.answer(request, &mut *upstream.lock().await).await }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

impl State {
    async fn connect(&self) -> Result<SendRequest<Incoming>> {
        let mut last = None;
        for address in &self.upstreams {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.greet(stream, address.ip()).await,
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no API server is configured")?.into())
    }

    async fn greet(&self, stream: TcpStream, ip: IpAddr) -> Result<SendRequest<Incoming>> {
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(ip.into());
        let stream = self.connector.connect(name, stream).await?;
        let (upstream, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends when `upstream` is dropped, which is when the client's connection ends.
        tokio::spawn(connection);
        Ok(upstream)
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        upstream: &mut SendRequest<Incoming>,
    ) -> Result<Response<Body>> {
        self.passes().await;
        let delay = lock(&self.faults).delay;
        let answer = match kind(&request) {
            What::Write => self.write(request, upstream).await?,
            What::Read(key) => self.read(key, request, upstream).await?,
            What::Watch => {
                self.fresh().await;
                let answer = upstream.send_request(request).await?;
                return Ok(self.repeating(answer));
            }
            What::Other => upstream.send_request(request).await?.map(BodyExt::boxed),
        };
        tokio::time::sleep(delay).await;
        Ok(answer)
    }

    async fn write(
        &self,
        request: Request<Incoming>,
        upstream: &mut SendRequest<Incoming>,
    ) -> Result<Response<Body>> {
        let turn = self.turn.lock().await;
        self.passes().await;
        let line = format!("{} {}", request.method(), request.uri().path());
        let answer = upstream.send_request(request).await?;
        let status = answer.status();
        if let Some(last) = self.note(Write { line, status }) {
            self.is_cut.send_replace(true);
            if last == LastAnswer::Lost {
                // Until the connection is dropped.
                std::future::pending::<()>().await;
            }
        }
        drop(turn);
        Ok(answer.map(BodyExt::boxed))
    }

    /// Notes a write; answers what becomes of its answer where it is the last one to pass.
    fn note(&self, write: Write) -> Option<LastAnswer> {
        let faults = lock(&self.faults);
        let mut writes = lock(&self.writes);
        writes.push(write);
        let (after, last) = faults.cut?;
        (writes.len() >= after).then_some(last)
    }

    async fn read(
        &self,
        key: String,
        request: Request<Incoming>,
        upstream: &mut SendRequest<Incoming>,
    ) -> Result<Response<Body>> {
        let _ = self.is_held.subscribe().wait_for(|held| !held).await;
        let reads = lock(&self.faults).reads;
        let kept = lock(&self.kept).get(&key).cloned();
        if let (Reads::Stale, Some(kept)) = (reads, kept) {
            let answer = Response::builder()
                .header("content-type", "application/json")
                .body(whole(kept))?;
            return Ok(answer);
        }
        let answer = upstream.send_request(request).await?;
        if reads != Reads::Kept || answer.status() != StatusCode::OK {
            return Ok(answer.map(BodyExt::boxed));
        }
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        lock(&self.kept).entry(key).or_insert_with(|| body.clone());
        Ok(Response::from_parts(head, whole(body)))
    }

    /// Waits while there is a cut: for ever, as the end of a cut ends every connection.
    async fn passes(&self) {
        let _ = self.is_cut.subscribe().wait_for(|cut| !cut).await;
    }

    /// Waits while reads are stale.
    async fn fresh(&self) {
        let _ = self.is_stale.subscribe().wait_for(|stale| !stale).await;
    }

    /// The events of a watch, in whole lines; each twice while that is asked for.
    fn repeating(self: &Arc<Self>, answer: Response<Incoming>) -> Response<Body> {
        let state = Arc::clone(self);
        answer.map(|body| {
            let mut rest = Vec::new();
            let lines = body.into_data_stream().map_ok(move |chunk| {
                rest.extend_from_slice(&chunk);
                Frame::data(state.lines(&mut rest))
            });
            StreamBody::new(lines).boxed()
        })
    }

    /// Takes the whole lines from `rest`.
    fn lines(&self, rest: &mut Vec<u8>) -> Bytes {
        let whole = rest
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let lines: Vec<u8> = rest.drain(..whole).collect();
        if !lock(&self.faults).duplicate {
            return lines.into();
        }
        let mut out = Vec::with_capacity(2 * lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            out.extend_from_slice(line);
            out.extend_from_slice(line);
            *lock(&self.repeated) += 1;
        }
        out.into()
    }
}

enum What {
    /// Persists something.
    Write,
    /// A get or list, by its path and query.
    Read(String),
    Watch,
    /// Passes as it is: Leases, memory, dry runs, access reviews, proofs of life.
    Other,
}

fn kind(request: &Request<Incoming>) -> What {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
    let passes = ["/leases", "reviews", "tenure-guard-probe"];
    if passes.iter().any(|part| path.contains(part)) || query.contains("dryRun=All") {
        return What::Other;
    }
    if request.method() == Method::GET && query.contains("tenure.dev%2Frecord") {
        return What::Other;
    }
    if request.method() != Method::GET {
        return What::Write;
    }
    if query.contains("watch=true") {
        return What::Watch;
    }
    What::Read(format!("{path}?{query}"))
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

pub(crate) fn acceptor(pki: &Pki) -> Result<TlsAcceptor> {
    let certificates = CertificateDer::pem_file_iter(pki.file("apiserver.crt"))
        .context("cannot read the API server's certificate")?
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(pki.file("apiserver.key"))
        .context("cannot read the API server's key")?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

fn connector(pki: &Pki) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der().into())?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
