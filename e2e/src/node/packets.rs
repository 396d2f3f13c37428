//! Packets between pods: whether a flow passes, asked of the kernel and not of an object.

use anyhow::{Result, bail};

use crate::kubectl::Kubectl;

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It was established.
    Passes,
    /// It was not, within two seconds: dropped or rejected on the way.
    Cut,
}

/// Opens one TCP connection from a pod (with the toolbox's image) to an address.
///
/// A port where nobody listens looks as if it were cut: see the flow pass first.
///
/// # Errors
///
/// When the pod cannot be entered, which says nothing about packets.
pub async fn flow(kubectl: &Kubectl, from: (&str, &str), to: &str, port: u16) -> Result<Flow> {
    let (namespace, pod) = from;
    // The last word tells an answer of `nc` from one of kubectl or the kubelet.
    let script = format!("nc -w 2 {to} {port} </dev/null >/dev/null && echo passes || echo cut");
    let output = kubectl
        .run(&[
            "--namespace",
            namespace,
            "exec",
            pod,
            "--",
            "sh",
            "-c",
            &script,
        ])
        .await?;
    match output.stdout.trim() {
        "passes" => Ok(Flow::Passes),
        "cut" => Ok(Flow::Cut),
        _ => bail!("pod {namespace}/{pod} cannot be entered: {output:?}"),
    }
}
