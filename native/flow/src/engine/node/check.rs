//! Whether a pipeline's connectors would work, before anything runs: `vrsky check`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::tls::Tls;
use message::{Code, Fault};
use serde::Serialize;

use crate::compile::Pipeline;
use crate::engine::delivery::Sinks;
use crate::engine::registry::Secrets;
use crate::engine::settings::Settings;
use crate::engine::world::SystemWorld;

/// What was found of one in or out.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// `in` or `out`.
    pub direction: &'static str,
    /// The out's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub kind: String,
    /// Nothing was found wrong.
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A sink's own timeouts are shorter; this bounds whatever they forget, such as a disk that hangs.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// Checks every in and out, all at the same time. Blocks for some seconds at most; sends no message,
/// makes and changes nothing. What NATS streams there are is not asked here: the control plane does.
///
/// # Errors
/// `config/invalid-value` for settings that no node could start with.
pub fn check(pipeline: &Arc<Pipeline>, secrets: &Secrets, settings: &Settings) -> Result<Vec<Finding>, Fault> {
    let sinks = Sinks::new(settings, Rc::new(SystemWorld::of_node(Tls::new(None)?, settings.listen)))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new(Code::InternalPanic, format!("no runtime: {error}")))?;
    let findings = tokio::task::LocalSet::new().block_on(&runtime, async {
        let (sinks, mut checks) = (Rc::new(sinks), Vec::new());
        for (target, out) in pipeline.outs().iter().enumerate() {
            let (sinks, pipeline, secrets) = (Rc::clone(&sinks), Arc::clone(pipeline), secrets.clone());
            let check = async move { check_out(&sinks, &pipeline, &secrets, target).await };
            checks.push((out, tokio::task::spawn_local(check)));
        }
        let mut findings =
            vec![finding("in", None, &pipeline.file().input.connector().kind, pipeline.input().check(secrets))];
        for (out, check) in checks {
            let ended = |_| Err(Fault::new(Code::InternalPanic, "the check ended early"));
            let checked = check.await.unwrap_or_else(ended);
            findings.push(finding("out", Some(out.name.clone()), &out.kind, checked));
        }
        findings
    });
    // A thread that waits for a disk is left behind rather than waited for.
    runtime.shutdown_background();
    Ok(findings)
}

async fn check_out(sinks: &Sinks, pipeline: &Pipeline, secrets: &Secrets, target: usize) -> Result<(), Fault> {
    if pipeline.outs()[target].publish().is_some() {
        return Ok(());
    }
    let out = sinks.open(pipeline, secrets, target)?;
    let late = |_| Err(Fault::new(Code::FileWrite, format!("no answer within {} s", MAX_WAIT.as_secs())));
    tokio::time::timeout(MAX_WAIT, out.check()).await.unwrap_or_else(late)
}

fn finding(direction: &'static str, name: Option<String>, kind: &str, checked: Result<(), Fault>) -> Finding {
    let fault = checked.err();
    Finding {
        direction,
        name,
        kind: kind.to_owned(),
        ok: fault.is_none(),
        code: fault.as_ref().map(|fault| fault.code().as_str()),
        reason: fault.map(|fault| fault.reason().to_owned()),
    }
}
